package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/wsresilience/wsresilience/internal/certfile"
	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/internal/doctor/pod"
	"github.com/wsresilience/wsresilience/internal/keyring"
)

// surroundings examines what the sidecar of this pod needs, with the settings of
// this command, which are those of the sidecar in its container.
func surroundings(ctx context.Context, environ []string, progress func(string)) *diagnosis.Report {
	cfg, err := config.Load(environ)
	if err == nil {
		err = checkRules(cfg)
	}
	if err != nil {
		return diagnosis.DiagnosePod(&diagnosis.Pod{Settings: eachProblem(err)})
	}
	c := pod.Command{Config: cfg, Admin: adminAddress(cfg.AdminListen), Progress: progress}
	if info, ok := debug.ReadBuildInfo(); ok {
		c.Version = info.Main.Version
	}
	if c.Ring, err = keyring.New(cfg.TokenKeys); err != nil {
		return diagnosis.DiagnosePod(&diagnosis.Pod{Settings: []string{err.Error()}})
	}
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	if cfg.PeerTLS() {
		// What cannot be read of it is told of the file.
		if mutual, err := certfile.NewMutual(string(cfg.PeerCert), string(cfg.PeerKey), string(cfg.PeerCA), silent); err == nil {
			c.PeerTLS = func() *tls.Config { return mutual.Current(time.Now()) }
		}
	}
	if cfg.TLSCert != "" {
		if pair, err := tls.LoadX509KeyPair(string(cfg.TLSCert), string(cfg.TLSKey)); err == nil {
			c.Shared = func() *tls.Certificate { return &pair }
		}
	}
	return pod.Examine(ctx, c)
}

// eachProblem is one text for each mistake.
func eachProblem(err error) (list []string) {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return []string{err.Error()}
	}
	for _, p := range problems {
		list = append(list, p.Error())
	}
	return list
}
