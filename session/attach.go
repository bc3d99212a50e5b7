package session

import (
	"bytes"
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// Position is what a client says when it resumes (PROTOCOL §2.1).
type Position struct {
	Received seqwindow.Serial
	Next     seqwindow.Serial // 0: it waits for WELCOME
	Attempt  uint32           // number of the handshake with its token; 0: not ordered
	Epoch    uint32           // of its token, whose numbers Received counts; 0: the newest

	// Generation is that token's within Epoch; 0: the client shows none. By Attach and
	// Adopt it has shown that it has it.
	Generation uint32

	Adopt  bool // it restores the app's context by itself (wsr.adopt)
	Keys   bool // it may say keys (wsr.keys)
	Share  bool // it reads what there is of the other members (wsr.share)
	Reopen bool // it does so only where nobody else does (wsr.reopen)
}

// diverged reports whether a client has messages of an owner that had been
// replaced when it said them: the numbers are those of other messages in this
// epoch. base is the last outbound message before it, firstBase the one before
// the epoch after the newest that the client is known to have a token of.
func (at *Position) diverged(epoch uint32, base, firstBase seqwindow.Serial) bool {
	switch {
	case at.Epoch == 0 || at.Epoch == epoch:
		return false
	case at.Epoch+1 != epoch:
		base = firstBase
	}
	return seqwindow.Less(base, at.Received)
}

// Diverged is what Session.Check tells of that for a session that a journal
// holds.
func Diverged(state *store.State, at Position) bool {
	return at.diverged(state.Epoch, seqwindow.Serial(state.Base), seqwindow.Serial(state.FirstBase))
}

// Check reports whether a connection with these positions can be attached; a
// reason other than 0 is the answer to the client, and fact for operators. Nothing
// changes.
func (s *Session) Check(at Position) (reason wire.ResetReason, fact string) {
	switch {
	case s.closing.ended != 0:
		return wire.ResetUnknown, "it is over: " + s.closing.ended.String()
	case s.closing.byClient && !s.closing.byApp:
		// The client said CLOSE and did not hear the answer. It says it again.
	case s.goesOnAhead(&at) && !s.tellsOfFormer(&at):
		return wire.ResetLost, fmt.Sprintf("the client goes on with its message %d, and the last that came is %d", at.Next, s.inbox.Received())
	}
	switch {
	case at.diverged(s.epoch, s.base, s.firstBase):
		return wire.ResetLost, fmt.Sprintf("the client has messages up to %d of an owner of epoch %d that had been replaced by epoch %d", at.Received, at.Epoch, s.epoch)
	case seqwindow.Less(at.Received, s.window.Acked()):
		return wire.ResetLost, fmt.Sprintf("the client has message %d, and has acknowledged %d before", at.Received, s.window.Acked())
	case seqwindow.Less(s.window.HighestSent(), at.Received):
		return wire.ResetLost, fmt.Sprintf("the client says that it has message %d, and the last that was sent is %d", at.Received, s.window.HighestSent())
	}
	return 0, ""
}

// goesOnAhead reports whether the client goes on beyond what came.
func (s *Session) goesOnAhead(at *Position) bool {
	return at.Next != 0 && seqwindow.Less(s.inbox.Received()+1, at.Next)
}

// tellsOfFormer reports whether the client's next is how far a former owner was: it has
// heard nothing of this one yet, and has said nothing to it. It counts as if the client
// had come with it first (PROTOCOL §8.3).
func (s *Session) tellsOfFormer(at *Position) bool {
	return at.Epoch != 0 && seqwindow.Less(seqwindow.Serial(at.Epoch), seqwindow.Serial(s.epoch)) && s.counters.InMessages == 0 && s.queue.Empty()
}

// Implementation limits of the attempts of a client (PROTOCOL §8.1).
const (
	// maxAbandoned is how many handshakes of a client may be on their way while a
	// later one is welcomed: each of them was given time for an answer.
	maxAbandoned = 64

	// maxTries is how many handshakes a client may make without being welcomed:
	// more than fit into the longest time that a session waits for it.
	maxTries = 1 << 20
)

// A TokenVerdict is what a token is worth.
type TokenVerdict int

const (
	// TokenValid: the newest that the client is known to have, or one that
	// was sent since and may or may not have arrived (PROTOCOL §8.4).
	TokenValid TokenVerdict = iota
	// TokenUnknown was never sent.
	TokenUnknown
	// TokenReused came although the client has shown that it has a newer one, and
	// with an attempt that it cannot have made before that: the token was copied.
	TokenReused
	// TokenNewer is of a higher epoch: the session has been adopted by another
	// owner.
	TokenNewer
	// TokenLate came with an attempt that another one of the same client has
	// overtaken.
	TokenLate
	// TokenOvertaken is used up too, and such an attempt: the client made it before
	// it had the newer token, and it lay in a socket since.
	TokenOvertaken
	// TokenCopied came with an attempt that is too far from the highest for one
	// client to have made both: the token was copied.
	TokenCopied
)

// Token judges a token of this epoch and generation, with which the client
// makes that attempt (PROTOCOL §8.1); 0 is not ordered. How many tokens an
// earlier owner sent is not known, so none of its is too new.
func (s *Session) Token(epoch, generation, attempt uint32) TokenVerdict {
	token := tokenOrder{epoch, generation}
	if token == s.confirmedToken && s.attempted && attempt != 0 && attempt <= s.attempt {
		if s.attempt-attempt > maxAbandoned {
			return TokenCopied
		}
		return TokenLate
	}
	return judge(token, attempt, s.confirmedToken, s.attempt, tokenOrder{s.epoch, s.generation})
}

// JudgeToken is Session.Token for a session that a journal holds, and that
// nobody has adopted yet.
func JudgeToken(state *store.State, epoch, generation, attempt uint32) TokenVerdict {
	confirmed := tokenOrder{state.ProvenEpoch, state.Proven}
	return judge(tokenOrder{epoch, generation}, attempt, confirmed, state.Attempt, tokenOrder{state.Epoch, ^uint32(0)})
}

// CopyProved reports whether a used-up token is proved to be a copy by the attempt
// with which it came, given the highest that led to a resume. All that the client
// made before it had a newer token have a number, and none above that.
func CopyProved(attempt, highest uint32) bool {
	return highest != 0 && (attempt == 0 || attempt > highest)
}

// CopyProved is that of a used-up token of the session.
func (s *Session) CopyProved(attempt uint32) bool { return CopyProved(attempt, s.attempt) }

// String is what the scripts of testdata print.
func (v TokenVerdict) String() string {
	switch v {
	case TokenValid:
		return "valid"
	case TokenReused:
		return "reused"
	case TokenNewer:
		return "newer"
	case TokenLate:
		return "late"
	case TokenOvertaken:
		return "overtaken"
	case TokenCopied:
		return "copied"
	}
	return "unknown"
}

func judge(token tokenOrder, attempt uint32, confirmed tokenOrder, highest uint32, newest tokenOrder) TokenVerdict {
	// "Valid are the newest that the client is known to have [...] and those sent
	// since" (PROTOCOL §8.4).
	switch {
	case token.before(confirmed) && attempt != 0 && attempt <= highest && highest-attempt <= maxAbandoned:
		return TokenOvertaken
	case token.before(confirmed):
		return TokenReused
	case newest.epoch < token.epoch:
		return TokenNewer
	case newest.before(token):
		return TokenUnknown
	case attempt > highest && attempt-highest > maxTries:
		return TokenCopied
	}
	return TokenValid
}

// present notes the token with which the client has come back.
func (s *Session) present(at *Position) {
	epoch := at.Epoch
	if epoch == 0 {
		epoch = s.epoch
	}
	s.confirmToken(epoch, at.Generation, at.Attempt)
}

// confirmToken notes that the client has resumed with a valid token, at that
// attempt, or has shown it by other means: older tokens are dead, and earlier
// attempts are late.
func (s *Session) confirmToken(epoch, generation, attempt uint32) {
	if p := (tokenOrder{epoch, generation}); s.confirmedToken.before(p) {
		s.confirmedToken, s.attempted = p, false
		if epoch+1 == s.epoch {
			s.firstBase = s.base
		}
	}
	switch {
	case attempt == 0:
	case s.attempted:
		s.attempt = max(s.attempt, attempt)
	default:
		s.attempt, s.attempted = attempt, true
	}
}

// Attach joins a connection whose handshake was answered. Check has allowed
// the positions and no connection is attached. deflate reports whether this
// leg negotiated compression. A reason other than 0 means that it could not
// be attached after all.
func (s *Session) Attach(now time.Time, status wire.Status, at Position, deflate bool) wire.ResetReason {
	if s.client.attached {
		panic("session: a connection is attached already (I5)")
	}
	if err := s.window.Rewind(at.Received); err != nil {
		panic(err) // Check allowed it
	}
	if s.goesOnAhead(&at) { // and tells of a former owner, otherwise Check had refused it
		s.startInbound(at.Next - 1)
	}
	s.present(&at)
	// "A connection whose client leg has no compression gets such a message
	// inflated" (PROTOCOL §2.4).
	if !deflate && (s.app.deflate || s.adopted != 0) && !s.inflateWindow() {
		return wire.ResetLost
	}
	if s.untold() {
		status = wire.StatusAdopted // its token is from before the adoption: it has not read that WELCOME
	}
	s.context.client = at.restorer()
	s.offers(at.Keys, at.Share)
	s.setUnanswered(0)
	if s.context.awaited = s.context.awaited && at.Adopt; s.context.awaited {
		status = wire.StatusAdopted // it begins again
	}
	c := &s.client
	c.attached, c.blocked, c.since = true, false, monotime.At(now)
	c.welcome, c.welcomeDue, c.rewelcome, c.deflate = status, true, false, deflate
	c.control = c.control[:0]
	c.beatDue, c.replyDue = false, false
	c.newest = heartbeat.Newest{}
	if c.in.Rules.Rsv = 0; deflate {
		c.in.Rules.Rsv = frame.RSV1
	}
	c.replayEnd = s.window.HighestSent()
	c.last, c.awaitsWelcome = at.Next-1, at.Next == 0
	s.closing.sent = false
	c.beat.Connected(now)
	s.context.setAttached(now, true, s)
	s.journal.attached()
	return 0
}

// dropClient ends the attached connection. The session stays.
func (s *Session) dropClient(now time.Time, why *wire.CloseError) {
	if !s.client.attached {
		return
	}
	s.client.drop = why
	// "After a bare 1001 the session is kept for WSR_SESSION_TTL_GOING_AWAY only,
	// and after any bare close of a client that has not shown yet that it read
	// WELCOME" (PROTOCOL §7).
	ttl := s.cfg.TTL
	if why.Remote && (why.Code == ws.StatusGoingAway || !s.clientHasToken()) {
		ttl = min(ttl, s.cfg.TTLGoingAway)
	}
	s.detach(now, ttl)
	if why.Remote {
		s.noteFailure(now, why.Code)
	}
}

// clientHasToken reports whether the client has shown that it read a WELCOME,
// and so can come back.
func (s *Session) clientHasToken() bool { return s.confirmedToken.generation > 0 }

// clientLived reports whether anything came from the client since its handshake.
func (s *Session) clientLived() bool {
	return s.clientHasToken() || s.counters.InMessages > 0 || s.echo() != nil && s.counters.BeatsHeard > 0
}

// Detached returns since when the session has been detached, about, and whether
// anything ever came from its client. It is for sessions that are.
func (s *Session) Detached() (since monotime.Time, lived bool) {
	return s.client.expires, s.clientLived()
}

// Away returns for how long the session has been without its client; 0 if it
// always had one.
func (s *Session) Away(now time.Time) time.Duration {
	if s.client.attached || s.client.since == 0 {
		return 0
	}
	return now.Sub(s.client.since.Time())
}

// Lacking returns how many messages of the app the client lacks, as far as is
// known: those that were sent and got lost, and those that were said meanwhile.
func (s *Session) Lacking() int {
	return int(seqwindow.Diff(s.window.Head(), s.window.Sent()))
}

// Journals reports whether the session can be had back from the journal.
func (s *Session) Journals() bool { return s.cfg.Journal }

// ClientGone notes that the attached connection broke, or ended without a
// close frame.
func (s *Session) ClientGone(now time.Time, _ bool) {
	if s.client.attached {
		s.detach(now, s.cfg.TTL)
		s.noteFailure(now, ws.StatusAbnormalClosure)
	}
}

// Supersede ends the attached connection: "the newer connection wins" (PROTOCOL
// §8.1).
func (s *Session) Supersede(now time.Time) {
	s.dropClient(now, &wire.CloseError{Code: wire.CodeSuperseded, Reason: "superseded"})
}

// Disconnect ends the attached connection with a code. The client may come back.
func (s *Session) Disconnect(now time.Time, code ws.StatusCode, reason string) {
	s.dropClient(now, &wire.CloseError{Code: code, Reason: reason})
}

func (s *Session) detach(now time.Time, ttl time.Duration) {
	// "And whatever ends the connection of a client from which nothing came since
	// its handshake" (PROTOCOL §7): thousands of handshakes and resets are to cost
	// no memory for long.
	if !s.clientLived() {
		ttl = min(ttl, s.cfg.TTLGoingAway)
	}
	s.client.attached = false
	s.client.in.Reset()
	s.client.expires, s.client.since = monotime.At(now.Add(ttl)), monotime.At(now)
	s.client.beat.Disconnected()
	s.context.setAttached(now, false, s)
	s.journal.detached(now.Add(ttl - s.cfg.TTL))
	if s.closing.byClient && s.closing.byApp {
		s.end(EndedClosed)
	}
}

// finalFrames is the close frame for an ending connection, or nothing while a
// frame is half written: then the connection can only be aborted.
func (s *Session) finalFrames(dst []byte, why *wire.CloseError) []byte {
	if s.window.MidMessage() || s.client.blocked {
		return dst
	}
	dst = append(dst, s.client.control...)
	code := why.Code
	if !wire.ValidFrameCode(code) {
		return frame.Append(dst, ws.Header{Fin: true, OpCode: ws.OpClose}, nil)
	}
	reason := why.Reason
	if why.Remote {
		reason = "" // an echo bears the code (RFC 6455 §5.5.1)
	}
	return appendClose(dst, ws.Header{Fin: true, OpCode: ws.OpClose}, code, reason)
}

func appendClose(dst []byte, h ws.Header, code ws.StatusCode, reason string) []byte {
	return frame.Append(dst, h, wire.AppendClosePayload(nil, code, reason))
}

// inflateWindow rewrites what is kept for a connection that reads no
// compressed messages (PROTOCOL §2.4). It is rare: the same client offered
// compression before. It fails, and changes nothing, when a message does not
// inflate or when the plain ones exceed the window: what compresses well would
// otherwise be held many times over (I6). Others cannot make it fail: it may
// exceed the budget.
func (s *Session) inflateWindow() bool {
	old := s.window
	compressed := false
	old.Each(old.Acked(), func(_ seqwindow.Serial, _ uint32, parts [][]byte) bool {
		compressed = parts[0][0]>>4&frame.RSV1 != 0
		return !compressed
	})
	if !compressed {
		return true
	}
	var plain seqwindow.Sender
	limits := seqwindow.Limits{Messages: old.Len() + 1, Bytes: max(s.windowLimit(), old.Bytes())}
	plain.Init(s.cfg.Pool, limits, old.Acked())
	old.Each(old.Acked(), func(_ seqwindow.Serial, stamp uint32, parts [][]byte) bool {
		raw, err := s.plainFrame(parts)
		return err == nil && plain.AppendOver(raw, stamp) == nil
	})
	if plain.Head() != old.Head() {
		plain.Reset()
		return false
	}
	s.window.Replace(&plain)
	return true
}

// plainFrame joins a kept frame and inflates it.
func (s *Session) plainFrame(parts [][]byte) ([]byte, error) {
	raw := bytes.Join(parts, nil)
	h, err := frame.Rules{Rsv: frame.RSV1}.Parse(raw)
	if err != nil || h.Rsv&frame.RSV1 == 0 {
		return raw, err
	}
	plain, err := s.inflate(raw[h.Size:])
	if err != nil {
		return nil, err
	}
	return frame.Append(nil, ws.Header{Fin: true, OpCode: h.OpCode}, plain), nil
}
