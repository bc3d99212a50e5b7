//go:build agentapps

package endtoend

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// agentBinary is the real command.
var agentBinary = proc.Binary{Name: "wsresilience-agent"}

const (
	agentCuts     = 50
	agentPause    = 100 * time.Millisecond // between two cuts
	agentPatience = 60 * time.Second
)

// lines collects what a program says, a line each.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Fields(l.text.String())
}

func (l *lines) count(prefix string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l := proxytest.Listen(t)
	defer l.Close()
	return l.Addr().String()
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is not here: apt-get install mosquitto mosquitto-clients, node 20, and npm ci in sdk/js", name)
		}
	}
}

// agentProcess is an agent in a process of its own.
type agentProcess struct {
	t       *testing.T
	starter *proc.Starter
	environ []string
	address string // that is up once it listens
	*proc.Process
}

func startAgent(t *testing.T, starter *proc.Starter, address string, environ ...string) *agentProcess {
	t.Helper()
	a := &agentProcess{t: t, starter: starter, address: address, environ: append(environ, "WSR_AGENT_ADMIN_LISTEN=off")}
	a.start()
	t.Cleanup(func() {
		a.Kill()
		if t.Failed() {
			t.Logf("the agent's log ends:\n%s", a.Log())
		}
	})
	return a
}

func (a *agentProcess) start() {
	a.t.Helper()
	path, err := agentBinary.Path(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = a.environ
	if a.Process, err = a.starter.Start("agent", cmd); err != nil {
		a.t.Fatal(err)
	}
	wait(a.t, "the agent listens", func() bool {
		c, err := net.Dial("tcp", a.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	if err := proc.Until(t.Context(), agentPatience, processLook, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// cut cuts all connections of the balancer again and again, for so long that programs
// say something in between.
func (f *processes) cut(times int) {
	kinds := []faultlink.Kind{faultlink.RST, faultlink.FIN}
	for n := range times {
		f.balancer.Cut(kinds[n%len(kinds)], 1, "")
		time.Sleep(agentPause)
	}
}

// killOne kills a pod that has a session with kill -9, and starts another one.
func (f *processes) killOne() {
	f.t.Helper()
	f.mu.Lock()
	all := slices.Clone(f.ready)
	f.mu.Unlock()
	has := func(s *lab.Sidecar) bool {
		text, err := s.Get(f.t.Context(), "/metrics")
		return err == nil && regexp.MustCompile(`(?m)^wsr_sessions\{state="attached"\} [1-9]`).Match(text)
	}
	at := -1
	wait(f.t, "a pod has a session", func() bool { at = slices.IndexFunc(all, has); return at >= 0 })
	f.leave(all[at])
	all[at].Kill()
	f.add(&binary, func(n *lab.Sidecar) { n.Upstream = all[at].Upstream })
}

// TestAgentMosquitto: stock clients of Mosquitto publish and subscribe (QoS 1) at a
// stock broker, through an agent that makes WebSockets of their TCP connections.
// Nothing is lost, and until the agent itself is killed their connections stay.
func TestAgentMosquitto(t *testing.T) {
	needs(t, "mosquitto", "mosquitto_pub", "mosquitto_sub")
	port := freeAddress(t)
	_, number, _ := net.SplitHostPort(port)
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	// This release of the broker does not start with listeners for WebSocket alone.
	_, other, _ := net.SplitHostPort(freeAddress(t))
	text := fmt.Sprintf("user root\nlistener %s 127.0.0.1\nlistener %s 127.0.0.1\nprotocol websockets\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nlog_dest stderr\nlog_type notice\n", other, number)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f := newProcesses(t, "WSR_ADOPT=always", "WSR_LOG_LEVEL=info", "WSR_TOKEN_KEYS="+base64.StdEncoding.EncodeToString(keyring.Generate()))
	broker, err := f.starter.Start("mosquitto", exec.Command("mosquitto", "-c", conf))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Kill)
	wait(t, "the broker listens", func() bool {
		if broker.Ended() {
			t.Fatalf("the broker has ended:\n%s", broker.Log())
		}
		c, err := net.Dial("tcp", port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	upstream := func(s *lab.Sidecar) { s.Upstream = "http://" + port }
	for range 2 {
		f.add(&binary, upstream)
	}
	tcp := freeAddress(t)
	agent := startAgent(t, &f.starter, tcp, "WSR_AGENT_TARGET=ws://"+f.balancer.Addr(0), "WSR_AGENT_LISTEN="+freeAddress(t), "WSR_AGENT_TCP_LISTEN="+tcp)
	_, at, _ := net.SplitHostPort(tcp)
	heard := &lines{}
	subscriber := exec.CommandContext(t.Context(), "mosquitto_sub", "-h", "127.0.0.1", "-p", at, "-t", "meter/#", "-q", "1", "-c", "-i", "subscriber", "-k", "60")
	subscriber.Stdout = heard
	publisher := exec.CommandContext(t.Context(), "mosquitto_pub", "-h", "127.0.0.1", "-p", at, "-t", "meter/a", "-q", "1", "-c", "-i", "publisher", "-k", "60", "-l")
	in, err := publisher.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := subscriber.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the subscriber is there", func() bool { return strings.Contains(broker.Log(), "as subscriber") })
	time.Sleep(500 * time.Millisecond) // its subscription
	if err := publisher.Start(); err != nil {
		t.Fatal(err)
	}
	said := 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				said++
				if _, err := fmt.Fprintln(in, said); err != nil {
					t.Errorf("the publisher has ended: %v", err)
					return
				}
			}
		}
	}()
	wait(t, "messages pass", func() bool { return len(heard.list()) > 20 })
	f.cut(agentCuts)
	if n := strings.Count(broker.Log(), "New client connected"); n != 2 {
		t.Errorf("after %d cuts the broker has seen %d connections, want 2:\n%s", agentCuts, n, broker.Log())
	}
	f.killOne()
	before := len(heard.list())
	wait(t, "messages pass after a pod's death", func() bool { return len(heard.list()) > before+50 })
	agent.Kill()
	time.Sleep(500 * time.Millisecond)
	agent.start()
	before = len(heard.list())
	wait(t, "messages pass after the agent's death", func() bool { return len(heard.list()) > before+50 })
	close(stop)
	<-stopped
	last := fmt.Sprint(said)
	wait(t, "the last message", func() bool { return slices.Contains(heard.list(), last) })
	counts := map[string]int{}
	for _, line := range heard.list() {
		counts[line]++
	}
	lost, again := 0, 0
	for n := 1; n <= said; n++ {
		switch c := counts[fmt.Sprint(n)]; {
		case c == 0:
			lost++
		case c > 1:
			again += c - 1
		}
	}
	t.Logf("%d messages, %d cuts, a pod and an agent killed: %d lost, %d heard again (QoS 1)", said, agentCuts, lost, again)
	if lost > 0 {
		t.Errorf("%d of %d messages are lost", lost, said)
	}
	_ = in.Close()
	_ = subscriber.Process.Kill()
	_ = subscriber.Wait()
	_ = publisher.Process.Kill()
	_ = publisher.Wait()
}

// TestAgentNode: a stock program on ws from npm asks an app through an agent that keeps
// what it says. Each question is answered, and until the agent itself is killed its
// connection stays.
func TestAgentNode(t *testing.T) {
	needs(t, "node")
	from, err := filepath.Abs("../../sdk/js/package.json")
	if err != nil {
		t.Fatal(err)
	}
	f := newProcesses(t, "WSR_ADOPT=always", "WSR_LOG_LEVEL=info", "WSR_TOKEN_KEYS="+base64.StdEncoding.EncodeToString(keyring.Generate()))
	for range 2 {
		f.add(&binary, nil)
	}
	address := freeAddress(t)
	agent := startAgent(t, &f.starter, address, "WSR_AGENT_TARGET=ws://"+f.balancer.Addr(0), "WSR_AGENT_LISTEN="+address, "WSR_AGENT_DATA="+t.TempDir(), "WSR_AGENT_CONTINUE=/meter")
	said := &lines{}
	program := exec.CommandContext(t.Context(), "node", "testdata/meter.mjs")
	program.Env = []string{"PATH=" + os.Getenv("PATH"), "URL=ws://" + address + "/meter", "WS_FROM=" + from, "TOTAL=1000"}
	program.Stdout = said
	program.Stderr = io.MultiWriter(os.Stderr)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "questions are answered", func() bool { return said.count("answer") > 20 })
	f.cut(agentCuts)
	if n := said.count("connection"); n != 1 {
		t.Errorf("after %d cuts the program has had %d connections", agentCuts, n)
	}
	f.killOne()
	before := said.count("answer")
	wait(t, "answers after a pod's death", func() bool { return said.count("answer") > before+20 })
	if n := said.count("connection"); n != 1 {
		t.Errorf("after a pod's death the program has had %d connections", n)
	}
	agent.Kill()
	time.Sleep(500 * time.Millisecond)
	agent.start()
	if err := program.Wait(); err != nil {
		t.Errorf("the program ends with %v", err)
	}
	t.Logf("%d questions answered, %d cuts, a pod and an agent killed, %d connections", said.count("answer"), agentCuts, said.count("connection"))
	if said.count("answer") != 1000 || said.count("connection") != 2 {
		t.Errorf("%d answers, %d connections", said.count("answer"), said.count("connection"))
	}
}
