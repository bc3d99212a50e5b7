package rig

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
)

const (
	// ReadyPoll is how often readiness is asked for: it bounds the error of
	// the start-up time.
	ReadyPoll = time.Millisecond

	// drainSeconds is short: nobody waits for the clients that are told to
	// move.
	drainSeconds = 2
)

// TokenKey is a fresh key for one run; sidecars that share a data folder
// share it.
func TokenKey() string { return base64.StdEncoding.EncodeToString(keyring.Generate()) }

// StartSidecar starts one and waits until it is ready. What more does not say
// is at its default, logging included.
func (r *Rig) StartSidecar(upstream, dataDir, key string, more ...string) (*lab.Sidecar, error) {
	return r.StartSidecarAs(r.Sidecar, upstream, dataDir, key, more...)
}

// StartSidecarAs is StartSidecar with another binary than the rig's.
func (r *Rig) StartSidecarAs(binary, upstream, dataDir, key string, more ...string) (*lab.Sidecar, error) {
	s, err := lab.NewSidecar("")
	if err != nil {
		return nil, err
	}
	s.Program, s.Upstream, s.Ask = binary, "http://"+upstream, ReadyPoll
	if strings.HasPrefix(upstream, load.UnixPrefix) {
		s.Upstream = upstream
	}
	more = append(r.TLS.settings(), more...)
	s.Settings = append([]string{
		"WSR_DATA_DIR=" + dataDir,
		"WSR_TOKEN_KEYS=" + key,
		"WSR_DRAIN_SECONDS=" + strconv.Itoa(drainSeconds),
	}, more...)
	if err := s.Start(r.Ctx, &r.Starter); err != nil {
		return nil, err
	}
	return s, nil
}
