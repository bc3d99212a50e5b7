package load

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A pilot is what the two kinds of clients have in common: whom it is, what it
// sends when, and what it makes of what it hears.
type pilot struct {
	all     *Load
	account *tally.Client
	random  *rand.Rand // of what it sends; one goroutine draws
	answers []*profile.Match

	login login
	load  func(ctx context.Context, send sender) // what it sends when; drive

	heard atomic.Pointer[string] // the last message, while it is tried out
}

// A sender takes message n of a client.
type sender func(n int, payload []byte)

func (l *Load) newPilot(number int, side tally.Side) *pilot {
	p := &pilot{
		all: l, account: tally.NewClient(number, side, &l.Live[side]),
		random: l.random("client", number), answers: l.Profile.Answers(),
	}
	p.account.Unordered = l.Profile.Unordered
	p.load = p.drive
	return p
}

// drive sends what the profile says, each message at its moment whether those
// before it are on their way or not, until ctx ends.
func (p *pilot) drive(ctx context.Context, send sender) {
	due := p.all.Now() + time.Duration(p.random.Float64()*float64(p.all.Profile.Think))
	for {
		if proc.Sleep(ctx, due-p.all.Now()) != nil || ctx.Err() != nil {
			return
		}
		if !p.all.held.Load() {
			p.say(due, p.all.Profile.Pick(p.random.Float64()), send)
		}
		due += p.all.Profile.Pause(p.random.Float64())
	}
}

// say sends a message that is due.
func (p *pilot) say(due time.Duration, m *profile.Message, send sender) {
	n := p.account.Due(due, !m.Silent)
	send(n, []byte(m.Send.Expand(p.fields(n))))
}

func (p *pilot) fields(n int) *profile.Fields {
	return &profile.Fields{Client: p.account.Number, N: n, Token: p.login.token, Now: time.Now(), Random: p.random}
}

// maxShown is how much of a message an error shows.
const maxShown = 200

// hear takes one message of the app.
func (p *pilot) hear(payload []byte) {
	now, prof := p.all.Now(), p.all.Profile
	if p.account.Number >= prof.Plain+prof.Resilient {
		text := string(payload[:min(len(payload), maxShown)])
		p.heard.Store(&text)
	}
	if prof.Error != nil {
		if _, ok := prof.Error.Find(payload); ok {
			p.account.Failed()
		}
	}
	for _, m := range p.answers {
		text, ok := m.Find(payload)
		if !ok {
			continue
		}
		if n, ok := profile.ParseKey(text, p.account.Number); ok {
			p.account.Answered(now, n)
			return
		}
	}
	if prof.Push != nil {
		p.pushed(payload)
	}
}

func (p *pilot) pushed(payload []byte) {
	text, ok := p.all.Profile.Push.Number.Find(payload)
	if !ok {
		return
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return
	}
	name := ""
	if s := p.all.Profile.Push.Stream; s != nil {
		name, _ = s.Find(payload)
	}
	p.account.Pushed(name, n)
}

// connected notes that the client is, with an app socket that knows nothing of it.
func (p *pilot) connected() {
	p.renumbered()
	p.account.Up(p.all.Now(), tally.Reconnect, 0)
}

// renumbered notes that the app socket is another one.
func (p *pilot) renumbered() {
	if push := p.all.Profile.Push; push != nil && push.Socket {
		p.account.Renumbered()
	}
}

// fly runs a client until ctx ends; it is logged in before it says anything.
func (p *pilot) fly(ctx, loading context.Context) {
	wait := backoff.New(backoff.Policy{Base: backoffBase, Max: backoffMax}, p.all.random("login", p.account.Number).Float64)
	for err := p.login.once(ctx, p); err != nil; err = p.login.once(ctx, p) {
		p.all.failed(ctx, p.account.Side, err)
		pause, _ := wait.Next()
		if proc.Sleep(ctx, pause) != nil {
			return
		}
	}
	switch {
	case p.account.Side == tally.Resilient:
		p.flyResilient(ctx, loading)
	case p.all.Foreign != nil:
		p.flyForeign(ctx, loading)
	default:
		p.flyPlain(ctx, loading)
	}
}

// hello is what a fresh app socket hears first.
func (p *pilot) hello() [][]byte {
	fields := &profile.Fields{Client: p.account.Number, Token: p.login.token, Now: time.Now(), Random: p.all.random("hello", p.account.Number)}
	var list [][]byte
	for _, t := range p.all.Profile.Hello {
		list = append(list, []byte(t.Expand(fields)))
	}
	return list
}

// handshake returns what the client dials.
func (p *pilot) handshake() (to string, h http.Header, err error) {
	fields := &profile.Fields{Client: p.account.Number, Token: p.login.token, Now: time.Now(), Random: p.all.random("handshake", p.account.Number)}
	h = http.Header{}
	for name, value := range p.all.Profile.Headers {
		h.Set(name, profile.Template(value).Expand(fields))
	}
	if cookies := p.login.cookies; cookies != "" {
		if own := h.Get("Cookie"); own != "" {
			cookies = own + "; " + cookies
		}
		h.Set("Cookie", cookies)
	}
	u, err := url.Parse(profile.Template(strings.NewReplacer("%7B", "{", "%7D", "}").Replace(p.all.Target.String())).Expand(fields))
	if err != nil {
		return "", nil, err
	}
	if q := profile.Template(p.all.Profile.Query).Expand(fields); q != "" {
		if u.RawQuery != "" {
			q = u.RawQuery + "&" + q
		}
		u.RawQuery = q
	}
	return u.String(), h, nil
}
