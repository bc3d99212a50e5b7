package demo

// Limits of what is remembered.
const (
	// maxLives bounds the app sockets of a user whose messages are still told
	// apart: a minute's worth and more. A message of one before them counts as
	// a duplicate.
	maxLives = 64

	// lastWords bounds, as a time at the demo's rate in seconds, what may go
	// down with an app that was killed. WSR_PERSIST_AFTER is far below it, so
	// that a slow machine is not blamed on the sidecar.
	lastWords = 2
)

// life is one app socket of a user. What the app writes to it is a stream of
// its own, since its successor, in another app, knows nothing of it.
type life struct {
	sock          string
	app           int
	order         int // among the user's, from 1
	killed        bool
	closed        bool
	told          uint64 // what its app says that it wrote
	out           score
	first, latest uint64 // what its app read: numbers of the user's own
}

// book is all that is known of one user's messages. Reports of different apps
// and clients come by different ways, so that none may rely on another's
// having come before it.
type book struct {
	in     score // what the user sent, and the apps read, all of them together
	extra  count // of in: what only a comparison of the apps' sockets tells
	past   count // to the client, of lives that are forgotten
	lives  []*life
	opened int // lives, ever
	spoken int // the order of the newest that the client has heard
	unsent uint64
}

// life returns that of a socket, and begins it when it is new.
func (b *book) life(sock string, app int, killed bool) *life {
	for i := len(b.lives) - 1; i >= 0; i-- {
		if b.lives[i].sock == sock {
			return b.lives[i]
		}
	}
	b.opened++
	l := &life{sock: sock, app: app, order: b.opened, killed: killed}
	b.lives = append(b.lives, l)
	return l
}

// forget gives up the oldest life when there are too many.
func (b *book) forget(v verdictRules) {
	if len(b.lives) > maxLives {
		b.past.add(b.outCount(b.lives[0], v))
		b.lives = b.lives[1:]
	}
}

// newest is the open life that the app would write to, or nil.
func (b *book) newest() *life {
	for i := len(b.lives) - 1; i >= 0; i-- {
		if l := b.lives[i]; !l.closed && !l.killed {
			return l
		}
	}
	return nil
}

// wrote takes what an app says that it wrote next.
func (l *life) wrote() {
	l.told++
	l.out.sent = max(l.out.sent, l.told)
}

// failed takes the newest back: it was refused by the socket.
func (l *life) failed() {
	l.told--
	l.out.sent = max(l.told, l.out.highest)
}

// hear counts a message that the client got, and returns how many went
// missing right before it, with those that the app wrote last to a socket
// before this one.
func (b *book) hear(l *life, n uint64) (missing uint64) {
	l.out.sent = max(l.out.sent, n) // its app's word may be on its way
	if l.order < b.spoken {
		l.out.reordered++
	}
	for _, old := range b.lives {
		if old.order >= b.spoken && old.order < l.order {
			missing += old.out.sent - old.out.highest
		}
	}
	b.spoken = max(b.spoken, l.order)
	return missing + l.out.arrive(n)
}

// read counts a message that an app got over a life.
func (b *book) read(l *life, n uint64) (missing uint64) {
	how, missing := b.in.place(n)
	switch {
	case l.latest != 0 && n < l.latest && how == late:
		b.extra.reordered++
	case how == again && n > l.latest && n <= b.in.sent && b.mayRepeat(l, n):
		b.extra.repeated++
	case how == again:
		b.extra.duplicated++
	}
	if l.first == 0 {
		l.first = n
	}
	l.latest = max(l.latest, n)
	return missing
}

// mayRepeat tells whether l may read a number that another life read: one of
// the two apps was killed before it could be acknowledged.
func (b *book) mayRepeat(l *life, n uint64) bool {
	found := false
	for _, o := range b.lives {
		if o == l || o.first == 0 || n < o.first || n > o.latest {
			continue
		}
		if !o.killed && !l.killed {
			return false
		}
		found = true
	}
	return found
}

// verdictRules say how a book is to be judged.
type verdictRules struct {
	promised  bool   // the user was promised something: a crash explains what is gone
	lastWords uint64 // most that may be gone with one app
	finished  bool   // nothing is under way any more
}

// counts judges a book.
func (b *book) counts(v verdictRules) [2]count {
	out := b.past
	for _, l := range b.lives {
		out.add(b.outCount(l, v))
	}
	out.unsent = b.unsent
	in := b.extra
	in.sent, in.received, in.gone = b.in.sent, b.in.received, b.inGone(v)
	in.lost = b.in.lost() - in.gone
	return [2]count{toClient: out, toApp: in}
}

// outCount judges what an app wrote to one life.
func (b *book) outCount(l *life, v verdictRules) count {
	c := count{
		sent: l.out.sent, received: l.out.received, lost: l.out.lost(),
		duplicated: l.out.duplicated, reordered: l.out.reordered,
	}
	if v.finished && l.out.highest > l.told {
		c.duplicated += l.out.highest - l.told // nobody wrote those
	}
	if l.order >= b.spoken && !v.finished {
		return c // the rest may be under way
	}
	tail := l.out.sent - l.out.highest
	if v.promised && l.killed && tail <= v.lastWords {
		c.gone = tail
	} else {
		c.lost += tail
	}
	return c
}

// inGone counts what was handed to an app that was killed before it read it.
func (b *book) inGone(v verdictRules) (n uint64) {
	if !v.promised {
		return 0
	}
	for _, g := range b.in.gaps {
		for _, l := range b.lives {
			if l.killed && l.latest+1 == g.first && g.last-g.first < v.lastWords {
				n += g.last - g.first + 1
				break
			}
		}
	}
	return n
}
