// Package diagnosis says what is wrong with the way from a client to a WebSocket
// app, and who is to blame: facts in, findings out. It does no I/O and reads no
// clock; package doctor gathers the facts.
package diagnosis

import (
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// Facts are what was seen of one URL. A pointer that is nil, or a list that is
// empty, was not looked at.
type Facts struct {
	URL       string
	Secure    bool   // wss
	Host      string // as the URL has it, without a port
	LocalName bool   // localhost, whose second address need not be served
	Expect    Expect
	Now       time.Time

	EnvProxy  string // that the environment names for such a URL
	LookupErr string // why the name has no address
	Addresses []Handshake

	// Handshakes over the first address that answers. Resilient offers wsr.v1.
	Plain, Resilient *Handshake
	// NoOrigin, NoExtension and NoProtocol are Plain without one thing, made
	// when it fails.
	NoOrigin, NoExtension, NoProtocol *Handshake
	// List is Plain with Connection: keep-alive, Upgrade, as Firefox writes it.
	List *Handshake
	// Marker is a handshake that a sidecar refuses by itself (PROTOCOL §2.1,
	// §2.2), and nothing else understands: with wsr.adopt and without wsr.v1.
	Marker *Handshake

	FastestAnswer time.Duration // from request to 101, the least of all handshakes
	Beats         *Beats
	Volume        *Volume
	Silences      []Silence
	Busy          *Busy
	Session       *Session
	AfterClose    bool        // a ping behind a close frame was answered, which no end reads any more
	Later         []Handshake // that failed after others like them had succeeded
	Made          int         // like them, in all
	Resumes       []Resume
	Heads         *Limit     // header bytes in one line
	LongResume    *Handshake // with the longest token there is
	Messages      *Limit     // payload bytes of one message
	Echo          *Echo
	HTTP2         *HTTP2
	Stream        *Stream
	Clocks        []Clock

	Direct *Facts // the same at an address behind the path, or nil
}

// Expect is what the user says should be.
type Expect struct {
	Subprotocols []string // offered; one of them should be chosen
	Issuer       string   // part of the name of the issuer or of the authority above it
	Sidecar      bool
	Compression  bool
	Insecure     bool // certificates are not checked
	OwnOrigin    bool // the Origin was given
	Credentials  bool // Cookie or Authorization were given
}

// A Stage is how far a handshake came.
type Stage int

// The stages, in order.
const (
	Dialling  Stage = iota // no TCP connection
	Securing               // TCP, no TLS
	Asking                 // the request was written, no answer came
	Answered               // HTTP, not 101
	Switching              // 101, and something is wrong with it
	Open
)

// A Cause is why something on the network did not happen.
type Cause string

// Causes.
const (
	None        Cause = ""
	Refused     Cause = "refused"     // RST to a SYN
	Unreachable Cause = "unreachable" // no route, or an ICMP error
	TimedOut    Cause = "timed out"
	Reset       Cause = "reset"
	Ended       Cause = "ended" // FIN
	NotTLS      Cause = "not TLS"
	TLSAlert    Cause = "TLS alert"
	NoHTTP1     Cause = "HTTP/2 only"
	NotHTTP     Cause = "not HTTP"
	BadCert     Cause = "certificate"
	BadFrame    Cause = "bad frame"
	Other       Cause = "failed"
)

// A Handshake is one attempt to open a WebSocket, as far as it came.
type Handshake struct {
	Address string
	Stage   Stage
	Cause   Cause
	Err     string // in the words of the system
	TLS     *TLS

	Status   int
	Proto    string // of the answer's first line
	Header   http.Header
	Body     string // its beginning
	Flaws    []string
	Protocol string // what was chosen
	Deflate  bool

	DialTook, TLSTook, AnswerTook time.Duration

	At time.Time // when the answer came
}

// OK reports whether there was a WebSocket.
func (h *Handshake) OK() bool { return h != nil && h.Stage == Open }

// A TLS is what a server showed of itself.
type TLS struct {
	Version, ALPN       string
	Subject             string
	Names               []string
	Issuers             []string // from the leaf's upwards
	NotBefore, NotAfter time.Time
	Fingerprint         string // of the leaf
	SelfSigned          bool
	Sent                int    // certificates
	Wrong               Wrong  // with the certificate
	Err                 string // in words
}

// Wrong is what a certificate fails.
type Wrong string

// What can be wrong with a certificate.
const (
	WrongName      Wrong = "name"
	WrongExpired   Wrong = "expired"
	WrongNotYet    Wrong = "not yet valid"
	WrongAuthority Wrong = "authority"
	WrongOther     Wrong = "other"
)

// An End is how a connection ended.
type End struct {
	After  time.Duration // since the 101
	Cause  Cause         // None: a close frame
	Code   int           // of the close frame; 1005: it had none
	Reason string
}

// A Round is one series of pings that were sent evenly.
type Round struct {
	RTTs   []time.Duration // of those that were answered
	Late   time.Duration   // how late this machine was itself, at most
	Bursts int             // pongs that came together with the one before, though their pings did not
	Sent   int
}

// Held is where bytes waited for others to follow.
type Held string

// Directions in which something holds bytes back.
const (
	HeldNowhere Held = ""
	HeldUp      Held = "towards the app"
	HeldDown    Held = "towards the client"
)

// Beats are pings and their answers on one connection.
type Beats struct {
	Rounds  []Round
	Sent    int
	Got     int
	Changed int  // pongs with another payload
	Held    Held // the first ping was answered only when more had been sent
	End     *End
	Beacon  bool // the other end sent pings as a sidecar does (PROTOCOL §6.1)
}

// A Volume is pings of the largest size, so that bytes add up both ways.
type Volume struct {
	Wanted, Passed int // bytes each way
	Changed        int
	End            *End
	Repeated       *End // of a second connection that was cut too
	RepeatedAt     int
}

// A Silence is a connection on which nothing was sent for a time.
type Silence struct {
	For    time.Duration
	Alive  bool
	Mute   bool // it looks alive, and nobody answers
	End    *End
	Heard  int           // pings of the other end meanwhile
	Beacon bool          // as a sidecar sends them (PROTOCOL §6.1)
	Quiet  time.Duration // the longest time without a byte either way
}

// Busy is a connection that was never silent.
type Busy struct {
	Lasted time.Duration
	End    *End
	Mute   bool // pings were no longer answered
}

// A Session is what came of wsr.v1.
type Session struct {
	Welcome *wire.WelcomeMessage
	// Hidden: there was a WELCOME, and the answer had not chosen wsr.v1.
	Hidden   bool
	Got      string // instead of WELCOME
	End      *End
	Reset    wire.ResetReason // instead of WELCOME; 0: none
	Strange  bool             // WELCOME cannot be read
	Tried    bool             // a ping behind a violation was sent
	Judged   bool             // and the violation ended the connection
	Code     int              // as which 4400 arrived; 0: no close frame
	Answered bool             // and so was the ping, which the sidecar never read
}

// A Resume is one attempt to come back.
type Resume struct {
	Handshake Handshake
	Status    wire.Status
	Adopted   wire.AdoptReason
	Reset     wire.ResetReason // 0: none
	Welcomed  bool
	Plain     bool // the answer did not choose wsr.v1
	Took      time.Duration
	Address   string
}

// A Limit is the largest that passed, and the least that did not.
type Limit struct {
	Passed, Failed int // 0: none did, or none was tried
	Handshake      *Handshake
	End            *End
	Mute           bool // nothing came back
}

// Echo is what became of messages that the app sends back.
type Echo struct {
	RTT     time.Duration
	Strange int // messages that nobody sent
	Changed bool
	Mute    bool
	Before  int           // pings, sent behind messages, that were answered before them
	Lead    time.Duration // by which they came before, in the middle
	Tried   int
	End     *End
}

// HTTP2 is what a server says to who offers HTTP/2.
type HTTP2 struct {
	Chosen  bool // ALPN h2, or without TLS an answer in HTTP/2
	Connect bool // SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441)
	Status  int  // of an extended CONNECT; 0: none was tried, or none answered
	Streams uint32
}

// A Stream is an answer of plain HTTP that should come bit by bit.
type Stream struct {
	Limit       time.Duration // it was read for so long at most
	Status      int           // 0: no head came
	Head, First time.Duration // until the head, until the first byte behind it
	Took        time.Duration
	Bytes       int
	Times       int  // that bytes came, together ones counted once
	Ended       bool // before the limit
}

// A Clock is the other end's clock minus this one's, between two bounds.
type Clock struct {
	Of        string
	Low, High time.Duration
}
