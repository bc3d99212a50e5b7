package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"time"
)

const (
	sidecarPackage = "github.com/wsresilience/wsresilience/cmd/wsresilience-sidecar"

	// readyPoll is how often readiness is asked for: it bounds the error of
	// the start-up time.
	readyPoll = time.Millisecond

	// drainSeconds is short: nobody waits for the clients that are told to
	// move, and stopGrace has to outlast it.
	drainSeconds = 2

	// readyLimit is when a start counts as failed.
	readyLimit = 30 * time.Second
)

// A sidecar is a running one.
type sidecar struct {
	*child
	addr  string
	admin string
	ready time.Duration // from exec to /readyz 200
}

// tokenKey is a fresh key for one run; sidecars that share a data folder
// share it.
func tokenKey() string {
	key := make([]byte, 32)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// sidecarEnv is the whole environment: nothing of the caller's WSR_ settings
// gets in. All that it does not say is at its default, logging included.
func sidecarEnv(listen, admin, upstream, dataDir, key string, more ...string) []string {
	return append([]string{
		"WSR_LISTEN=" + listen,
		"WSR_ADVERTISE=" + listen,
		"WSR_ADMIN_LISTEN=" + admin,
		"WSR_UPSTREAM=http://" + upstream,
		"WSR_DATA_DIR=" + dataDir,
		"WSR_TOKEN_KEYS=" + key,
		"WSR_DRAIN_SECONDS=" + strconv.Itoa(drainSeconds),
	}, more...)
}

// startSidecar starts one and waits until it is ready.
func (r *rig) startSidecar(upstream, dataDir, key string, more ...string) (*sidecar, error) {
	listen, err := freeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(r.ctx, r.sidecar)
	cmd.Env = sidecarEnv(listen, admin, upstream, dataDir, key, more...)
	begin := time.Now()
	c, err := r.start("sidecar", cmd)
	if err != nil {
		return nil, err
	}
	s := &sidecar{child: c, addr: listen, admin: admin}
	if s.ready, err = s.waitReady(begin, "http://"+admin+"/readyz"); err != nil {
		c.stop()
		return nil, err
	}
	return s, nil
}

// waitReady asks until the answer is 200 and returns the time since begin.
func (s *sidecar) waitReady(begin time.Time, url string) (time.Duration, error) {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	last := "nobody listens"
	for tick := time.NewTicker(readyPoll); ; {
		answer, err := client.Get(url)
		if err == nil {
			body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				tick.Stop()
				return time.Since(begin), nil
			}
			last = fmt.Sprintf("%s %s", answer.Status, body)
		}
		if time.Since(begin) > readyLimit {
			tick.Stop()
			return 0, s.failure("not ready within " + readyLimit.String() + ": " + last)
		}
		select {
		case <-s.over:
			tick.Stop()
			return 0, s.failure(fmt.Sprint("ended at its start: ", s.err))
		case <-tick.C:
		}
	}
}

// freeAddr returns a loopback address that was free a moment ago.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
