package config

import "time"

const (
	// idleCut is the idle timeout after which some middleboxes cut a
	// connection.
	idleCut = 30 * time.Second

	// election is what a NATS cluster takes at most to elect a leader (9 s), and
	// one renewal of the lease. A shorter lease may expire while its owner is
	// alive.
	election = 12 * time.Second
)

// lint warns of what is allowed but likely a mistake.
func (l *loader) lint() {
	c := l.cfg
	if c.HeartbeatMax >= idleCut {
		l.warn("WSR_HEARTBEAT_MAX is %s: proxies that drop connections after 30 s without traffic will cut idle ones.", formatDuration(c.HeartbeatMax))
	}
	if c.HeartbeatBase < c.HeartbeatMin {
		l.warn("WSR_HEARTBEAT_BASE is %s: with WSR_HEARTBEAT_MIN at %s heartbeats are no more frequent than that.", formatDuration(c.HeartbeatBase), formatDuration(c.HeartbeatMin))
	}
	if !c.Embedded() && c.LeaseTTL < election {
		l.warn("WSR_LEASE_TTL is %s: the election of a NATS leader takes up to 9 s, so below 12s sidecars that are alive may be taken for gone.", formatDuration(c.LeaseTTL))
	}
	if !c.Embedded() && c.SessionTTL < c.LeaseTTL {
		l.warn("WSR_SESSION_TTL is %s and WSR_LEASE_TTL is %s: sessions of a sidecar that crashed expire before another one may adopt them.",
			formatDuration(c.SessionTTL), formatDuration(c.LeaseTTL))
	}
	if l.given["WSR_PEER_LISTEN"] && !c.PeerTLS() {
		l.warn("WSR_PEER_LISTEN is set, but nothing listens there without WSR_PEER_CERT, WSR_PEER_KEY and WSR_PEER_CA.")
	}
}
