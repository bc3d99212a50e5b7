//go:build runbooks

package endtoend

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// watchedNATS is a server, and the exporter that the chart runs beside it, with its
// arguments.
type watchedNATS struct {
	*server.Server
	t       *testing.T
	o       *server.Options
	metrics string // URL
}

func watchNATS(t *testing.T, o *server.Options) *watchedNATS {
	t.Helper()
	exporter, err := exec.LookPath("prometheus-nats-exporter")
	if err != nil {
		t.Fatal("prometheus-nats-exporter is missing: make runbooks builds it")
	}
	free, err := proc.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	monitor, metrics := free[0], free[1]
	o.Host, o.HTTPHost, o.NoSigs, o.JetStream, o.StoreDir, o.LogFile = "127.0.0.1", "127.0.0.1", true, true, t.TempDir(), filepath.Join(t.TempDir(), "log")
	o.HTTPPort = portOf(t, monitor)
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	w := &watchedNATS{t: t, o: o, metrics: "http://" + metrics + "/metrics"}
	w.start()
	var starter proc.Starter
	p, err := starter.Start("exporter", exec.Command(exporter, "-healthz", "-varz", "-jsz=all", "-use_internal_server_name",
		"-addr=127.0.0.1", fmt.Sprint("-port=", portOf(t, metrics)), "http://"+monitor))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	t.Cleanup(func() { w.Shutdown(); w.WaitForShutdown() })
	return w
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	n, err := strconv.Atoi(addr[strings.LastIndexByte(addr, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// start starts the server, again on its volume and its ports.
func (w *watchedNATS) start() {
	w.t.Helper()
	var err error
	if w.Server, err = server.NewServer(w.o); err != nil {
		w.t.Fatal(err)
	}
	w.ConfigureLogger()
	w.Start()
	if !w.ReadyForConnections(processLimit) {
		w.t.Fatal("NATS does not start")
	}
	if w.o.Port == server.RANDOM_PORT {
		w.o.Port = portOf(w.t, w.Addr().String())
	}
}

// exported waits until a series of the exporter, with such labels, is as it has to be,
// and returns the labels.
func (w *watchedNATS) exported(name, labels string, is func(float64) bool) (found string) {
	w.t.Helper()
	line := regexp.MustCompile(`(?m)^` + name + `\{([^}]*` + labels + `[^}]*)\} (\S+)$`)
	last := ""
	err := proc.Until(w.t.Context(), processLimit, processLook, func() bool {
		text, _ := fetchText(w.metrics)
		for _, m := range line.FindAllStringSubmatch(text, -1) {
			last, found = m[0], m[1]
			if v, err := strconv.ParseFloat(m[2], 64); err == nil && is(v) {
				return true
			}
		}
		return false
	})
	if err != nil {
		w.t.Fatalf("%s is %q", name, last)
	}
	return found
}

func fetchText(from string) (string, error) {
	answer, err := http.Get(from)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// sidecar is one whose journal is on these servers.
func (w *watchedNATS) sidecar(settings ...string) (*lab.Sidecar, *eventLog) {
	w.t.Helper()
	app := httptest.NewServer(http.HandlerFunc(gorillaEcho))
	w.t.Cleanup(app.Close)
	l := &eventLog{t: w.t}
	f := &processes{t: w.t, app: app, settings: append([]string{"WSR_NATS_URL=" + w.ClientURL(), "WSR_NATS_REPLICAS=1", "WSR_LOG_LEVEL=info", "WSR_LOG_FORMAT=json"}, settings...)}
	s := f.start(&binary, func(s *lab.Sidecar) { s.Errors = l })
	series(w.t, s, "wsr_journal_available", func(v float64) bool { return v == 1 })
	return s, l
}

func (w *watchedNATS) connect() jetstream.JetStream {
	w.t.Helper()
	nc, err := nats.Connect(w.ClientURL())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	return js
}

// fill publishes to a subject and those beside it until the stream takes no more.
func fill(t *testing.T, js jetstream.JetStream, subject string, piece int) {
	t.Helper()
	for i := range 10000 {
		if _, err := js.Publish(t.Context(), fmt.Sprint(subject, i), make([]byte, piece)); err != nil {
			return
		}
	}
	t.Fatalf("%s is never full", subject)
}

func alertAt(share float64) func(float64) bool { return func(v float64) bool { return v > share } }

func followNATSUnhealthy(t *testing.T) {
	page(t, "WSResilienceNATSUnhealthy", "Nobody, with two of three servers left. With one left, the journal is away.", "It comes back on its volume and catches up", "`/healthz` of each says ok")
	routes, err := proc.FreeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	var all []*watchedNATS
	var urls []string
	for i, route := range routes {
		o := &server.Options{ServerName: fmt.Sprint("nats-", i), Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: portOf(t, route), NoAdvertise: true}}
		for _, other := range routes {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: other})
		}
		w := watchNATS(t, o)
		all, urls = append(all, w), append(urls, w.ClientURL())
	}
	healthy := func(v float64) bool { return v == 1 }
	for _, w := range all {
		w.exported("gnatsd_healthz_status_value", "", healthy)
	}
	s, _ := all[0].sidecar("WSR_NATS_URL="+strings.Join(urls, ","), "WSR_NATS_REPLICAS=3", "WSR_LEASE_TTL=5s")
	c := talk(t, s.Addr, "/chat", freshOffer, nil)
	say := func(text string) {
		_ = c.conn.SetReadDeadline(time.Now().Add(processLimit))
		c.say(text)
	}
	stop := func(i int) {
		all[i].Shutdown()
		all[i].WaitForShutdown()
		all[i].exported("gnatsd_healthz_status_value", "", func(v float64) bool { return v == 0 })
	}
	stop(1)
	say("with two of three")
	series(t, s, "wsr_journal_available", healthy)
	stop(2)
	series(t, s, "wsr_journal_available", func(v float64) bool { return v == 0 })
	say("with one")
	for _, w := range all[1:] {
		w.start()
	}
	for _, w := range all {
		w.exported("gnatsd_healthz_status_value", "", healthy)
	}
	series(t, s, "wsr_journal_available", healthy)
	say("again")
}

func followNATSDisk(t *testing.T) {
	page(t, "WSResilienceNATSDisk", "`jetstream_stream_total_bytes` by `account_name`")
	const most = 64 << 20
	w := watchNATS(t, &server.Options{ServerName: "nats-0", JetStreamMaxStore: most})
	w.sidecar("WSR_NATS_MAX_BYTES=16MiB")
	w.exported("jetstream_server_max_storage", "", func(v float64) bool { return v == most })
	js := w.connect()
	// The rest is another's, as much as fits.
	for size := int64(most); ; size -= 1 << 20 {
		if size == 0 {
			t.Fatal("no stream fits")
		}
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHERS", Subjects: []string{"others.*"}, MaxBytes: size, Discard: jetstream.DiscardNew}); err == nil {
			break
		}
	}
	fill(t, js, "others.", 512<<10)
	for shard := range 4 {
		fill(t, js, fmt.Sprintf("wsr.log.%d.junk", shard), 512<<10)
	}
	w.exported("jetstream_server_total_message_bytes", "", alertAt(0.85*most))
	if labels := w.exported("jetstream_stream_total_bytes", `stream_name="OTHERS"`, alertAt(16<<20)); !strings.Contains(labels, "account_name=") {
		t.Errorf("whose stream it is, is not told: %s", labels)
	}
	if err := js.DeleteStream(t.Context(), "OTHERS"); err != nil {
		t.Fatal(err)
	}
	w.exported("jetstream_server_total_message_bytes", "", func(v float64) bool { return v < 0.85*most })
}

func followJournalFull(t *testing.T) {
	page(t, "WSResilienceJournalFull", "wsr_journal_appends_total", "(`full`)", "filtered by `detached`", "Raise `nats.accounts.storage`")
	w := watchNATS(t, &server.Options{ServerName: "nats-0"})
	s, _ := w.sidecar("WSR_NATS_MAX_BYTES=16MiB")
	js := w.connect()
	for shard := range 4 {
		fill(t, js, fmt.Sprintf("wsr.log.%d.junk", shard), 100<<10)
		fill(t, js, fmt.Sprintf("wsr.log.%d.crumbs", shard), 1<<10)
		w.exported("jetstream_stream_limit_bytes", fmt.Sprintf(`stream_name="WSR_LOG_%d"`, shard), func(v float64) bool { return v == 4<<20 })
		w.exported("jetstream_stream_total_bytes", fmt.Sprintf(`stream_name="WSR_LOG_%d"`, shard), alertAt(0.85*(4<<20)))
	}
	c := talk(t, s.Addr, "/chat", freshOffer, nil)
	c.say(strings.Repeat("x", 4<<10)) // and nobody acknowledges the answer
	series(t, s, `wsr_journal_appends_total{result="full"}`, positive)
	c.conn.Close()
	program, err := binary.Path(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Until(t.Context(), processLimit, processLook, func() bool {
		cmd := exec.CommandContext(t.Context(), program, "sessions", "-state", "detached")
		cmd.Env = []string{"WSR_UPSTREAM=" + s.Upstream, "WSR_ADMIN_LISTEN=" + s.Admin}
		out, _ := cmd.CombinedOutput()
		return strings.Contains(string(out), c.w.Session.String()[:8])
	}); err != nil {
		t.Error("the session that keeps so much is not among those that are detached")
	}
	for shard := range 4 {
		stream, err := js.Stream(t.Context(), fmt.Sprint("WSR_LOG_", shard))
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.MaxBytes = 16 << 20 // as the injector does when the accounts may keep more
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		w.exported("jetstream_stream_limit_bytes", fmt.Sprintf(`stream_name="WSR_LOG_%d"`, shard), func(v float64) bool { return v == 16<<20 })
	}
	series(t, s, `wsr_journal_appends_total{result="ok"}`, positive)
}

func followSlowConsumer(t *testing.T) {
	page(t, "WSResilienceNATSSlowConsumer", "the address of the pod", "Nobody: the sidecar connects again.")
	w := watchNATS(t, &server.Options{ServerName: "nats-0", WriteDeadline: time.Second, MaxPending: 1 << 20})
	s, _ := w.sidecar()
	c := talk(t, s.Addr, "/chat", freshOffer, nil)
	inbox := ""
	var connections struct {
		Connections []struct {
			Name string   `json:"name"`
			Subs []string `json:"subscriptions_list"`
		} `json:"connections"`
	}
	if err := proc.Until(t.Context(), processLimit, processLook, func() bool {
		text, err := fetchText(fmt.Sprintf("http://127.0.0.1:%d/connz?subs=1", w.o.HTTPPort))
		if err != nil || json.Unmarshal([]byte(text), &connections) != nil {
			return false
		}
		for _, one := range connections.Connections {
			for _, subject := range one.Subs {
				if strings.Contains(one.Name, "wsresilience") && !strings.Contains(subject, "*") {
					inbox = subject
				}
			}
		}
		return inbox != ""
	}); err != nil {
		t.Fatalf("the sidecar reads nothing: %+v", connections)
	}
	if err := s.Signal(syscall.SIGSTOP); err != nil { // it gets no processor
		t.Fatal(err)
	}
	nc, err := nats.Connect(w.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range 64 {
		if err := nc.Publish(inbox, make([]byte, 512<<10)); err != nil {
			t.Fatal(err)
		}
	}
	w.exported("gnatsd_varz_slow_consumers", "", positive)
	log, err := os.ReadFile(w.o.LogFile)
	if err != nil || !regexp.MustCompile(`(?m)wsresilience-sidecar 127\.0\.0\.1.*Slow Consumer`).Match(log) {
		t.Errorf("the log does not name the connection: %v\n%s", err, log)
	}
	if err := s.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	series(t, s, "wsr_journal_available", func(v float64) bool { return v == 1 })
	c.say("nobody noticed")
}
