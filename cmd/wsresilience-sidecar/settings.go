package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/certfile"
	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/page"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
)

// proxyConfig makes the proxy's settings of the sidecar's.
func (s *sidecar) proxyConfig(ring *keyring.Ring) (proxy.Config, error) {
	c := s.cfg
	policies, err := policiesOf(c)
	if err != nil {
		return proxy.Config{}, err
	}
	if err := s.openPeerTLS(); err != nil {
		return proxy.Config{}, err
	}
	p := tunable(c, policies)
	p.Upstream, p.AppRetry = string(c.Upstream), c.UpstreamRetry
	p.Advertise, p.LeaseTTL = s.name, c.LeaseTTL
	p.Tokens, p.Proofs = ring.Derive("wsr token"), ring.Derive("wsr tunnel")
	p.Bind, p.EndReused, p.ResumeAuth, p.ReauthEvery = c.TokenBind, c.TokenReuse == config.ReuseEnd, string(c.ResumeAuth), c.ReauthEvery
	p.PlainResume, p.Driver = string(c.PlainResume), transport.Driver(c.Driver)
	p.KeyStore = s.journal.Keys()
	if len(c.Share) > 0 {
		p.SharedBy, p.ShareLag, p.ShareMembers = c.Share.By, int(c.ShareLag), c.ShareMembers
	}
	p.Store, p.Share, p.StrictStore = s.journal, s.journal.Share, c.StorePolicy == config.StoreStrict
	p.TLSCert, p.TLSKey = string(c.TLSCert), string(c.TLSKey)
	p.CloseTimeout = c.CloseTimeout
	p.HandshakeTimeout, p.HTTPIdle, p.ForwardedProto, p.Upgrades = c.HandshakeTimeout, c.HTTPIdle, string(c.ForwardedProto), c.Upgrades
	p.SessionTTL, p.SessionTTLGoingAway = c.SessionTTL, c.SessionTTLGoingAway
	p.PersistAfter, p.PersistAway, p.HandOverQuiet, p.HandOverPatience = c.PersistAfter, orAtOnce(c.PersistAway), c.HandoverQuiet, drain.Patience(c.DrainTime())
	p.LogClient, p.TrustedProxies = clientDetails[c.LogClient], clientaddr.Proxies(c.TrustedProxies)
	p.Observer, p.Logger = s.observers, s.log
	p.Propagators = s.propagators
	p.Pages = pagePolicy(c, s.log)
	if s.traces != nil {
		p.Tracer, p.TraceMessages = s.traces, c.TraceMessages
	}
	if s.leases != nil {
		p.Peers = s.leases
	}
	if s.peerTLS != nil {
		p.PeerTLS = func() *tls.Config { return s.peerTLS.Current(time.Now()) }
	}
	return p, nil
}

// orAtOnce has the proxy take 0 for what it says.
func orAtOnce(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// pagePolicy returns what the settings say of pages. nil: nothing.
func pagePolicy(c *config.Config, log *slog.Logger) *page.Policy {
	if c.PageClient == config.PageClientOff {
		return nil
	}
	p := page.Config{Prefix: string(c.PageClientPrefix), Hosts: c.PageClientHosts, Badge: c.PageClientBadge == config.On, Log: log}
	if c.PageClient == config.PageClientInject {
		p.Inject = c.PageClientPaths.Match
	}
	if paths := c.ResilientPaths.String(); paths != "*" {
		p.Sockets = paths
	}
	return page.New(p)
}

// tunable is what of the proxy's settings may change while it runs: see
// proxy.Server.Reload, and the tag reload in package config.
func tunable(c *config.Config, of policies) proxy.Config {
	return proxy.Config{
		Resilient: c.ResilientPaths.Match, Adopt: adoptRule(c.Adopt), Snapshots: of.snapshots, Keys: of.keys, State: of.state,
		WindowMessages: c.WindowMessages, WindowBytes: int(c.WindowBytes), MaxMessage: int(c.MaxMessage),
		MemoryBudget: int64(c.MemoryBudget), MaxSessions: c.MaxSessions, MaxSessionsPerClient: c.MaxSessionsPerClient,
		Rates:          session.Rates{Messages: c.RateMessages, Bytes: int(c.RateBytes), Control: c.RateControl, Resumes: c.RateResumes},
		Heartbeat:      heartbeat.Config{Base: c.HeartbeatBase, Min: c.HeartbeatMin, Max: c.HeartbeatMax, Misses: c.HeartbeatMisses},
		PlainHeartbeat: plainHeartbeats[c.PlainHeartbeat],
	}
}

// plainHeartbeats are the values of WSR_PLAIN_HEARTBEAT.
var plainHeartbeats = map[config.PlainHeartbeat]session.PlainHeartbeat{
	config.PlainHeartbeatMeasure: session.PlainMeasure,
	config.PlainHeartbeatEnforce: session.PlainEnforce,
	config.PlainHeartbeatOff:     session.PlainOff,
}

// clientDetails are the values of WSR_LOG_CLIENT.
var clientDetails = map[config.LogClient]event.ClientDetail{
	config.LogAddress: event.TellAddress,
	config.LogPrefix:  event.TellPrefix,
	config.LogNothing: event.TellNothing,
}

// policies are what the settings say of messages.
type policies struct {
	snapshots *snapshot.Policy
	keys      *idempotency.Policy
	state     *sharing.Policy
}

// policiesOf reads the rules in the settings; its error is one of config.
func policiesOf(c *config.Config) (of policies, err error) {
	if of.snapshots, err = snapshot.New(c.Rules(), c.AppProtocol, c.SessionTTL, presets.All()); err != nil {
		return of, c.RulesProblem(err)
	}
	of.snapshots = of.snapshots.WithLife(c.SnapshotTTL)
	if of.keys, err = idempotency.New(c.KeyRules()); err != nil {
		return of, c.KeyRulesProblem(err)
	}
	if of.state, err = sharing.NewPolicy(c.SharedStateRules()); err != nil {
		return of, c.StateRulesProblem(err)
	}
	return of, nil
}

// checkRules reports what is wrong with the rules.
func checkRules(c *config.Config) error {
	_, err := policiesOf(c)
	return err
}

// adoptRule is WSR_ADOPT: whether a session goes on with a fresh app socket,
// given that its client offered wsr.adopt, and that its context is known.
func adoptRule(a config.Adopt) func(asked, covered bool) bool {
	switch a {
	case config.AdoptAlways:
		return func(bool, bool) bool { return true }
	case config.AdoptNever:
		return func(bool, bool) bool { return false }
	}
	return func(asked, covered bool) bool { return asked || covered }
}

// openPeerTLS reads the files of mutual TLS between sidecars, if there are any.
func (s *sidecar) openPeerTLS() (err error) {
	c := s.cfg
	if !c.PeerTLS() {
		return nil
	}
	s.peerTLS, err = certfile.NewMutual(string(c.PeerCert), string(c.PeerKey), string(c.PeerCA), s.log)
	if err != nil {
		return fmt.Errorf("WSR_PEER_CERT, WSR_PEER_KEY and WSR_PEER_CA: %w", err)
	}
	return nil
}

// certificates is what there is to know of the certificates, for metrics.
func (s *sidecar) certificates() (list []observe.CertificateState) {
	add := func(of string, st certfile.State) {
		list = append(list, observe.CertificateState{Of: of, NotAfter: st.NotAfter, Invalid: st.Invalid})
	}
	if st, ok := s.proxy.Certificate(); ok {
		add("listener", st)
	}
	if s.peerTLS != nil {
		add("peers", s.peerTLS.State(time.Now()))
	}
	return list
}
