package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/sim/seam"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// A talk is what client and app of one session have said, and what of it arrived: it
// knows what neither of them and no sidecar knows, and checks each step.
type talk struct {
	c *program

	wrote  uint32 // the client's last message
	handed uint32 // the highest that an app's socket took
	acked  int    // of the client's messages, as far as it knows
	got    uint32 // the app's last message that the client has got
	said   []saying

	// line is the highest message that was taken since an owner was lost: none of these
	// may come to another socket.
	line uint32

	sockets []*appSocket
	of      map[*appSocket]*socketTalk
	owners  map[*driver]*ownerTalk
	newest  *driver // that has made itself owner last
	epoch   uint32  // that the client knows

	gaps           int
	told           int // of the sockets before that one the client knows that something may be missing
	adoptions      int
	reasons        []string // of adoptions
	resumed, twice int
	lostAs         string
	shownTokens    []tokenNumber
	away           time.Time // since when it has no connection; zero: it has one
	dead           time.Time // since when its connection carries nothing, which it may not know yet; zero: it does
	connected      bool
	byApp          bool       // the app has closed
	closer         *appSocket // of the app that has
	asked          bool       // the client was, to come elsewhere
	longest        interval   // that it was away
}

type interval struct{ from, to time.Time }

// A tokenNumber is a token that the client has shown.
type tokenNumber struct{ epoch, generation uint32 }

// saying is a message of the app.
type saying struct {
	socket *appSocket
	at     time.Time // when the session had it whole; before that, when it was said
	heard  bool      // the session has it
	late   bool      // its owner had been replaced when it was said
}

// socketTalk is what one socket of the app took.
type socketTalk struct {
	last    uint32 // message
	reason  wire.AdoptReason
	line    uint32 // talk.line before
	acked   int    // and what the client knew to be acknowledged
	appDied bool
}

// ownerTalk is what became of an owner.
type ownerTalk struct {
	began    time.Time
	recorded bool // the journal has accepted a record of it
	claim    store.Revision
	died     time.Time
	why      session.Ending
	adopted  wire.AdoptReason
}

func newTalk(c *program) *talk {
	return &talk{c: c, of: map[*appSocket]*socketTalk{}, owners: map[*driver]*ownerTalk{}}
}

func (t *talk) broke(promise, format string, args ...any) {
	t.c.f.broke(t.c, promise, fmt.Sprintf(format, args...))
}

// begins notes a session's first owner, and adopted another one.
func (t *talk) begins(d *driver) {
	if t.newest != nil {
		t.broke("session", "a client has two sessions")
	}
	t.owners[d] = &ownerTalk{began: t.c.f.now}
	t.newest = d
}

func (t *talk) adopted(d *driver) {
	if before := t.newest; before != nil && d.m.Epoch() <= before.m.Epoch() && !t.c.f.plan.losesRecords() {
		t.broke("I5", "an owner of epoch %d follows one of epoch %d", d.m.Epoch(), before.m.Epoch())
	}
	t.owners[d] = &ownerTalk{began: t.c.f.now, recorded: true, claim: d.chain.Revision, adopted: d.m.Adopted()}
	t.newest = d
	if d.m.Adopted() == wire.AdoptOwnerLost {
		t.line = 0
	}
}

// socketOpens notes that an owner has a socket of the app.
func (t *talk) socketOpens(s *appSocket, d *driver) {
	s.n = len(t.sockets)
	t.sockets = append(t.sockets, s)
	t.of[s] = &socketTalk{reason: d.m.Adopted(), line: t.line, acked: t.acked}
}

// handedMessage notes that a socket of the app took a message whole.
func (t *talk) handedMessage(s *appSocket, op ws.OpCode, p []byte) {
	n, ok := number(p, 'c')
	if !ok || !bytes.Equal(p, message('c', t.c.n, n)) || (op == ws.OpText) != (n%5 == 0) {
		t.broke("I7", "the app's socket takes %.40q", p)
		return
	}
	k := t.of[s]
	if k == nil {
		return // the session has not begun
	}
	t.c.f.note("client %d: socket %d of the app takes message %d", t.c.n, s.n, n)
	switch {
	case n > t.wrote:
		t.broke("I2", "the app's socket takes message %d of %d", n, t.wrote)
	case k.last != 0 && n != k.last+1:
		t.broke("I2", "a socket of the app takes message %d behind %d", n, k.last)
	case k.last != 0:
	case n > t.handed+1:
		t.broke("I2", "a fresh socket of the app begins with message %d, and %d were taken", n, t.handed)
	case int(n) <= k.acked:
		t.broke("I2", "a fresh socket of the app begins with message %d, and %d were acknowledged", n, k.acked)
	case n <= k.line:
		t.broke("I2", "message %d comes to a second socket of the app, and the client is told %v", n, k.reason)
	case n <= t.handed:
		t.twice++
		t.c.f.reach("adopt: a message comes to a second app")
	}
	k.last = n
	t.c.f.step("the app's socket has taken a message", t.c, s.app.p)
	t.handed = max(t.handed, n)
	if s.owner == t.newest {
		t.line = max(t.line, n)
	}
}

// says numbers a message of the app.
func (t *talk) says(s *appSocket) uint32 {
	t.said = append(t.said, saying{socket: s, at: t.c.f.now, late: s.owner != t.newest})
	return uint32(len(t.said))
}

// mayTick reports whether an app that speaks by itself goes on.
func (t *talk) mayTick() bool { return !t.c.f.ending && !t.c.finished }

// heard notes that the session has a message of the app.
func (t *talk) heard(s *appSocket, n uint32) {
	t.said[n-1].heard, t.said[n-1].at = true, t.c.f.now
	t.c.f.step("the session has a message of the app", t.c, s.app.p)
}

// appDies notes that the app's process ended with a socket.
func (t *talk) appDies(s *appSocket) {
	if k := t.of[s]; k != nil {
		k.appDied = true
	}
}

// received checks a message that the client's program reads.
func (t *talk) received(text bool, p []byte) {
	n, ok := number(p, 'a')
	if !ok || int(n) > len(t.said) || !bytes.Equal(p, message('a', t.c.n, n)) || text != (n%5 == 0) {
		t.broke("I7", "the client reads %.40q", p)
		return
	}
	if n <= t.got {
		t.broke("I1", "the client reads message %d behind %d", n, t.got)
		return
	}
	if n > t.got+1 {
		t.gap(t.got+1, n)
	}
	t.got = n
	t.c.f.step("the client reads a message", t.c, nil)
}

// gap checks that what is missing before message n may be. What was said to an owner
// that had been replaced already is none that the client need be told of again.
func (t *talk) gap(from, n uint32) {
	late, told := true, true
	for k := from; k < n; k++ {
		if why := t.mayMiss(k, n); why != "" {
			t.broke("I1", "the client reads message %d and not %d: %s", n, k, why)
			return
		}
		late = late && t.said[k-1].late
		told = told && (t.said[k-1].late || t.said[k-1].socket.n < t.told)
	}
	if late {
		t.c.f.reach("adopt: an owner that was replaced goes on hearing its app")
		return
	}
	if !told {
		t.broke("no silent gap", "the client reads message %d behind %d, and nobody told it that something may be missing", n, from-1)
	}
	t.gaps++
	t.c.f.reach("adopt: the last words of an app are missing, and the client is told")
}

// mayMiss returns why message k of the app must not be missing where the client has
// n; empty: it may be.
func (t *talk) mayMiss(k, n uint32) string {
	m, f := &t.said[k-1], t.c.f
	if n != 0 && m.socket == t.said[n-1].socket {
		return "both are of one socket"
	}
	owner := t.owners[m.socket.owner]
	switch {
	case owner == nil:
		return ""
	case n == 0 && m.socket.app.sockets[m.socket] && !m.socket.owner.over && !m.socket.owner.dead:
		return "it is on its way"
	case t.of[m.socket].appDied && !m.heard:
		return "" // it was still in the socket of an app that died
	case !owner.died.IsZero():
		if !f.plan.hurtsJournal() && m.heard && owner.died.Sub(m.at) > f.persistLimit() && owner.recorded {
			return fmt.Sprintf("its owner died %v after the session had it, with a journal that was well", owner.died.Sub(m.at))
		}
		return ""
	case owner.why == session.EndedFenced, owner.why == 0 && m.socket.owner != t.newest:
		return "" // an owner that had been replaced said it
	case !m.heard:
		return "" // the socket was closed before the sidecar had read it
	case owner.why == session.EndedHanded && f.plan.losesRecords():
		return "" // the journal had it, and nobody could write it again
	}
	return "its owner ended as " + owner.why.String()
}

// attached notes that an owner has the client, which has shown a token: all before that
// are dead.
func (t *talk) attached(d *driver, at session.Position, adopted bool) {
	for _, older := range t.shownTokens {
		if older.epoch < at.Epoch || older.epoch == at.Epoch && older.generation < at.Generation {
			if v := d.m.Token(older.epoch, older.generation, 0); v != session.TokenReused {
				t.broke("tokens", "token %d of epoch %d is %v for an owner of epoch %d, and the client has shown token %d of epoch %d", older.generation, older.epoch, v, d.m.Epoch(), at.Generation, at.Epoch)
			}
		}
	}
	t.shownTokens = append(t.shownTokens, tokenNumber{at.Epoch, at.Generation})
	if !adopted && t.owners[d] == nil {
		t.broke("I5", "the client is attached to an owner that it never had")
	}
}

// recorded notes what became of a record.
func (t *talk) recorded(d *driver, rec *store.Record, result session.PersistResult) {
	o := t.owners[d]
	if o == nil {
		return
	}
	if result == session.Persisted {
		o.recorded = true
		t.c.f.step("the journal has taken a record", t.c, d.p)
		if rec.Handed {
			t.c.f.step("the hand-over is in the journal", t.c, d.p)
		}
		// The answer may be late: a process that stands still hears it when it goes on.
		if d != t.newest && rec.Epoch < t.newest.m.Epoch() && d.chain.Revision > t.owners[t.newest].claim && !t.c.f.plan.losesRecords() {
			t.broke("I5", "the journal takes a record of epoch %d behind epoch %d", rec.Epoch, t.newest.m.Epoch())
		}
	}
}

func (t *talk) ownerEnds(d *driver, why session.Ending) {
	if o := t.owners[d]; o != nil {
		o.why = why
	}
}

func (t *talk) ownerDies(d *driver) {
	if o := t.owners[d]; o != nil && !d.over {
		o.died = t.c.f.now
	}
}

// event notes what the client is told of its session.
func (t *talk) event(e seam.Event) {
	f := t.c.f
	switch e.Kind {
	case "adopted":
		t.adoptions++
		t.reasons = append(t.reasons, e.Reason)
		f.reach("client: adopted, " + e.Reason)
		if e.Reason != wire.AdoptDrained.String() {
			t.told = len(t.sockets) - 1
		}
	case "resumed":
		t.resumed++
		f.reach("client: resumed")
		f.resumes++
	case "goaway":
		t.asked = true
		f.reach("client: is asked to come elsewhere")
	}
}

// look checks what may be seen of the client after each of its steps.
func (t *talk) look() {
	v := t.c.m.View()
	f := t.c.f
	t.c.began = t.c.began || v.Connected
	if !v.Over && t.c.began {
		if v.Acked > t.acked {
			f.step("the client hears an acknowledgement", t.c, nil)
		}
		t.acked = v.Acked
		if t.acked > int(t.handed) {
			t.broke("I3", "%d messages are acknowledged, and the app's sockets took %d", t.acked, t.handed)
		}
		if v.Epoch < t.epoch {
			t.broke("I5", "the client is welcomed by epoch %d behind epoch %d", v.Epoch, t.epoch)
		}
		t.epoch = v.Epoch
	}
	switch {
	case v.Connected == t.connected:
	case v.Connected:
		f.step("the client has read WELCOME", t.c, nil)
		if !t.away.IsZero() {
			if f.now.Sub(t.away) > t.longest.to.Sub(t.longest.from) {
				t.longest = interval{t.away, f.now}
			}
		}
		t.away, t.dead = time.Time{}, time.Time{}
	default:
		if t.away = f.now; !t.dead.IsZero() {
			t.away = t.dead // its sidecar may have noticed that first
		}
		f.step("a connection is lost", t.c, nil)
	}
	t.connected = v.Connected
	if limit := (16 << 10) + (5 << 10); v.Queued > limit {
		t.broke("I6", "a client holds %d bytes for its program", v.Queued)
	}
}

// over checks a session's end.
func (t *talk) over(v seam.View) {
	f := t.c.f
	if v.Lost == "" {
		f.reach("client: closed")
		switch {
		case t.byApp && !t.c.closing:
			if why := t.missing(); why != "" {
				t.broke("I1", "the app has closed, and the client has heard that: %s", why)
			}
			f.reach("client: closed by the app")
			return
		case t.c.closing:
			if v.Confirmed && !t.byApp && t.handed < t.wrote && !f.plan.has(AppRestart) {
				t.broke("I2", "a close is confirmed, and the app's sockets took %d of %d messages", t.handed, t.wrote)
			}
			return
		}
		if v.Code != int(wire.CodeRestart) && !f.plan.has(AppRestart) {
			t.broke("verdict", "the session is closed with %d, and nobody has closed", v.Code)
		}
		return
	}
	t.lostAs = v.Lost
	f.reach("client: lost, " + v.Lost)
	f.resets++
	if t.closeUnheard(v.Lost) {
		f.reach("client: lost, its close was done")
		if !t.byApp && t.handed < t.wrote && !f.plan.has(AppRestart) {
			t.broke("I2", "a close has ended the session, and the app's sockets took %d of %d messages", t.handed, t.wrote)
		}
		if v.Unacked == 0 {
			t.broke("verdict", "the session is lost (%s), and the client has closed it and knows that everything arrived", v.Lost)
		}
		return
	}
	if why := t.justifies(v.Lost); why != "" {
		t.broke("verdict", "the session is lost (%s), and %s", v.Lost, why)
	}
}

// closeUnheard reports whether the session is over because the client's close was done,
// and the client, which has not heard the answer and came back for it, is told that
// nobody knows the session any more (PROTOCOL §7).
func (t *talk) closeUnheard(lost string) bool {
	return lost == "unknown" && t.c.closing && t.ended(session.EndedClosed)
}

// justifies returns why a session must not be lost so; empty: it may be.
func (t *talk) justifies(lost string) string {
	plan := t.c.f.plan
	gone, unheard := false, false
	for d, o := range t.owners {
		ended := !o.died.IsZero() || o.why != 0
		gone = gone || ended
		unheard = unheard || (ended || d.p.paused) && !o.recorded // who stands still counts as gone after its lease
	}
	switch {
	case lost == "expired", lost == "unknown":
		if why := t.wasAway(); why == "" {
			return ""
		}
		switch {
		case unheard: // an owner was gone before the journal had heard of the session
			return ""
		case plan.losesRecords() && (gone || plan.hides()): // nobody could write again what the journal lost
			return ""
		case plan.hurtsJournal() && t.ended(session.EndedExpired, session.EndedReleased):
			return ""
		}
		return "the client could come back, and the journal had the session"
	case lost == "lost" && (gone || plan.hides()) && (plan.hurtsJournal() || plan.hides()):
		return "" // what a dead owner said was not in the journal, or one said it that had been replaced
	case lost == "lost" && t.asked && t.ownerDied(): // it was moving, and got messages on the old connection that its offer did not know of (PROTOCOL §8.3)
		return ""
	case lost == "lost":
		return "the journal had what was missing"
	}
	return "that never may be"
}

// wasAway returns why a client cannot have been away for the time to live of its
// session, but for faults; empty: it was.
func (t *talk) wasAway() string {
	f := t.c.f
	ttl := sessionTTL - 12*f.plan.Skew
	if !t.shown() {
		ttl /= 2
	}
	// When all is healed a client is back within some seconds.
	for _, away := range []interval{t.longest, {t.away, f.now}} {
		if away.from.IsZero() {
			continue
		}
		if end := began.Add(f.plan.Length + 8*time.Second); away.to.After(end) {
			away.to = end
		}
		if away.to.Sub(away.from) >= ttl {
			return ""
		}
	}
	return "it was not"
}

// ended reports whether an owner's session ended so.
func (t *talk) ended(why ...session.Ending) bool {
	for _, o := range t.owners {
		if slices.Contains(why, o.why) {
			return true
		}
	}
	return false
}

func (t *talk) ownerDied() bool {
	for _, o := range t.owners {
		if !o.died.IsZero() {
			return true
		}
	}
	return false
}

// shown reports whether the client has shown that it read a WELCOME.
func (t *talk) shown() bool { return t.got > 0 || t.acked > 0 || t.adoptions > 0 }

// checkOutput looks at what a session wants done.
func (d *driver) checkOutput(o *session.Output) {
	if d.m.OwnershipSuspect() && (len(o.ToApp) > 0 || len(o.ToClient) > 0) {
		d.p.f.broke(d.of, "I5", "an owner that does not know whether it is one acts")
	}
	if !d.m.HandingOver() {
		if held, most := d.m.Held(), 2*(d.p.cfg.WindowBytes+d.p.cfg.MaxMessage+64); held > 2*most+d.inherited {
			d.p.f.broke(d.of, "I6", fmt.Sprintf("a session holds %d bytes", held))
		}
	}
}
