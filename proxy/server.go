// Package proxy is the sidecar's data path: it takes the app's port over,
// passes HTTP through, and joins every WebSocket to a machine of package
// session. Sockets, timers and handshakes are here; what to do with the bytes
// is decided there.
package proxy

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/certfile"
	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/internal/page"
	"github.com/wsresilience/wsresilience/internal/passthrough"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/reauth"
	"github.com/wsresilience/wsresilience/internal/replytime"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits.
const (
	// headTimeout ends a client that drips its request head (H23).
	headTimeout = 10 * time.Second

	// tokenLife bounds a token that is never used. How long a session may be
	// resumed is for its TTL to say; this only ends what was stolen long ago.
	tokenLife = 7 * 24 * time.Hour
)

// Config says what a Server does. Upstream and Tokens must be set. Reload says what
// may change later.
type Config struct {
	Upstream  string                                                               // http://host:port or unix:/path
	Resilient func(path string) bool                                               // where sessions are offered; nil: everywhere
	Adopt     func(asked, covered bool) bool                                       // whether a session goes on with a fresh app socket, when its client asked for that, or its context is known; nil: in either case
	DialApp   func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
	Advertise string                                                               // this sidecar's name in tokens and records, with its address (package instance)
	Tokens    wire.Sealer
	Proofs    wire.Sealer  // of tunnelled requests; nil: no tunnels
	Store     store.Store  // nil: no journal
	Share     func() int64 // bytes of records that the journal takes from one session; nil: no limit
	TLSCert   string       // files; empty: no TLS. Read again when they change
	TLSKey    string

	// ForwardedProto is the scheme by which clients ask, http or https, where that
	// is known and nothing in front says so; empty: known only where TLS ends
	// here.
	ForwardedProto string
	// HTTPIdle is how long a client's connection is kept between requests of
	// plain HTTP, HandshakeTimeout how long the app may take to answer a
	// handshake. Zero: 620s, 60s.
	HTTPIdle, HandshakeTimeout time.Duration
	// CloseTimeout is how long a connection that is being closed is kept while
	// nothing moves on it: where one side of a plain WebSocket has ended, and where
	// a client takes nothing more of what it was sent. Zero: 60s.
	CloseTimeout time.Duration
	// Pages says which pages get the page client, and serves it. nil: none do.
	Pages *page.Policy
	// Upgrades lists the protocols beside WebSocket that the app may switch to.
	Upgrades []string

	WindowMessages, WindowBytes, MaxMessage int // zero: 4096, 1 MiB, 1 MiB
	MemoryBudget                            int64
	MaxSessions, MaxSessionsPerClient       int           // plain connections count too; zero: any number
	Rates                                   session.Rates // of each client; zero: any
	SessionTTL, SessionTTLGoingAway         time.Duration // zero: 5m, 10s
	PersistAfter                            time.Duration // zero: 50ms
	PersistAway                             time.Duration // zero: 2s; negative: at once

	// A session is handed over when its app has answered what it was asked: when
	// that is known to take no longer, and HandOverQuiet after the last message
	// at the earliest; after HandOverPatience in any case. Zero: 100ms, 5s.
	HandOverQuiet, HandOverPatience time.Duration

	Heartbeat      heartbeat.Config
	PlainHeartbeat session.PlainHeartbeat // of clients without wsr.v1

	// Bind lists what tokens are bound to beside Origin, path and Host:
	// authorization, cookie:<name>, header:<name>. The entries any-path and
	// any-host say that a token is good at any path or Host; ResumeAuth then
	// cannot be asked about what the session began with.
	Bind []string
	// ResumeAuth is a path of the app that is asked before a resume, and says
	// 2xx if the client may; empty: nobody is asked.
	ResumeAuth string
	// ReauthEvery is how often ResumeAuth is asked about clients that are there,
	// at least; 0: it is not.
	ReauthEvery time.Duration

	// EndReused ends a session when a copy of its token comes that is used up.
	EndReused bool

	// Snapshots knows what fresh app sockets must hear; nil: nothing.
	Snapshots *snapshot.Policy
	// Keys knows which messages act once; nil: none. KeyStore keeps what is known of
	// them for all sidecars; nil: this one alone knows.
	Keys     *idempotency.Policy
	KeyStore KeyStore
	// AppRetry is how long clients are held while the app restarts; 0: not.
	AppRetry time.Duration
	// PlainResume says how a client without wsr.v1 names its session: by
	// query:<name> or cookie:<name>; empty: it has none.
	PlainResume string
	// SharedBy says how clients on a path name the user whose session they share:
	// by cookie:<name>, header:<name> or query:<name>; empty: they share none. nil:
	// nobody does.
	SharedBy func(path string) string
	// ShareLag is how many bytes of the app's messages a shared session keeps for
	// members that are behind. Zero: 1 MiB.
	ShareLag int
	// State knows which of the app's messages on a path are the state of a shared
	// session; nil: none.
	State *sharing.Policy
	// ShareMembers is how many members a shared session may have. Zero: 16.
	ShareMembers int
	// StrictStore refuses new sessions while the journal is away.
	StrictStore bool

	Peers    Peers              // nil: nobody else shares the journal
	LeaseTTL time.Duration      // zero: 20s; how long an owner that lives may be out of reach
	PeerTLS  func() *tls.Config // mutual TLS between sidecars, as it is now; nil: as the proxy port

	// Driver says how sockets are read; empty: transport.DriverAuto.
	Driver transport.Driver

	// LogClient is how much of a client's address is told in logs and reports.
	LogClient event.ClientDetail
	// TrustedProxies may say at which address a client is.
	TrustedProxies clientaddr.Proxies

	Tracer Tracer // nil: nothing is traced
	// Propagators are how requests say in which trace they are.
	Propagators traceparent.Propagators
	// TraceMessages has every so-manieth message of a traced session traced, of each
	// direction; 0: none.
	TraceMessages int
	Observer      event.Observer // nil: none
	Logger        *slog.Logger   // nil: none
}

// Peers is what is known of the sidecars that share the journal. It is safe
// for concurrent use and does not wait.
type Peers interface {
	// Lease reports whether a sidecar, named as in tokens and records, lives.
	Lease(owner string) store.LeaseState
	// Write returns the version of a format that is written now: the newest of
	// own that all that live read.
	Write(format string, own formats.Range) uint8
	// NoneNewer returns for how long no sidecar that lives has read a newer version
	// of a format than this one does; 0: one may.
	NoneNewer(format string) time.Duration
	// At reports whether one that lives, other than this, is reached at an address.
	At(address netip.Addr) bool
}

// What formats are called where sidecars say what they read.
const (
	TokenFormat  = "token"
	RecordFormat = "record"
)

// Server is one sidecar's proxy. Make it with New; its methods are safe for
// concurrent use.
type Server struct {
	// Immutable.
	cfg         Config // as it was begun with: what Reload changes is in live
	upstream    *upgrade.App
	passthrough *passthrough.Handler
	admission   admission.Policy
	reauth      reauth.Schedule
	scheme      string
	certificate *certfile.Pair // of the clients' port; nil: none
	tls         *tls.Config    // nil: none
	http        *http.Server
	peerHTTP    *http.Server // ServePeers
	peerRoom    peerRoom
	slowings    session.Slowings
	observer    event.Observer // nil: none
	log         *slog.Logger
	pool        *seqwindow.Pool
	began       time.Time
	clientBuffers,
	appBuffers *frame.Buffers

	live      atomic.Pointer[live] // what Reload changes
	reloading sync.Mutex           // one Reload at a time

	timers        timers
	sockets       transport.Sockets
	appSockets    appSockets
	sessions      registry
	shares        shares
	replies       replytime.Paths
	moved         movedConns
	peers         *peer.Forwarder
	peerAddresses peerAddresses
	asking        chan struct{}  // questions to the app about clients, under way
	work          sync.WaitGroup // appends and dials under way
	drainState    drainState
	shortages     shortages
	limit         sessionLimit
	handshakes    atomic.Int32  // under way
	evictNow      chan struct{} // wakes evictWatch
	stallDetector stallDetector
	journalAway   atomic.Bool
	reissue       reissue
	keys          knownKeys
	appends       appendQueue
	early, away   earlyRecords

	life context.Context // ends with Shutdown
	die  context.CancelFunc
}

// New makes a server. It opens nothing yet.
func New(cfg Config) (*Server, error) {
	up, err := upgrade.ParseApp(cfg.Upstream)
	if err != nil {
		return nil, err
	}
	if cfg.DialApp != nil {
		up.Dialer = cfg.DialApp
	}
	if cfg.Tokens == nil {
		return nil, errors.New("proxy: Config.Tokens is nil: tokens could not be sealed")
	}
	cfg.setDefaults()
	s := &Server{cfg: cfg, upstream: up, observer: cfg.Observer, log: cfg.Logger, began: time.Now()}
	up.Dialer, up.PortsShort = s.appSockets.watch(httpguard.SpareDescriptors(up.Dialer, s.descriptorsShort)), s.portsShort
	s.life, s.die = context.WithCancel(context.Background())
	if cfg.Peers != nil {
		s.stallDetector.start(time.Now(), cfg.LeaseTTL/2)
	}
	s.pool = seqwindow.NewPool(cfg.MemoryBudget)
	s.sockets.Driver, s.sockets.Scarce, s.sockets.Stalled = cfg.Driver, s.readLittle, cfg.CloseTimeout
	s.sockets.Refused = func(err error) {
		s.log.Warn("an event loop reads each socket by itself, which costs more", "error", err)
	}
	if _, err := s.Driver(); err != nil && cfg.Driver == transport.DriverAIO {
		return nil, fmt.Errorf("proxy: Linux AIO does not work here, so leave WSR_DRIVER=aio out: %w", err)
	}
	cfg.Pages.CountAgainst(s.pool.Memory())
	s.clientBuffers, s.appBuffers = s.buffers(clientShare), s.buffers(appShare)
	s.sessions.init()
	s.keys.store = cfg.KeyStore
	s.appends.work, s.appends.append, s.appends.told = &s.work, (*sessionDriver).append, (*sessionDriver).persisted
	s.timers.late = func(d time.Duration) { s.observe(event.Event{Kind: event.TimersFired, Took: d}) }
	s.limit.set(cfg.MaxSessions, cfg.MaxSessionsPerClient)
	s.evictNow = make(chan struct{}, 1)
	s.live.Store(s.newLive(cfg))
	s.scheme = "http"
	if cfg.TLSCert != "" {
		cert, err := certfile.NewPair(cfg.TLSCert, cfg.TLSKey, cfg.Logger)
		if err != nil {
			return nil, err
		}
		s.scheme, s.certificate, s.tls = "https", cert, listenerTLS(cert)
	}
	up.Proto, up.HandshakeTimeout = cfg.ForwardedProto, cfg.HandshakeTimeout
	s.passthrough = passthrough.New(s.passthroughConfig())
	s.peers = peer.New(s.peerConfig())
	s.admission = admission.Policy{
		Self: cfg.Advertise, Journal: cfg.Store != nil, Authorize: cfg.ResumeAuth != "",
		SessionTTL: cfg.SessionTTL, LeaseTTL: cfg.LeaseTTL,
	}
	s.asking = make(chan struct{}, maxAsking)
	if cfg.ResumeAuth != "" {
		s.reauth = reauth.Schedule{Every: cfg.ReauthEvery, Random: mathrand.Float64}
	}
	s.http, s.peerHTTP = s.newHTTP(s.serve), s.newHTTP(s.servePeer)
	s.peerRoom.known = s.knownPeer
	onlyPeers(s.peerHTTP, &s.peerRoom)
	return s, nil
}

// Implementation limits of a connection of HTTP/2.
const (
	// http2Window is what a client may send that the app has not taken: net/http
	// keeps it, outside of the memory budget.
	http2Window = 256 << 10

	// http2Streams are as many requests at a time as RFC 9113 recommends at least.
	http2Streams = 100
)

// newHTTP makes a server that is as strict as we are with handler.
func (s *Server) newHTTP(handler http.HandlerFunc) *http.Server {
	h := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       s.cfg.HTTPIdle,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return s.passthrough.ConnContext(peer.ConnContext(ctx, c), c)
		},
		MaxHeaderBytes: httpguard.MaxHeadBytes,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Protocols:      new(http.Protocols),
	}
	h.Protocols.SetHTTP1(true)
	h.Protocols.SetUnencryptedHTTP2(true)
	h.Protocols.SetHTTP2(true)
	h.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: http2Window, MaxReceiveBufferPerStream: http2Window, MaxConcurrentStreams: http2Streams}
	return h
}

func (c *Config) setDefaults() {
	setDefault(&c.WindowMessages, seqwindow.DefaultMessages)
	setDefault(&c.WindowBytes, seqwindow.DefaultBytes)
	setDefault(&c.MaxMessage, 1<<20)
	setDefault(&c.SessionTTL, 5*time.Minute)
	setDefault(&c.SessionTTLGoingAway, 10*time.Second)
	setDefault(&c.PersistAfter, 50*time.Millisecond)
	setDefault(&c.PersistAway, 2*time.Second)
	setDefault(&c.HandOverQuiet, 100*time.Millisecond)
	setDefault(&c.HandOverPatience, 5*time.Second)
	setDefault(&c.LeaseTTL, 20*time.Second)
	setDefault(&c.HTTPIdle, 620*time.Second)
	setDefault(&c.HandshakeTimeout, time.Minute)
	setDefault(&c.CloseTimeout, time.Minute)
	setDefault(&c.ShareLag, seqwindow.DefaultBytes)
	setDefault(&c.ShareMembers, 16)
	if c.Resilient == nil {
		c.Resilient = func(string) bool { return true }
	}
	if c.Adopt == nil {
		c.Adopt = func(asked, covered bool) bool { return asked || covered }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T int | time.Duration](v *T, standard T) {
	if *v == 0 {
		*v = standard
	}
}

// Serve accepts connections on l until Shutdown, and closes l. It returns nil
// after Shutdown, and otherwise why it ended.
func (s *Server) Serve(l net.Listener) error {
	if s.cfg.Peers != nil {
		go s.stallDetector.watch(s.life.Done())
	}
	if s.pool.Budget() > 0 {
		s.work.Go(s.evictWatch)
	}
	if s.reauth.Every > 0 {
		s.work.Go(s.reauthorize)
	}
	l = httpguard.KeepDescriptors(l, s.descriptorsShort)
	if s.tls != nil {
		l = httpguard.TLS(l, s.tls, s.tlsHandshakes())
	}
	if err := s.http.Serve(s.passthrough.Listener(l)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("proxy: serve %s: %w", l.Addr(), err)
	}
	return nil
}

// kill drops a driver that did not come to its end in time.
func (c *sessionDriver) kill() {
	c.enter()
	defer c.leave()
	c.abandonLocked(session.EndedKilled)
}

// recordVersion is that of the records which all sidecars read.
func (s *Server) recordVersion() uint8 {
	if s.cfg.Peers == nil {
		return store.Versions().Newest
	}
	return s.cfg.Peers.Write(RecordFormat, store.Versions())
}

// tokenVersion is that of the tokens which all sidecars read.
func (s *Server) tokenVersion() uint8 {
	if s.cfg.Peers == nil {
		return wire.TokenVersions().Newest
	}
	return s.cfg.Peers.Write(TokenFormat, wire.TokenVersions())
}

// noneNewer returns for how long nobody has read newer formats. Without other
// sidecars that share the journal, it is as long as this one has been here: what
// is in it, nobody else can read.
func (s *Server) noneNewer() admission.NoneNewer {
	if s.cfg.Peers == nil {
		alone := time.Since(s.began)
		return admission.NoneNewer{Tokens: alone, Records: alone}
	}
	return admission.NoneNewer{Tokens: s.cfg.Peers.NoneNewer(TokenFormat), Records: s.cfg.Peers.NoneNewer(RecordFormat)}
}

// newToken seals the token for a session's next resume.
func (s *Server) newToken(t wire.Token) string {
	t.Version, t.Expires, t.Owner = s.tokenVersion(), t.Issued.Add(tokenLife), s.cfg.Advertise
	return wire.SealToken(s.cfg.Tokens, &t)
}

// askedRetry is how clients are asked to come back. One that is being welcomed is
// a session already, or will be.
func (s *Server) askedRetry() (first, most time.Duration) {
	return backoff.Load{Sessions: max(s.sessions.resilient(), 1), Draining: s.Draining()}.Asked()
}

func newSessionID() (id wire.SessionID) {
	_, _ = io.ReadFull(rand.Reader, id[:]) // crypto/rand does not fail
	return id
}
