package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// haproxyConf is a plain WebSocket proxy with the defaults of HAProxy, which
// starts a thread per processor.
const haproxyConf = `global
	maxconn %[3]d
defaults
	mode http
	maxconn %[3]d
	timeout connect 10s
	timeout client 1h
	timeout server 1h
	timeout tunnel 1h
frontend bench
	bind %[1]s%[4]s
	default_backend app
backend app
	server app %[2]s
`

// StartHAProxy starts HAProxy in front of upstream and waits until it listens.
func (r *Rig) StartHAProxy(upstream string, sessions int) (*proc.Process, string, error) {
	free, err := proc.FreeAddrs(1)
	if err != nil {
		return nil, "", err
	}
	addr := free[0]
	dir, err := r.Scratch("haproxy")
	if err != nil {
		return nil, "", err
	}
	conf := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(conf, fmt.Appendf(nil, haproxyConf, addr, strings.Replace(upstream, load.UnixPrefix, "unix@", 1), sessions, r.TLS.haproxy()), 0o600); err != nil {
		return nil, "", err
	}
	c, err := r.Start("haproxy", exec.Command(r.Haproxy, "-db", "-f", conf))
	if err != nil {
		return nil, "", err
	}
	return c, addr, r.AwaitListener(c, addr)
}
