package observe

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/session"
)

// Watch makes every scrape ask stats, which must be safe for concurrent use.
// Until then all of it reads 0.
func (m *Metrics) Watch(stats func() event.Stats) { m.traffic.stats.Store(&stats) }

// traffic turns Stats into metrics, so that the data path counts in plain
// integers of its own.
type traffic struct {
	stats atomic.Pointer[func() event.Stats]
	descs map[string]*prometheus.Desc
}

// A series is one value of a metric of traffic. The first of a name carries
// its help.
type series struct {
	name, help string
	typ        prometheus.ValueType
	value      func(*event.Stats) float64
	labels     []string // name, value, ...
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// trafficSeries lists all series; those of a name stand together.
func trafficSeries() []series {
	list := []series{
		{"wsr_sessions", "Sessions that live; a plain connection counts as one.", gauge,
			func(s *event.Stats) float64 { return float64(s.Plain) }, []string{"state", "plain"}},
		{"wsr_sessions", "", gauge, func(s *event.Stats) float64 { return float64(s.Attached) }, []string{"state", "attached"}},
		{"wsr_sessions", "", gauge, func(s *event.Stats) float64 { return float64(s.Detached) }, []string{"state", "detached"}},
		{"wsr_window_bytes", "Bytes that count against the memory budget: windows, messages that have not come whole, what plain connections keep.", gauge,
			func(s *event.Stats) float64 { return float64(s.WindowBytes) }, nil},
		{"wsr_memory_budget_bytes", "Limit on wsr_window_bytes (WSR_MEMORY_BUDGET).", gauge,
			func(s *event.Stats) float64 { return float64(s.Budget) }, nil},
		{"wsr_tunnels", "Connections that are passed on to the sidecars that own their sessions.", gauge,
			func(s *event.Stats) float64 { return float64(s.Tunnels) }, nil},
		{"wsr_old_tokens", "Clients whose token has a key or a format that is about to go, and who are still to be asked to come for another.", gauge,
			func(s *event.Stats) float64 { return float64(s.OldTokens) }, nil},
		{"wsr_draining", "1 while the sidecar hands its sessions over to stop, otherwise 0.", gauge,
			func(s *event.Stats) float64 {
				if s.Draining {
					return 1
				}
				return 0
			}, nil},
		{"wsr_links_suspicious", "Links whose round-trip times deviate by more than 40 ms: something on the path is likely to buffer or inspect what passes.", gauge,
			func(s *event.Stats) float64 { return float64(s.Suspicious) }, nil},
		{"wsr_used_ratio", "How much is used of what the sidecar has: memory of WSR_MEMORY_BUDGET, time of the busiest event loop, handshakes of those that may be under way, sessions of WSR_MAX_SESSIONS, records on their way to the journal of those above which it counts as busy. 0 where there is no limit.", gauge,
			func(s *event.Stats) float64 { return s.Used.Memory }, []string{"of", "memory"}},
		{"wsr_used_ratio", "", gauge, func(s *event.Stats) float64 { return s.Used.Loops }, []string{"of", "loops"}},
		{"wsr_used_ratio", "", gauge, func(s *event.Stats) float64 { return s.Used.Handshakes }, []string{"of", "handshakes"}},
		{"wsr_used_ratio", "", gauge, func(s *event.Stats) float64 { return s.Used.Sessions }, []string{"of", "sessions"}},
		{"wsr_used_ratio", "", gauge, func(s *event.Stats) float64 { return s.Used.Journal }, []string{"of", "journal"}},
		{"wsr_driver", "1 for how the sockets of sessions are read and written where they have no TLS (WSR_DRIVER), 0 for the other ways.", gauge,
			driverIs("aio"), []string{"driver", "aio"}},
		{"wsr_driver", "", gauge, driverIs("epoll"), []string{"driver", "epoll"}},
		{"wsr_driver", "", gauge, driverIs("goroutine"), []string{"driver", "goroutine"}},
		{"wsr_snapshot_sessions", "Sessions with messages that a fresh app socket has to hear.", gauge,
			func(s *event.Stats) float64 { return float64(s.Snapshots) }, nil},
		{"wsr_snapshot_bytes", "Bytes of those messages.", gauge,
			func(s *event.Stats) float64 { return float64(s.SnapshotBytes) }, nil},
	}
	for _, l := range []struct {
		label string
		limit session.Limit
	}{
		{"messages", session.LimitMessages}, {"bytes", session.LimitBytes}, {"control", session.LimitControl},
		{"resumes", session.LimitResumes}, {"memory", session.LimitMemory},
	} {
		list = append(list, series{
			"wsr_clients_slowed_total", "Times that a client had to wait for a limit: WSR_RATE_MESSAGES, _BYTES, _CONTROL or _RESUMES, or the memory for a message that has not come whole. A pause counts once, a resume that came too soon each time.", counter,
			func(s *event.Stats) float64 { return float64(s.Slowed[l.limit]) }, []string{"limit", l.label},
		})
	}
	type count = func(*session.Counters) uint64
	for _, t := range []struct {
		name, help string
		labels     []string
		value      count
	}{
		{"wsr_messages_total", "Data messages; what came again is left out.", []string{"direction", "inbound"},
			func(c *session.Counters) uint64 { return c.InMessages }},
		{"wsr_messages_total", "", []string{"direction", "outbound"}, func(c *session.Counters) uint64 { return c.OutMessages }},
		{"wsr_message_bytes_total", "Bytes of data messages.", []string{"direction", "inbound"},
			func(c *session.Counters) uint64 { return c.InBytes }},
		{"wsr_message_bytes_total", "", []string{"direction", "outbound"}, func(c *session.Counters) uint64 { return c.OutBytes }},
		{"wsr_heartbeats_sent_total", "Heartbeats that were sent to clients.", nil,
			func(c *session.Counters) uint64 { return c.BeatsSent }},
		{"wsr_heartbeats_answered_total", "Heartbeats that clients answered.", nil,
			func(c *session.Counters) uint64 { return c.BeatsHeard }},
		{"wsr_heartbeats_dropped_total", "Heartbeats and answers that were damaged, stale or unknown.", nil,
			func(c *session.Counters) uint64 { return c.BeatsDropped }},
	} {
		list = append(list,
			series{t.name, t.help, counter, func(s *event.Stats) float64 { return float64(t.value(&s.PlainTraffic)) }, append([]string{"kind", "plain"}, t.labels...)},
			series{t.name, "", counter, func(s *event.Stats) float64 { return float64(t.value(&s.Traffic)) }, append([]string{"kind", "resilient"}, t.labels...)})
	}
	for _, t := range []struct {
		name, help string
		labels     []string
		value      count
	}{
		{"wsr_duplicates_dropped_total", "Messages that clients sent again although they had come.", nil,
			func(c *session.Counters) uint64 { return c.Duplicates }},
		{"wsr_replayed_messages_total", "Messages that were sent again after a resume.", nil,
			func(c *session.Counters) uint64 { return c.Replayed }},
		{"wsr_replayed_bytes_total", "Bytes of messages that were sent again after a resume.", nil,
			func(c *session.Counters) uint64 { return c.ReplayedBytes }},
		{"wsr_acks_total", "Acknowledgements, alone or in heartbeats.", []string{"direction", "sent"},
			func(c *session.Counters) uint64 { return c.AcksSent }},
		{"wsr_acks_total", "", []string{"direction", "received"}, func(c *session.Counters) uint64 { return c.AcksHeard }},
		{"wsr_window_full_total", "Times that an app had to wait because a window was full.", nil,
			func(c *session.Counters) uint64 { return c.WindowFull }},
	} {
		list = append(list, series{t.name, t.help, counter, func(s *event.Stats) float64 { return float64(t.value(&s.Traffic)) }, t.labels})
	}
	return list
}

func driverIs(name string) func(*event.Stats) float64 {
	return func(s *event.Stats) float64 {
		if s.Driver == name {
			return 1
		}
		return 0
	}
}

func newTraffic() *traffic {
	t := &traffic{descs: map[string]*prometheus.Desc{}}
	for _, s := range trafficSeries() {
		if t.descs[s.name] != nil {
			continue
		}
		var names []string
		for i := 0; i < len(s.labels); i += 2 {
			names = append(names, s.labels[i])
		}
		t.descs[s.name] = prometheus.NewDesc(s.name, s.help, names, nil)
	}
	return t
}

// Describe implements prometheus.Collector.
func (t *traffic) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range t.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It asks once, so that the values
// belong together.
func (t *traffic) Collect(ch chan<- prometheus.Metric) {
	var now event.Stats
	if stats := t.stats.Load(); stats != nil {
		now = (*stats)()
	}
	for _, s := range trafficSeries() {
		var values []string
		for i := 1; i < len(s.labels); i += 2 {
			values = append(values, s.labels[i])
		}
		ch <- prometheus.MustNewConstMetric(t.descs[s.name], s.typ, s.value(&now), values...)
	}
}
