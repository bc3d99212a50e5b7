package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/transport"
)

// noWstest says how to get what cannot be fetched here.
const noWstest = `%s is not installed. It is the command of autobahntestsuite, which needs Python 2
(pip install autobahntestsuite), and of the container image crossbario/autobahn-testsuite.
Say where it is with -wstest; nothing is fetched`

// autobahn runs the cases of an installed wstest twice, directly and through the
// sidecar, and compares the verdicts case by case: of servers behind it, and of
// clients in front of it, with and without a session.
type autobahn struct {
	wstest  string
	cases   []string // such as 6.*
	drivers []transport.Driver
	tell    func(string)

	differences int
}

// findWstest returns the command, or says what to do.
func findWstest(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf(noWstest, name)
	}
	return path, nil
}

func (a *autobahn) run(ctx context.Context, only func(string) bool) error {
	for _, s := range servers() {
		if (s.name == "ws" || s.name == "gorilla") && only(s.name) {
			if err := a.server(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	for _, c := range testedClients {
		if only(c.name) {
			if err := a.client(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return nil
}

// compare tells how the agent's verdicts through a sidecar differ.
func (a *autobahn) compare(all map[string]results, agent string) error {
	for _, d := range a.drivers {
		differences, err := compareResults(all[agent], all[through(agent, d)])
		if err != nil {
			return fmt.Errorf("%s: %w", through(agent, d), err)
		}
		for _, text := range differences {
			a.tell(fmt.Sprintf("%s, case %s", through(agent, d), text))
		}
		a.differences += len(differences)
		a.tell(fmt.Sprintf("%-24s %d cases, %d differences", through(agent, d), len(all[agent]), len(differences)))
	}
	return nil
}

func through(agent string, d transport.Driver) string { return agent + " through " + string(d) }

// A spec is what wstest reads: as a client the servers, as a server its own address.
type spec struct {
	URL     string       `json:"url,omitempty"`
	Outdir  string       `json:"outdir"`
	Servers []specServer `json:"servers,omitempty"`
	Cases   []string     `json:"cases"`

	Excluded      []string            `json:"exclude-cases"`
	ExcludedOf    map[string][]string `json:"exclude-agent-cases"`
	ServerOptions map[string]any      `json:"options"`
}

type specServer struct {
	Agent string `json:"agent"`
	URL   string `json:"url"`
}

func (a *autobahn) newSpec(dir string) spec {
	return spec{
		Outdir: filepath.Join(dir, "reports"), Cases: a.cases, Excluded: []string{},
		ExcludedOf: map[string][]string{}, ServerOptions: map[string]any{"failByDrop": false},
	}
}

// start begins wstest in a mode.
func (a *autobahn) start(ctx context.Context, dir, mode string, s spec) (*exec.Cmd, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "spec.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, a.wstest, "-m", mode, "-s", file)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stderr, os.Stderr
	return cmd, cmd.Start()
}

func (s *spec) results() (map[string]results, error) {
	f, err := os.Open(filepath.Join(s.Outdir, "index.json"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readResults(f)
}

// server compares one behind the sidecar.
func (a *autobahn) server(ctx context.Context, s server) error {
	dir, err := os.MkdirTemp("", "autobahn")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	port, err := freePort()
	if err != nil {
		return err
	}
	stop, err := s.start(ctx, dir, port)
	if err != nil {
		return fmt.Errorf("%w (to install: %s)", err, s.install)
	}
	defer stop()
	app, sp := fmt.Sprint("127.0.0.1:", port), a.newSpec(dir)
	sp.Servers = []specServer{{s.name, "ws://" + app + "/ws"}}
	for _, d := range a.drivers {
		addr, end, err := sidecar(app, d)
		if err != nil {
			return err
		}
		defer end()
		sp.Servers = append(sp.Servers, specServer{through(s.name, d), "ws://" + addr + "/ws"})
	}
	cmd, err := a.start(ctx, dir, "fuzzingclient", sp)
	if err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("wstest: %w", err)
	}
	all, err := sp.results()
	if err != nil {
		return err
	}
	return a.compare(all, s.name)
}

// A testedClient echoes what it gets at a URL, until the connection ends.
type testedClient struct {
	name string
	echo func(ctx context.Context, url string) error
}

// testedClients are a plain one, and our own, which has a session where there is a
// sidecar.
var testedClients = []testedClient{
	{"gorilla-client", func(ctx context.Context, url string) error {
		d := gorilla.Dialer{EnableCompression: true}
		c, _, err := d.DialContext(ctx, url, nil) //nolint:bodyclose // need not be closed, it says
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		for {
			kind, p, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, p) != nil {
				return nil
			}
		}
	}},
	{"go-client", func(ctx context.Context, url string) error {
		c, _, err := client.Dial(ctx, url, nil) //nolint:bodyclose // need not be closed
		if err != nil {
			return err
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, p, err := c.Read(ctx)
			if err != nil || c.Write(ctx, kind, p) != nil {
				return nil
			}
		}
	}},
}

// caseWait bounds one case: the slowest echo megabytes.
const caseWait = 2 * time.Minute

// client compares one in front of the sidecar, whose app is wstest.
func (a *autobahn) client(ctx context.Context, c testedClient) error {
	dir, err := os.MkdirTemp("", "autobahn")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	port, err := freePort()
	if err != nil {
		return err
	}
	app, sp := fmt.Sprint("127.0.0.1:", port), a.newSpec(dir)
	sp.URL = "ws://" + app
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, err := a.start(ctx, dir, "fuzzingserver", sp)
	if err != nil {
		return err
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	if err := listens(ctx, app); err != nil {
		return err
	}
	if err := c.all(ctx, app, c.name); err != nil {
		return err
	}
	for _, d := range a.drivers {
		addr, end, err := sidecar(app, d)
		if err != nil {
			return err
		}
		err = c.all(ctx, addr, through(c.name, d))
		end()
		if err != nil {
			return err
		}
	}
	all, err := sp.results()
	if err != nil {
		return err
	}
	return a.compare(all, c.name)
}

// listens waits until something listens at addr.
func listens(ctx context.Context, addr string) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) { // a process has no other sign
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("nothing listens at %s", addr)
}

// all runs all cases at addr, and has the results written.
func (c *testedClient) all(ctx context.Context, addr, agent string) error {
	base := "ws://" + addr
	agent = strings.ReplaceAll(agent, " ", "%20")
	var count int
	if err := askAutobahn(ctx, base+"/getCaseCount", &count); err != nil {
		return fmt.Errorf("number of cases: %w", err)
	}
	for i := range count {
		limited, cancel := context.WithTimeout(ctx, caseWait)
		err := c.echo(limited, fmt.Sprintf("%s/runCase?case=%d&agent=%s", base, i+1, agent))
		cancel()
		var refused *client.RefusedError
		if err != nil && !errors.As(err, &refused) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("case number %d: %w", i+1, err)
		}
	}
	return askAutobahn(ctx, base+"/updateReports?agent="+agent, nil)
}

// askAutobahn reads the message that stands at a URL, if any comes.
func askAutobahn(ctx context.Context, url string, into any) error {
	c, resp, err := gorilla.DefaultDialer.DialContext(ctx, url, http.Header{}) //nolint:bodyclose // need not be closed, it says
	if err != nil {
		if resp != nil {
			return fmt.Errorf("%w: %s", err, resp.Status)
		}
		return err
	}
	defer func() { _ = c.Close() }()
	_, text, err := c.ReadMessage()
	if into == nil {
		return nil // it only closes
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// only reports whether a name is in a comma-separated list, or there is none.
func only(list string) func(name string) bool {
	return func(name string) bool { return list == "" || slices.Contains(strings.Split(list, ","), name) }
}
