package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/wsresilience/wsresilience/internal/lab"
)

// What much traffic may cost a sidecar.
const (
	volumeSize     = 1 << 30
	volumeRequests = 10_000
	// volumeMemory bounds what its memory grows by meanwhile: buffers, of which a
	// fraction of the volume would be many times as much.
	volumeMemory = 48 << 20
)

// A volume is traffic that must not add up in the sidecar's memory.
type volume struct {
	name string
	pass func(ctx context.Context, addr string) error
}

func volumes() []volume {
	v := []volume{{"10,000 requests on a connection", manyRequests}, {"1 GiB in a WebSocket message, both ways", largeMessage}}
	for _, version := range []string{"1", "2"} {
		v = append(v, volume{"1 GiB up, HTTP/" + version, upload(version)}, volume{"1 GiB down, HTTP/" + version, download(version)})
	}
	return v
}

// volumeApp takes and gives as much as it is asked to.
func volumeApp() (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/up", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, zeros{}, volumeSize) })
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c) // frames of the client come back as they are, masks and all
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), func() { _ = s.Close() }, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func volumeClient(version string) *http.Transport {
	t := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	t.Protocols.SetHTTP1(version == "1")
	t.Protocols.SetUnencryptedHTTP2(version == "2")
	return t
}

func upload(version string) func(context.Context, string) error {
	return func(ctx context.Context, addr string) error {
		t := volumeClient(version)
		defer t.CloseIdleConnections()
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+addr+"/up", io.LimitReader(zeros{}, volumeSize))
		if err != nil {
			return err
		}
		resp, err := t.RoundTrip(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if string(text) != strconv.Itoa(volumeSize) {
			return fmt.Errorf("%q bytes arrived, %w", text, err)
		}
		return nil
	}
}

func download(version string) func(context.Context, string) error {
	return func(ctx context.Context, addr string) error {
		t := volumeClient(version)
		defer t.CloseIdleConnections()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/down", nil)
		if err != nil {
			return err
		}
		resp, err := t.RoundTrip(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		time.Sleep(time.Second) // in which all that fits between the two fills up
		if n, err := io.Copy(io.Discard, resp.Body); n != volumeSize {
			return fmt.Errorf("%d bytes arrived, %w", n, err)
		}
		return nil
	}
}

func manyRequests(ctx context.Context, addr string) error {
	t := volumeClient("1")
	t.MaxConnsPerHost = 1
	defer t.CloseIdleConnections()
	for range volumeRequests {
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+addr+"/up", strings.NewReader("hello"))
		if err != nil {
			return err
		}
		resp, err := t.RoundTrip(r)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return nil
}

// largeMessage sends one message of the size, and has its bytes come back.
func largeMessage(ctx context.Context, addr string) error {
	conn, _, _, err := ws.Dial(ctx, "ws://"+addr+"/ws")
	if err != nil {
		return err
	}
	defer conn.Close()
	h := ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Length: volumeSize}
	sent := make(chan error, 1)
	go func() {
		err := ws.WriteHeader(conn, h)
		if err == nil {
			_, err = io.CopyN(conn, zeros{}, volumeSize)
		}
		sent <- err
	}()
	br := bufio.NewReader(conn)
	for { // pings of the sidecar come in front
		got, err := ws.ReadHeader(br)
		if err != nil {
			return err
		}
		n, err := io.CopyN(io.Discard, br, got.Length)
		if err != nil {
			return fmt.Errorf("%d of %d bytes came back: %w", n, got.Length, err)
		}
		if got.OpCode == ws.OpBinary {
			return errors.Join(<-sent, wsutil.WriteClientMessage(conn, ws.OpClose, nil))
		}
	}
}

// compareVolumes passes all through a sidecar that is a process of its own, and tells
// by how much its memory grew.
func compareVolumes(ctx context.Context, only func(string) bool, tell func(string)) (failures int) {
	if !only("volume") {
		return 0
	}
	app, stop, err := volumeApp()
	if err != nil {
		tell("volume " + err.Error())
		return 1
	}
	defer stop()
	p, err := startSidecar(ctx, app)
	if err != nil {
		tell("volume " + err.Error())
		return 1
	}
	defer p.stop()
	for _, v := range volumes() {
		limited, cancel := context.WithTimeout(ctx, 5*time.Minute)
		grown, err := p.grows(func() error { return v.pass(limited, p.addr) })
		cancel()
		tell(fmt.Sprintf("volume: %-40s the sidecar's memory grew by %d MiB", v.name, grown>>20))
		if err != nil || grown > volumeMemory {
			tell(fmt.Sprintf("volume: %s: %v, more than %d MiB", v.name, err, volumeMemory>>20))
			failures++
		}
	}
	return failures
}

// A sidecarProcess is a sidecar whose memory can be told from others'.
type sidecarProcess struct {
	addr string
	dir  string
	cmd  *exec.Cmd
}

func startSidecar(ctx context.Context, app string) (*sidecarProcess, error) {
	dir, err := os.MkdirTemp("", "differential")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sidecar")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", file, "./cmd/wsresilience-sidecar").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the sidecar: %w: %s", err, out)
	}
	ports := [3]int{}
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	p := &sidecarProcess{addr: fmt.Sprint("127.0.0.1:", ports[0]), dir: dir, cmd: exec.CommandContext(ctx, file)}
	p.cmd.Env = append(os.Environ(), "WSR_LISTEN="+p.addr, fmt.Sprint("WSR_ADMIN_LISTEN=127.0.0.1:", ports[1]), fmt.Sprint("WSR_PEER_LISTEN=127.0.0.1:", ports[2]),
		"WSR_UPSTREAM=http://"+app, "WSR_DATA_DIR="+filepath.Join(dir, "data"), "WSR_LOG_LEVEL=error", "WSR_DRAIN_SECONDS=1")
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := listens(ctx, p.addr); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *sidecarProcess) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}

// grows returns by how much memory was above its beginning at the most while fn ran.
func (p *sidecarProcess) grows(fn func() error) (int64, error) {
	// The most is counted from now on.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0o200); err != nil {
		return 0, err
	}
	before := lab.PeakMemory(p.cmd.Process.Pid)
	err := fn()
	return lab.PeakMemory(p.cmd.Process.Pid) - before, err
}
