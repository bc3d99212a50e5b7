package pod

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// maxAnswer bounds what is read of the admin port: its metrics are the longest.
const maxAnswer = 4 << 20

var buildInfo = regexp.MustCompile(`(?m)^wsr_build_info\{.*?version="([^"]*)"`)

// askAdmin asks the sidecar's admin port whether it is ready, and what it is.
func askAdmin(ctx context.Context, address string) diagnosis.Running {
	r := diagnosis.Running{Address: address}
	// A proxy that the environment names for the app has no place here.
	client := &http.Client{Timeout: dialTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string, error) {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			return 0, "", err
		}
		a, err := client.Do(q)
		if err != nil {
			return 0, "", err
		}
		defer a.Body.Close()
		text, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer))
		return a.StatusCode, string(text), err
	}
	status, text, err := get("/readyz")
	if err != nil {
		r.Err = err.Error()
		return r
	}
	r.Ready = status == http.StatusOK
	if !r.Ready {
		r.Why = fmt.Sprintf("%d: %s", status, strings.TrimSpace(text))
	}
	if _, metrics, err := get("/metrics"); err == nil {
		if m := buildInfo.FindStringSubmatch(metrics); m != nil {
			r.Version = m[1]
		}
	}
	return r
}

// taken tries to listen where a sidecar would.
func taken(c *config.Config) (list []diagnosis.Port) {
	ports := []struct {
		setting string
		address config.Address
	}{{"WSR_LISTEN", c.Listen}, {"WSR_ADMIN_LISTEN", c.AdminListen}}
	if c.PeerTLS() {
		ports = append(ports, struct {
			setting string
			address config.Address
		}{"WSR_PEER_LISTEN", c.PeerListen})
	}
	for _, p := range ports {
		l, err := net.Listen("tcp", string(p.address))
		if err != nil {
			list = append(list, diagnosis.Port{Setting: p.setting, Address: string(p.address), Err: err.Error()})
			continue
		}
		l.Close()
	}
	return list
}

// certificates reads those of the settings.
func certificates(c *config.Config) (list []diagnosis.CertFile) {
	for _, f := range []struct {
		setting   string
		cert, key config.File
	}{{"WSR_TLS_CERT", c.TLSCert, c.TLSKey}, {"WSR_PEER_CERT", c.PeerCert, c.PeerKey}} {
		if f.cert == "" {
			continue
		}
		d := diagnosis.CertFile{Setting: f.setting, Now: time.Now()}
		pair, err := tls.LoadX509KeyPair(string(f.cert), string(f.key))
		if err != nil {
			d.Err = err.Error()
		} else {
			d.NotAfter = pair.Leaf.NotAfter
		}
		list = append(list, d)
	}
	return list
}

// folder looks whether an embedded journal can be in dir. It makes no folder and
// leaves no file.
func folder(dir string) diagnosis.Journal {
	j := diagnosis.Journal{Embedded: true, Dir: dir}
	existing := dir
	for {
		_, err := os.Stat(existing)
		if err == nil {
			break
		}
		if parent := filepath.Dir(existing); errors.Is(err, os.ErrNotExist) && parent != existing {
			existing = parent // the sidecar makes what is missing
			continue
		}
		j.DirErr = err.Error()
		return j
	}
	f, err := os.CreateTemp(existing, ".wsr-doctor-")
	if err != nil {
		j.DirErr = err.Error()
		return j
	}
	_ = errors.Join(f.Close(), os.Remove(f.Name())) // what is left is an empty file
	j.Free = free(existing)
	return j
}

// localAddresses are those of this machine.
func localAddresses() (list []string) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			list = append(list, n.IP.String())
		}
	}
	return list
}

// machine reads limits; 0 is what is not known.
func machine() (openFiles uint64, ports int, memory int64) {
	openFiles = fileLimit()
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var low, high int
		if _, err := fmt.Sscan(string(text), &low, &high); err == nil {
			ports = high - low + 1
		}
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(file); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < 1<<50 {
				memory = n
			}
			break
		}
	}
	return openFiles, ports, memory
}

func cause(err error) diagnosis.Cause {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return diagnosis.Refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return diagnosis.TimedOut
	}
	return diagnosis.Other
}

// eachOf calls f with each index below n, some at a time.
func eachOf(n int, f func(int)) {
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	all.Wait()
}
