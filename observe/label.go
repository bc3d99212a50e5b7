package observe

import "github.com/prometheus/client_golang/prometheus"

// other is the label of what is in no list. It bounds the number of time
// series whatever a caller passes, and keeps out what is no label (I9).
const other = "other"

// Values of labels, as proxy and session name them.
var (
	kinds = []string{"plain", "resilient"}

	// The checks that a request can fail before it reaches the app.
	refusals = []string{
		"body", "connect", "draining", "early", "expect", "fields", "head", "host", "key", "memory", "method", "misdirected", "offer", "origin",
		"proof", "proto", "protocols", "resume", "shutdown", "strict", "target", "upstream", "upstream_timeout", "version",
	}

	// Why a resilient session lost its connection.
	causes = []string{
		"client", "closed", "goaway", "gone", "handed", "heartbeat", "internal", "moved", "protocol", "shutdown", "superseded",
	}

	// Why a session, or a plain connection, is over.
	endings = []string{
		"app_protocol", "broken", "closed", "expired", "fenced", "handed", "memory", "panic", "protocol", "released", "shutdown", "timeout",
	}

	adoptions = []string{"app_restarted", "drained", "owner_lost"}
	resets    = []string{"lost", "token", "try_again", "unauthorised", "unknown"}

	tunnelOutcomes  = []string{"elsewhere", "refused", "served", "silent"}
	restartOutcomes = []string{"gave_up", "ok"}
	handovers       = []string{"deadline", "detached", "moved"}
	doubts          = []string{"confirmed", "fenced"}

	outcomes = []string{"failed", "ok", "refused"}
	states   = []string{"CONNECTED", "DEGRADED", "DISCONNECTED", "DISCONNECTING", "HANDSHAKING"}
	appends  = []string{"ok", "busy", "corrupt", "ended", "fenced", "full", "lost", "too_large", "unavailable"}
)

// A set is one counter per value of a label. It is made whole, so that a
// series is there, with 0, before its first event, and alerts can rely on it.
type set map[string]prometheus.Counter

// newSet makes the counters for the last label of vec; before are the values
// of the ones in front of it.
func newSet(vec *prometheus.CounterVec, values []string, before ...string) set {
	s := set{}
	for _, value := range values {
		s[value] = vec.WithLabelValues(append(before[:len(before):len(before)], value)...)
	}
	s[other] = vec.WithLabelValues(append(before[:len(before):len(before)], other)...)
	return s
}

// inc counts one event.
func (s set) inc(value string) {
	c, ok := s[value]
	if !ok {
		c = s[other]
	}
	c.Inc()
}
