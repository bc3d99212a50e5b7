// Package config reads the sidecar's settings from environment variables.
//
// Config is the only place where a setting is described: its tags carry the
// variable, the default, the bounds and the text of the documentation, and
// its type says how a value is read. The table in docs/CONFIG.md, the help
// text, the error messages and the masking of secrets all come from there.
package config

import (
	"log/slog"
	"strings"
	"time"
)

// Config is the effective set of settings. It is not
// changed after Load, so any number of goroutines may read it. Printing or logging a
// Config shows no secret (I9).
//
// Tags beside those of caarlos0/env: doc is the meaning; unset says what an
// empty value stands for; min and max are inclusive and in the field's own
// notation; oneof lists the only values; secret masks the value everywhere;
// lines is for a value that may have line breaks, which its type deals with;
// empty:"refused" is for a variable without default where set-but-empty is
// more likely a broken secret than meant; pod:"injector" is for what the
// injector decides in Kubernetes, which no annotation may set; reload says whom a change
// reaches without a restart (Reach).
type Config struct {
	ConfigFile File `env:"WSR_CONFIG_FILE" pod:"injector" unset:"none" empty:"refused" doc:"File with more settings, one NAME=value a line. It is read again when it changes, and what needs no restart is in force two seconds later. A setting that is in the environment too is taken from there."`

	Listen      Address `env:"WSR_LISTEN" pod:"injector" envDefault:":15801" doc:"The port that takes over the app's."`
	AdminListen Address `env:"WSR_ADMIN_LISTEN" pod:"injector" envDefault:":15802" doc:"For operators and probes: /livez, /readyz, /metrics, /drain, and what shows who is connected, as /sessions."`
	AdminToken  File    `env:"WSR_ADMIN_TOKEN_FILE" reload:"content" pod:"injector" unset:"none" private:"true" empty:"refused" doc:"File with a token of 16 characters or more, read at each use. With it, as Authorization: Bearer, an operator may drain, and see who is connected, from another machine; without it only from this machine or pod."`
	TLSCert     File    `env:"WSR_TLS_CERT" reload:"content" pod:"injector" unset:"no TLS" doc:"Certificate chain (PEM) of the listener, read again when it changes."`
	TLSKey      File    `env:"WSR_TLS_KEY" reload:"content" pod:"injector" unset:"no TLS" private:"true" doc:"Private key (PEM) of the certificate."`

	Upstream  Upstream `env:"WSR_UPSTREAM,required" pod:"injector" doc:"The app."`
	Advertise Address  `env:"WSR_ADVERTISE" pod:"injector" unset:"pod address and port" doc:"How other pods reach this one. The pod address is POD_IP, or else the first address of this machine that is not loopback; the port is that of WSR_LISTEN, or with mutual TLS that of WSR_PEER_LISTEN."`

	UpstreamRetry time.Duration `env:"WSR_UPSTREAM_RETRY" envDefault:"30s" min:"0s" max:"10m" doc:"How long clients are held while the app restarts. 0s: not at all."`

	HandshakeTimeout time.Duration `env:"WSR_HANDSHAKE_TIMEOUT" envDefault:"60s" min:"1s" max:"1h" doc:"How long the app may take to be connected and to answer the handshake of a WebSocket; then the client gets 504."`
	HTTPIdle         time.Duration `env:"WSR_HTTP_IDLE" envDefault:"620s" min:"1s" max:"24h" doc:"How long a client's connection is kept between two requests of plain HTTP, where the app keeps its own as long. Keep it above what the load balancer in front keeps, so that the balancer is the one to close."`
	CloseTimeout     time.Duration `env:"WSR_CLOSE_TIMEOUT" envDefault:"60s" min:"1s" max:"24h" doc:"How long a WebSocket connection that is being closed is kept while no byte moves on it: where one side of a plain one has ended and the other has not, and where a client takes nothing more of what it was sent."`
	ForwardedProto   Scheme        `env:"WSR_FORWARDED_PROTO" unset:"https where TLS ends at the sidecar" oneof:"http,https" doc:"The X-Forwarded-Proto of requests that come without one. Set https behind a balancer that ends TLS and does not say so, for apps that redirect to https; without it such requests have none, as without the sidecar."`
	Upgrades         Protocols     `env:"WSR_UPGRADES" unset:"none" doc:"Protocols beside WebSocket that the app may switch a connection of HTTP/1.1 to. Their bytes pass as they are. To any other protocol no request asks the app to switch."`

	PeerListen Address `env:"WSR_PEER_LISTEN" pod:"injector" envDefault:":15803" doc:"The port for other sidecars, where there is mutual TLS between them."`
	PeerCert   File    `env:"WSR_PEER_CERT" reload:"content" pod:"injector" unset:"no TLS" doc:"Certificate chain (PEM) that this sidecar shows to others, as server and as client. This and the other two files are read again when they change."`
	PeerKey    File    `env:"WSR_PEER_KEY" reload:"content" pod:"injector" unset:"no TLS" private:"true" doc:"Private key (PEM) of that certificate."`
	PeerCA     File    `env:"WSR_PEER_CA" reload:"content" pod:"injector" unset:"no TLS" doc:"Certificate authorities (PEM) that other sidecars are checked against."`

	NATSURL      Servers `env:"WSR_NATS_URL" pod:"injector" unset:"embedded" doc:"NATS servers with JetStream for the journal. Empty: a server inside the sidecar, which survives its restart but is not shared with other pods."`
	NATSCreds    File    `env:"WSR_NATS_CREDS" pod:"injector" unset:"none" private:"true" doc:"Credentials file (JWT and seed) for NATS."`
	NATSNKey     File    `env:"WSR_NATS_NKEY" pod:"injector" unset:"none" private:"true" doc:"File with an NKey seed for NATS."`
	NATSCA       File    `env:"WSR_NATS_CA" pod:"injector" unset:"the system's" doc:"Certificate authorities (PEM) that NATS is checked against."`
	NATSReplicas int     `env:"WSR_NATS_REPLICAS" unset:"3, embedded 1" min:"1" max:"5" doc:"Copies of the journal in the NATS cluster, at most as many as it has servers. 3 survives the loss of one server, 5 of two; 1 is for a NATS of one server."`
	NATSStreams  Streams `env:"WSR_NATS_STREAMS" pod:"injector" envDefault:"create" oneof:"create,expect" doc:"create makes the streams of the journal, and changes them back if somebody changed them, as far as the NATS user may. expect leaves that to an operator, and says which is missing or wrong."`
	NATSMaxBytes Bytes   `env:"WSR_NATS_MAX_BYTES" pod:"injector" envDefault:"4GiB" min:"16MiB" max:"1TiB" doc:"What the streams of the journal reserve together in the NATS cluster, the same for all sidecars that share them. Streams that reserve more are left alone, and with WSR_NATS_STREAMS=expect those that reserve less."`
	DataDir      string  `env:"WSR_DATA_DIR" pod:"injector" envDefault:"/var/lib/wsresilience" doc:"Folder of the embedded journal."`

	TokenKeys     Keys `env:"WSR_TOKEN_KEYS" reload:"living" pod:"injector" unset:"random, with a warning" secret:"true" empty:"refused" doc:"Keys that seal resume tokens and the journal. The first seals, all open, so that keys rotate: add the new one in second place everywhere, then move it to the front, then drop the old one."`
	TokenKeysFile File `env:"WSR_TOKEN_KEYS_FILE" reload:"content" pod:"injector" unset:"none" private:"true" empty:"refused" doc:"The same from a file, one key per line or comma-separated. The file is read again when it changes, so that keys rotate without a restart; a file that cannot be used changes nothing, and is told of in the log."`

	SessionTTL          time.Duration `env:"WSR_SESSION_TTL" envDefault:"5m" min:"1s" max:"24h" doc:"How long a session waits for a client that is away."`
	SessionTTLGoingAway time.Duration `env:"WSR_SESSION_TTL_GOING_AWAY" envDefault:"10s" min:"0s" max:"24h" doc:"The same after the client closed its connection with 1001, which browsers do when a page is left, and for a client from which nothing came since its handshake. 0s: the session ends at once."`
	LeaseTTL            time.Duration `env:"WSR_LEASE_TTL" envDefault:"20s" min:"2s" max:"5m" doc:"After so long without a sign of life in NATS a sidecar counts as gone, and others adopt its sessions. It has to outlast the election of a leader in the NATS cluster, which takes up to 9 s."`
	DrainSeconds        int           `env:"WSR_DRAIN_SECONDS" envDefault:"8" min:"1" max:"3600" doc:"How long the sidecar takes at most to stop, in seconds. One fifth of it (5 s at most) is left to load balancers to notice, then clients are moved over most of the rest; the last tenth or two seconds are for stragglers; with nobody connected it is over after the first part. As delivered it fits into the 10 s of docker stop. In pods the injector makes it 25 unless an annotation says otherwise. Keep it below the pod's terminationGracePeriodSeconds."`
	HandoverQuiet       time.Duration `env:"WSR_HANDOVER_QUIET" envDefault:"100ms" min:"1ms" max:"1m" doc:"A session moves to another pod when its app has answered: how long that takes is learned, and this is the least time after the last message that the app was handed. It is waited for at most for one fifth of WSR_DRAIN_SECONDS, and 8 s."`
	StorePolicy         StorePolicy   `env:"WSR_STORE_POLICY" envDefault:"available" oneof:"available,strict" doc:"What new sessions get while the journal is away: available serves them from memory; strict refuses them with 503, and the sidecar is not ready. Sessions that live go on either way."`

	TokenBind   Binding       `env:"WSR_TOKEN_BIND" unset:"origin, path, host" doc:"What of a request must be the same when a token is presented, so that a stolen one is of no use without it. Origin always is; path (as it came, without query) and Host are unless any-path or any-host says otherwise."`
	TokenReuse  TokenReuse    `env:"WSR_TOKEN_REUSE" envDefault:"refuse" oneof:"refuse,end" doc:"What a copy of a token does that its client has replaced already: refuse turns it away, and the session does not notice; end ends the session too, since its client or somebody else may have been robbed. Whoever has an old token can end the session then."`
	ResumeAuth  Path          `env:"WSR_RESUME_AUTH" unset:"not asked" doc:"Before a resume the app is asked: GET of this path with the client's header fields; X-Forwarded-Uri and Host are those of the session. Only an answer of 2xx lets the client resume."`
	ReauthEvery time.Duration `env:"WSR_REAUTH_EVERY" envDefault:"0s" min:"0s" max:"24h" doc:"How often, at least, the app is asked like that about clients that are there, with the handshake that each came with last. One that is refused is asked to come with a new handshake, and refused again its session ends. The app has to give the same answer to the same request as often as it is asked. 0s: only before a resume."`
	PlainResume PlainResume   `env:"WSR_PLAIN_RESUME" unset:"off" doc:"Lets clients without wsr.v1 come back to their session, at least once: messages may come twice. The value names the client and grants its session to whoever knows it, so it must be a secret that cannot be guessed."`

	Share        Share `env:"WSR_SHARE" unset:"off" doc:"Paths where the clients of one user share a session, and with it one socket of the app, and what names the user. Whoever knows that value has the session, from the same Origin: it has to be what the app takes for the user. See DEVICES.md."`
	ShareLag     Bytes `env:"WSR_SHARE_LAG" envDefault:"1MiB" min:"64KiB" max:"1GiB" doc:"How many bytes of the app's messages a shared session keeps for members that are behind. One that is further behind than that, while others are not, is synchronised anew, or taken out."`
	StateRules   Rules `env:"WSR_STATE_RULES" reload:"new" lines:"true" unset:"none" doc:"Which of the app's messages on paths of WSR_SHARE are state, of which the latest is said to who joins: see DEVICES.md."`
	ShareMembers int   `env:"WSR_SHARE_MEMBERS" envDefault:"16" min:"1" max:"100" doc:"How many members a shared session may have, those that are away among them. One more gets 503."`

	WindowBytes    Bytes `env:"WSR_WINDOW_BYTES" reload:"new" envDefault:"1MiB" min:"4KiB" max:"1GiB" doc:"Unacknowledged bytes that are kept, per direction and session. A full window stops the sender and loses nothing. Raise it for clients that are away for long while the app goes on sending."`
	WindowMessages int   `env:"WSR_WINDOW_MESSAGES" reload:"new" envDefault:"4096" min:"1" max:"1048576" doc:"Unacknowledged messages towards the client that are kept per session. A full window stops the app. It bounds what small messages cost beside their bytes: raise it for an app that sends bursts of thousands of them."`
	MaxMessage     Bytes `env:"WSR_MAX_MESSAGE" reload:"new" envDefault:"1MiB" min:"1KiB" max:"1GiB" doc:"Largest message of a resilient session, either way. A larger one of a client ends its connection with 1009; a larger one of the app ends the session with 1009, and a line in the log says so."`
	MemoryBudget   Bytes `env:"WSR_MEMORY_BUDGET" reload:"living" envDefault:"512MiB" min:"1MiB" max:"1TiB" doc:"Memory of all windows, of messages that have not come whole, and of what plain connections wait to pass on, together. Near it new clients get 503, and senders wait."`

	MaxSessions          int     `env:"WSR_MAX_SESSIONS" reload:"living" envDefault:"0" min:"0" max:"10000000" doc:"Sessions at most, detached ones and plain WebSockets among them. A new client beyond gets 503. 0: as many as memory and descriptors allow."`
	MaxSessionsPerClient int     `env:"WSR_MAX_SESSIONS_PER_CLIENT" reload:"living" envDefault:"0" min:"0" max:"10000000" doc:"The same for each client address, of IPv6 for each network of 64 bits. 0: any number. Behind a balancer or an ingress WSR_TRUSTED_PROXIES has to name it: otherwise all clients have its address, and together as many sessions as one."`
	TrustedProxies       Proxies `env:"WSR_TRUSTED_PROXIES" envDefault:"private" doc:"Who may say in X-Forwarded-For, or Forwarded, at which address a client is: the client is the last address there that is not in this list. private stands for loopback, private (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7), link-local and shared (100.64.0.0/10) addresses. What others say of themselves does not count; a client that has such an address itself, as one inside the cluster, may claim any, so that against those the list has to name the proxies alone. It is for WSR_MAX_SESSIONS_PER_CLIENT and WSR_LOG_CLIENT; what the app gets is the same whatever it is."`

	RateMessages int   `env:"WSR_RATE_MESSAGES" reload:"living" envDefault:"0" min:"0" max:"10000000" doc:"Messages per second that a client may send, and as many at once after a pause. One that sends faster is read more slowly, and loses nothing. Of a plain client each fragment is a message. 0: any number."`
	RateBytes    Bytes `env:"WSR_RATE_BYTES" reload:"living" envDefault:"0B" min:"0B" max:"1GiB" doc:"The same for bytes per second, of all that the client sends. A message that is larger passes, and the next waits for as much longer. 0: any number."`
	RateControl  int   `env:"WSR_RATE_CONTROL" reload:"living" envDefault:"0" min:"0" max:"10000000" doc:"The same for what is no data: acknowledgements and heartbeats of resilient clients, pings, pongs. Clients acknowledge each 32 messages, 64 KiB or 200 ms of what the app sends; leave room for that. 0: any number."`
	RateResumes  int   `env:"WSR_RATE_RESUMES" reload:"living" envDefault:"0" min:"0" max:"10000" doc:"How often per minute one session may be resumed. Beyond that the client is told to try again later, and a connection that it has stays. 0: any number."`

	PersistAfter time.Duration `env:"WSR_PERSIST_AFTER" envDefault:"50ms" min:"1ms" max:"1m" doc:"A message that is unacknowledged for this long is written to the journal, up to half a second later while there are many of them at a time, as when clients are slow, or while the journal has very much to do."`
	PersistAway  time.Duration `env:"WSR_PERSIST_AWAY" envDefault:"2s" min:"0s" max:"1m" doc:"The most that it is while no client is there to acknowledge. Where apps say much to clients that are away, more than 200 records a second, it gathers for as long, so that it costs a record each time and not one for each message; after a crash the last of it may be missing, while a sidecar that stops writes it all. 0s: each message at once."`

	HeartbeatBase   time.Duration  `env:"WSR_HEARTBEAT_BASE" reload:"living" envDefault:"5s" min:"100ms" max:"5m" doc:"Time between heartbeats on a fast link without loss; it grows with round trip and loss. Lower it to find dead connections sooner, raise it to spare the batteries of phones."`
	HeartbeatMin    time.Duration  `env:"WSR_HEARTBEAT_MIN" reload:"living" envDefault:"1s" min:"100ms" max:"5m" doc:"Least time between heartbeats, also where WSR_HEARTBEAT_BASE is below it: the interval then grows only with a round trip or loss that calls for more."`
	HeartbeatMax    time.Duration  `env:"WSR_HEARTBEAT_MAX" reload:"living" envDefault:"15s" min:"100ms" max:"5m" doc:"Most time between heartbeats. Keep it below the idle timeout of every proxy in front."`
	HeartbeatMisses int            `env:"WSR_HEARTBEAT_MISSES" reload:"living" envDefault:"3" min:"1" max:"10" doc:"Missed heartbeats in a row after which a connection is dead. Raise it where networks are away for seconds and connections survive that, as in trains; a lost connection is then noticed later."`
	PlainHeartbeat  PlainHeartbeat `env:"WSR_PLAIN_HEARTBEAT" reload:"living" envDefault:"measure" oneof:"measure,enforce,off" doc:"What heartbeats (pings) to clients without wsr.v1 are for. measure: they keep proxies from taking the connection for idle, and show round trips; a client that is too busy to answer keeps its connection, and one whose host is gone is found by TCP. enforce: one that does not answer loses it, as a resilient one. off: no pings."`

	ResilientPaths   Patterns      `env:"WSR_RESILIENT_PATHS" reload:"new" envDefault:"*" doc:"Paths where sessions are offered. Elsewhere every client is a plain one."`
	Adopt            Adopt         `env:"WSR_ADOPT" reload:"new" envDefault:"auto" oneof:"auto,always,never" doc:"Whether a session goes on with a fresh app socket when its own is gone: auto asks for a snapshot of what the app has to hear again, or for a client that said it restores by itself."`
	SnapshotRules    Rules         `env:"WSR_SNAPSHOT_RULES" reload:"new" lines:"true" unset:"none" doc:"Which messages of a client a fresh app socket has to hear again, such as its login and subscriptions, and which are requests that the app answers."`
	SnapshotTTL      time.Duration `env:"WSR_SNAPSHOT_TTL" reload:"new" envDefault:"0s" min:"0s" max:"720h" doc:"How long such messages are kept after the client last said one of them. Then they are forgotten, here and in the journal, and the session is one whose context nothing restores. 0s: as long as the session."`
	AppProtocol      string        `env:"WSR_APP_PROTOCOL" reload:"new" envDefault:"auto" doc:"The same by the name of the app's protocol: graphql-transport-ws, socket.io, mqtt, stomp, phoenix, actioncable, signalr, centrifuge, y-websocket or jupyter. auto: whichever of them the handshake shows, by its subprotocol, or by path and query; off: none."`
	IdempotencyRules Rules         `env:"WSR_IDEMPOTENCY_RULES" reload:"new" lines:"true" unset:"none" doc:"Which messages of a client act once, whichever device sends them again, through whichever pod: see DEVICES.md."`

	PageClient       PageClient `env:"WSR_PAGE_CLIENT" envDefault:"off" oneof:"off,serve,inject" doc:"Whether the pages of the app become resilient without a change. serve: /.wsr/client.js is a script that makes the WebSockets of a page resilient, for a script tag of your own. inject: pages get that tag on their way. What is no page passes as it is."`
	PageClientPaths  Patterns   `env:"WSR_PAGE_CLIENT_PATHS" envDefault:"*" doc:"With inject, paths of pages that get the tag."`
	PageClientPrefix URLFolder  `env:"WSR_PAGE_CLIENT_PREFIX" envDefault:"/.wsr/" doc:"URL path of the script's folder, as browsers see it: /chat/.wsr/ where a proxy in front sends only what is below /chat/ here."`
	PageClientHosts  URLHosts   `env:"WSR_PAGE_CLIENT_HOSTS" unset:"none" doc:"Other hosts and ports whose WebSockets those pages make resilient too, since they have a sidecar as well."`
	PageClientBadge  Switch     `env:"WSR_PAGE_CLIENT_BADGE" envDefault:"off" oneof:"off,on" doc:"Whether pages with that tag show a small mark while a session has no connection."`

	LogLevel  slog.Level `env:"WSR_LOG_LEVEL" reload:"living" envDefault:"info" oneof:"debug,info,warn,error" doc:"Least level that is logged."`
	LogFormat LogFormat  `env:"WSR_LOG_FORMAT" unset:"json, on a terminal text" oneof:"json,text" doc:"Form of the log on standard error."`

	TraceMessages int       `env:"WSR_TRACE_MESSAGES" envDefault:"0" min:"0" max:"1000000" doc:"Of each session that is traced every so-manieth message of each direction has a span: of the app from when it was said until the client has acknowledged it, of the client from when it had come until the app has taken it. 0: none. Where traces go to is set by OTEL variables."`
	LogClient     LogClient `env:"WSR_LOG_CLIENT" envDefault:"prefix" oneof:"address,prefix,none" doc:"How much of a client's address logs and the admin port tell. prefix: its network, the first 24 bits of IPv4 or 48 of IPv6, which is a site or a provider and no person. Behind a proxy it is whom WSR_TRUSTED_PROXIES names."`

	Pprof Switch `env:"WSR_PPROF" reload:"living" envDefault:"off" oneof:"off,on" doc:"Whether the admin port has profiles of the process below /debug/pprof/, for go tool pprof: for processes of this pod or machine, and for who has the token of WSR_ADMIN_TOKEN_FILE."`

	Driver string `env:"WSR_DRIVER" envDefault:"auto" oneof:"auto,aio,epoll,goroutine" doc:"How the sockets of sessions are read and written; only to tell a mistake of one way from others is it to be changed. auto: on few event loops, many sockets in one system call where Linux AIO works (container runtimes allow it), and else each in a system call of its own; the log says at the start which it is, and why. aio: always together, also a single socket, which is slower; where it does not work the sidecar does not start. epoll: each in a system call of its own. goroutine: each on a goroutine of its own, as those with TLS always are."`

	warnings []string
	given    map[string]bool
	fromFile map[string]bool   // of those, what ConfigFile sets
	rules    map[string][]byte // that a setting of the type Rules holds or names, by variable
	read     *Config           // what was read last, if Reload made this one; nil: itself
}

// Scheme is that of a URL. Empty: not known.
type Scheme string

// Adopt says when a session may go on with a fresh app socket (DESIGN
// §4.4).
type Adopt string

// The values of Adopt.
const (
	AdoptAuto   Adopt = "auto"
	AdoptAlways Adopt = "always"
	AdoptNever  Adopt = "never"
)

// A Switch is on or off.
type Switch string

// The values of a Switch.
const (
	Off Switch = "off"
	On  Switch = "on"
)

// TokenReuse says what a copy of a used-up token does.
type TokenReuse string

// The values of TokenReuse.
const (
	ReuseRefuse TokenReuse = "refuse"
	ReuseEnd    TokenReuse = "end"
)

// PlainHeartbeat says what pings to plain clients are for.
type PlainHeartbeat string

// The values of PlainHeartbeat.
const (
	PlainHeartbeatMeasure PlainHeartbeat = "measure"
	PlainHeartbeatEnforce PlainHeartbeat = "enforce"
	PlainHeartbeatOff     PlainHeartbeat = "off"
)

// PageClient says what becomes of pages.
type PageClient string

// The values of PageClient.
const (
	PageClientOff    PageClient = "off"
	PageClientServe  PageClient = "serve"
	PageClientInject PageClient = "inject"
)

// StorePolicy says what new sessions get while the journal is away.
type StorePolicy string

// The values of StorePolicy.
const (
	StoreAvailable StorePolicy = "available"
	StoreStrict    StorePolicy = "strict"
)

// Streams says who makes the streams of the journal in NATS.
type Streams string

// The values of Streams.
const (
	StreamsCreate Streams = "create"
	StreamsExpect Streams = "expect"
)

// LogFormat is the form of the log. Empty: JSON, or text on a terminal.
type LogFormat string

// The values of LogFormat.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

// LogClient says how much of a client's address is told.
type LogClient string

// The values of LogClient.
const (
	LogAddress LogClient = "address"
	LogPrefix  LogClient = "prefix"
	LogNothing LogClient = "none"
)

// Load reads the settings from environ, which has the form of os.Environ, and
// the files that they name. The error is a Problems with everything that is
// wrong, so that all can be mended at once.
func Load(environ []string) (*Config, error) {
	l := newLoader()
	l.collect(environ)
	l.judge()
	l.judgeOverridden(environ)
	l.contradictions()
	l.derive()
	return l.loaded()
}

// judge takes the values, those of the file too, and finds what is wrong with each.
func (l *loader) judge() {
	l.readConfigFile()
	l.read()
	l.parse()
	l.bounds()
	l.files()
}

// loaded returns the settings, or all that is wrong with them.
func (l *loader) loaded() (*Config, error) {
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	l.cfg.given, l.cfg.fromFile = l.given, l.fromFile()
	return l.cfg, nil
}

// OperatorToken returns the token in AdminToken as the file has it now, or "" if
// there is none that is long enough.
func (c *Config) OperatorToken() string {
	text, err := c.AdminToken.read()
	if token := strings.TrimSpace(string(text)); err == nil && len(token) >= minOperatorToken {
		return token
	}
	return ""
}

// minOperatorToken is too long to be guessed, if it is random.
const minOperatorToken = 16

// Warnings are for the operator, about settings that are allowed but likely
// mistakes: full sentences without secrets.
func (c *Config) Warnings() []string { return c.warnings }

// PeerTLS reports whether sidecars speak mutual TLS with each other.
func (c *Config) PeerTLS() bool { return c.PeerCert != "" }

// DrainTime is how long a drain takes at most.
func (c *Config) DrainTime() time.Duration { return time.Duration(c.DrainSeconds) * time.Second }

// Embedded reports whether the journal's server runs inside the sidecar.
func (c *Config) Embedded() bool { return c.NATSURL == "" }

// KeysGenerated reports whether TokenKeys holds one random key because none was
// given. Neither other pods nor a restarted sidecar can open tokens sealed with
// it, unless the caller stores it.
func (c *Config) KeysGenerated() bool {
	return !c.given["WSR_TOKEN_KEYS"] && !c.given["WSR_TOKEN_KEYS_FILE"]
}

// CheckPayload compares the settings with what the connected NATS server
// takes in one message, in bytes. The error is a Problems like that of Load.
func (c *Config) CheckPayload(limit int64) error {
	if int64(c.MaxMessage) <= limit {
		return nil
	}
	return Problems{{
		Names:   []string{"WSR_MAX_MESSAGE"},
		Given:   c.MaxMessage.String(),
		Why:     "above max_payload of the NATS server",
		Allowed: "up to " + Bytes(limit).String() + ", or a larger max_payload on the server",
	}}
}
