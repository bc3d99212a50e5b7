package session

import "time"

// Retuned returns the Config for sessions that live with c when what begins anew
// begins with to: to itself, or one that keeps the limits which were promised to
// their clients and apps.
func (c *Config) Retuned(to *Config) *Config {
	if c.WindowMessages == to.WindowMessages && c.WindowBytes == to.WindowBytes && c.MaxMessage == to.MaxMessage {
		return to
	}
	own := *to
	own.WindowMessages, own.WindowBytes, own.MaxMessage = c.WindowMessages, c.WindowBytes, c.MaxMessage
	return &own
}

// Config returns what the session shares with others.
func (s *Session) Config() *Config { return s.cfg.shared() }

// Config is as in Session.
func (p *Plain) Config() *Config { return p.cfg.shared() }

// Configure gives the session another Config, made by Retuned of the one that it
// has. Its heartbeats follow it, and so do its Rates: other ones begin as if its
// client had sent nothing yet.
func (s *Session) Configure(now time.Time, cfg *Config) {
	s.cfg = s.cfg.replacedBy(cfg)
	s.client.beat.Configure(now, cfg.Heartbeat)
}

// Configure is as in Session. The client of a Plain is pinged from now on, or not,
// as PlainHeartbeat says.
func (p *Plain) Configure(now time.Time, cfg *Config) {
	p.cfg = p.cfg.replacedBy(cfg)
	p.beat.Configure(now, cfg.Heartbeat)
}

// shared is the Config that c is, or is a copy of.
func (c *Config) shared() *Config {
	if c.pace != nil {
		return c.pace.shared
	}
	return c
}

// replacedBy is cfg for the session that has c: what was counted stays, unless
// other limits count it.
func (c *Config) replacedBy(cfg *Config) *Config {
	own := cfg.paced()
	if own.pace != nil && c.pace != nil && own.Rates == c.Rates {
		*own.pace = *c.pace
		own.pace.shared = cfg
	}
	return own
}
