package agent

import (
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wsresilience/wsresilience/client"
)

// counters are what the agent has done.
type counters struct {
	accepted, failed, lost, doubtful, expired, sent, received atomic.Int64
}

// A line of the status page.
type line struct {
	Path, State, Session string
	Resilient            bool
	Unacked              int
	Age                  time.Duration
}

func (a *Agent) lines() []line {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []line
	for _, s := range a.running {
		l := line{Path: s.path, State: "connecting", Age: time.Since(s.began).Round(time.Second)}
		if far := s.far.Load(); far != nil {
			l.State, l.Session, l.Resilient, l.Unacked = far.State().String(), far.SessionID(), far.Resilient(), far.Unacked()
		}
		list = append(list, l)
	}
	return list
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="5">
<title>wsresilience agent</title>
<style>:root{color-scheme:light dark}body{font:16px system-ui;margin:2em}table{border-collapse:collapse}td,th{text-align:left;padding:.3em 1em .3em 0}</style>
<h1>wsresilience agent</h1>
<p>Server: {{.Target}}. Programs: {{len .Lines}}.
<table><tr><th>path<th>state<th>resilient<th>unacknowledged<th>age<th>session
{{range .Lines}}<tr><td>{{.Path}}<td>{{.State}}<td>{{.Resilient}}<td>{{.Unacked}}<td>{{.Age}}<td>{{.Session}}
{{end}}</table>
`))

// admin serves the status page and the metrics, to this machine and to whoever
// asks by an address: a name could be one that a page has pointed here.
func (a *Agent) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "wsresilience-agent: the status page is for this machine", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_ = page.Execute(w, map[string]any{"Target": a.target.String(), "Lines": a.lines()})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ready") })
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry(), promhttp.HandlerOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isAddress(r.Host) {
			http.Error(w, "wsresilience-agent: ask by an address, or localhost", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isAddress reports whether a Host field has an IP address or localhost in it.
func isAddress(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	_, err = netip.ParseAddr(name)
	return err == nil || name == "localhost"
}

// counted are the counters as Prometheus has them.
func (c *counters) counted() []metric {
	return []metric{
		{"wsr_agent_connections_total", "Connections of programs.", count(&c.accepted)},
		{"wsr_agent_dials_failed_total", "Sessions that could not begin: the server was out of reach, or refused.", count(&c.failed)},
		{"wsr_agent_sessions_lost_total", "Sessions that could not be resumed.", count(&c.lost)},
		{"wsr_agent_messages_doubtful_total", "Messages of lost sessions that may have been delivered, and were not sent again.", count(&c.doubtful)},
		{"wsr_agent_messages_expired_total", "Messages that were older than WSR_AGENT_MAX_AGE, and were not sent.", count(&c.expired)},
		{"wsr_agent_messages_sent_total", "Messages that programs have sent.", count(&c.sent)},
		{"wsr_agent_messages_received_total", "Messages that programs were given.", count(&c.received)},
	}
}

// measured are what is true now.
func (a *Agent) measured() []metric {
	sum := func(of func(line) int) func() float64 {
		return func() (n float64) {
			for _, l := range a.lines() {
				n += float64(of(l))
			}
			return n
		}
	}
	return []metric{
		{"wsr_agent_messages_unacknowledged", "Messages that the server's app has not got, as far as is known.", sum(func(l line) int { return l.Unacked })},
		{"wsr_agent_sessions_connected", "Programs whose session has a connection.", sum(func(l line) int {
			if l.State == client.StateConnected.String() {
				return 1
			}
			return 0
		})},
	}
}

// A metric is read when it is asked for.
type metric struct {
	name, help string
	value      func() float64
}

func count(n *atomic.Int64) func() float64 { return func() float64 { return float64(n.Load()) } }

func (a *Agent) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	for _, m := range a.counters.counted() {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.name, Help: m.help}, m.value))
	}
	for _, m := range a.measured() {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.name, Help: m.help}, m.value))
	}
	return r
}

// MetricsMarkdown is the table of the metrics.
func MetricsMarkdown() string {
	var b strings.Builder
	b.WriteString("| metric | type | |\n|---|---|---|\n")
	a := &Agent{}
	for _, m := range a.counters.counted() {
		fmt.Fprintf(&b, "| `%s` | counter | %s |\n", m.name, m.help)
	}
	for _, m := range a.measured() {
		fmt.Fprintf(&b, "| `%s` | gauge | %s |\n", m.name, m.help)
	}
	return b.String()
}
