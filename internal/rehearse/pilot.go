package rehearse

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A pilot is what the two kinds of clients have in common: whom it is, what it
// sends when, and what it makes of what it hears.
type pilot struct {
	run     *run
	account *tally.Client
	random  *rand.Rand // of what it sends; one goroutine draws
	answers []*profile.Match

	login login
	load  func(ctx context.Context, send sender) // what it sends when; drive

	heard atomic.Pointer[string] // the last message, while it is tried out
}

// A sender takes message n of a client.
type sender func(n int, payload []byte)

func (r *run) newPilot(number int, side tally.Side) *pilot {
	p := &pilot{
		run: r, account: tally.NewClient(number, side, &r.live[side]),
		random: r.random("client", number), answers: r.profile.Answers(),
	}
	p.account.Unordered = r.profile.Unordered
	p.load = p.drive
	return p
}

// drive sends what the profile says, each message at its moment whether those
// before it are on their way or not, until ctx ends.
func (p *pilot) drive(ctx context.Context, send sender) {
	due := p.run.now() + time.Duration(p.random.Float64()*float64(p.run.profile.Think))
	for {
		if proc.Sleep(ctx, due-p.run.now()) != nil || ctx.Err() != nil {
			return
		}
		p.say(due, p.run.profile.Pick(p.random.Float64()), send)
		due += p.run.profile.Pause(p.random.Float64())
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
	now, prof := p.run.now(), p.run.profile
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
	text, ok := p.run.profile.Push.Number.Find(payload)
	if !ok {
		return
	}
	n, ok := parseNumber(text)
	if !ok {
		return
	}
	name := ""
	if s := p.run.profile.Push.Stream; s != nil {
		name, _ = s.Find(payload)
	}
	p.account.Pushed(name, n)
}

// up notes that the client is connected, with the app socket that it had or with
// another one.
func (p *pilot) up(by tally.Return, away time.Duration) {
	if push := p.run.profile.Push; push != nil && push.Socket && by != tally.Resumed {
		p.account.Renumbered()
	}
	p.account.Up(p.run.now(), by, away)
}

// hello is what a fresh app socket hears first.
func (p *pilot) hello() [][]byte {
	fields := &profile.Fields{Client: p.account.Number, Token: p.login.token, Now: time.Now(), Random: p.run.random("hello", p.account.Number)}
	var list [][]byte
	for _, t := range p.run.profile.Hello {
		list = append(list, []byte(t.Expand(fields)))
	}
	return list
}

// handshake returns what the client dials.
func (p *pilot) handshake() (to string, h http.Header, err error) {
	fields := &profile.Fields{Client: p.account.Number, Token: p.login.token, Now: time.Now(), Random: p.run.random("handshake", p.account.Number)}
	h = http.Header{}
	for name, value := range p.run.profile.Headers {
		h.Set(name, profile.Template(value).Expand(fields))
	}
	if cookies := p.login.cookies; cookies != "" {
		if own := h.Get("Cookie"); own != "" {
			cookies = own + "; " + cookies
		}
		h.Set("Cookie", cookies)
	}
	u, err := url.Parse(profile.Template(strings.NewReplacer("%7B", "{", "%7D", "}").Replace(p.run.target.String())).Expand(fields))
	if err != nil {
		return "", nil, err
	}
	if q := profile.Template(p.run.profile.Query).Expand(fields); q != "" {
		if u.RawQuery != "" {
			q = u.RawQuery + "&" + q
		}
		u.RawQuery = q
	}
	return u.String(), h, nil
}
