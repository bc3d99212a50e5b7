package doctor

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/wire"
)

// A probe is one examination under way.
type probe struct {
	t       *target
	address string      // the first that answers
	works   variant     // of handshake
	dumb    atomic.Bool // pings are not answered
	mu      sync.Mutex
	facts   diagnosis.Facts
}

// note changes the facts.
func (p *probe) note(change func(*diagnosis.Facts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.facts)
}

// Examine looks at o.URL and says what it found. When ctx ends it says what it
// knows by then. The error is one of Options.
func Examine(ctx context.Context, o Options) (*diagnosis.Report, error) {
	facts, err := gather(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Direct != "" {
		direct := o
		direct.URL, direct.Direct, direct.Resolve, direct.Unix, direct.ServerName = o.Direct, "", nil, "", ""
		direct.Quick, direct.Idle = true, time.Second
		if facts.Direct, err = gather(ctx, direct); err != nil {
			return nil, err
		}
	}
	report := diagnosis.Diagnose(facts)
	if ctx.Err() != nil {
		report.Cut = "interrupted: what is not listed was not looked at"
	}
	return report, nil
}

// gather is Examine without a judgement.
func gather(ctx context.Context, o Options) (*diagnosis.Facts, error) {
	t, err := o.parse()
	if err != nil {
		return nil, err
	}
	p := &probe{t: t}
	p.facts = diagnosis.Facts{
		URL: t.shown(), Secure: t.secure, Host: t.url.Hostname(), LocalName: t.url.Hostname() == "localhost", Now: time.Now(),
		Expect: diagnosis.Expect{
			Subprotocols: t.Subprotocols, Issuer: t.Issuer, Sidecar: t.Sidecar, Compression: t.Compression, Insecure: t.Insecure,
			OwnOrigin: t.Origin != "", Credentials: t.Header.Get("Cookie") != "" || t.Header.Get("Authorization") != "",
		},
	}
	if via, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: strings.Replace(t.url.Scheme, "ws", "http", 1), Host: t.url.Host}}); err == nil && via != nil && t.Unix == "" {
		p.facts.EnvProxy = via.Host
	}
	p.run(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	facts := p.facts // what still runs changes nothing any more
	return &facts, nil
}

func (p *probe) run(ctx context.Context) {
	p.t.Progress("looking up " + p.t.url.Hostname())
	list, err := p.t.lookup(ctx)
	if err != nil {
		p.facts.LookupErr = text(err)
		return
	}
	p.addresses(ctx, list)
	if p.address == "" || ctx.Err() != nil {
		return
	}
	p.handshakes(ctx)
	if p.usable() && ctx.Err() == nil {
		p.links(ctx)
	}
}

// addresses makes a handshake with each, all at once.
func (p *probe) addresses(ctx context.Context, list []string) {
	p.facts.Addresses = make([]diagnosis.Handshake, len(list))
	var all sync.WaitGroup
	for i, a := range list {
		all.Go(func() {
			h, s := p.t.open(ctx, a, variant{protocols: p.t.Subprotocols})
			if s != nil {
				s.close()
			}
			p.facts.Addresses[i] = *h
		})
	}
	all.Wait()
	best := diagnosis.Stage(-1)
	for i := range p.facts.Addresses {
		a := &p.facts.Addresses[i]
		p.fastest(a)
		if a.Stage >= diagnosis.Asking && a.Stage > best && a.Cause != diagnosis.BadCert {
			best, p.address = a.Stage, a.Address
		}
	}
}

// open makes a handshake with the address that is looked at.
func (p *probe) open(ctx context.Context, v variant) (*diagnosis.Handshake, *socket) {
	h, s := p.t.open(ctx, p.address, v)
	if s != nil {
		p.note(func(*diagnosis.Facts) { p.fastest(h) })
	}
	return h, s
}

// fastest keeps the least time from request to 101, and the server's clock. The
// caller has the facts to itself.
func (p *probe) fastest(h *diagnosis.Handshake) {
	if h.OK() && (p.facts.FastestAnswer == 0 || h.AnswerTook < p.facts.FastestAnswer) {
		p.facts.FastestAnswer = h.AnswerTook
	}
	p.date(h)
}

// date takes the clock from an answer that just came. The header has whole
// seconds, and was written between request and answer.
func (p *probe) date(h *diagnosis.Handshake) {
	if h.Header == nil || h.Header.Get("Age") != "" {
		return
	}
	d, err := http.ParseTime(h.Header.Get("Date"))
	if err != nil {
		return
	}
	k := diagnosis.Clock{Of: "the server that answers (Date)", Low: d.Sub(h.At), High: d.Add(time.Second).Sub(h.At.Add(-h.AnswerTook))}
	for i, old := range p.facts.Clocks {
		if old.Of == k.Of {
			p.facts.Clocks[i].Low, p.facts.Clocks[i].High = max(old.Low, k.Low), min(old.High, k.High)
			return
		}
	}
	p.facts.Clocks = append(p.facts.Clocks, k)
}

// link makes a connection for pings, and says first on it what the user has said.
// The socket is nil if that fails, which is noted.
func (p *probe) link(ctx context.Context) *socket {
	h, s := p.open(ctx, p.works)
	if ctx.Err() != nil && s == nil {
		return nil
	}
	p.note(func(f *diagnosis.Facts) {
		f.Made++
		if s == nil {
			f.Later = append(f.Later, *h)
		}
	})
	if s != nil && p.t.Message != "" {
		_ = s.write(ws.OpText, []byte(p.t.Message)) // the reader tells how it ended
	}
	return s
}

func (p *probe) answersPings() bool { return !p.dumb.Load() }

// usable reports whether some handshake works, and takes that for the rest.
func (p *probe) usable() bool {
	f := &p.facts
	own := p.t.Subprotocols
	for _, c := range []struct {
		h *diagnosis.Handshake
		v variant
	}{
		{f.Plain, variant{protocols: own}}, {f.NoOrigin, variant{protocols: own, noOrigin: true}},
		{f.NoExtension, variant{protocols: own, noDeflate: true}}, {f.NoProtocol, variant{noDeflate: true}},
		{f.Resilient, variant{protocols: p.offer(nil), noDeflate: true}},
	} {
		if c.h.OK() {
			p.works = c.v
			return true
		}
	}
	return false
}

// handshakes makes those that differ, and for one that fails those without one
// thing.
func (p *probe) handshakes(ctx context.Context) {
	p.t.Progress("handshakes with " + p.address)
	f := &p.facts
	try := func(v variant) *diagnosis.Handshake {
		h, s := p.open(ctx, v)
		if s != nil {
			s.close()
		} else {
			p.note(func(*diagnosis.Facts) { p.date(h) })
		}
		return h
	}
	f.Plain = try(variant{protocols: p.t.Subprotocols})
	if f.Plain.Stage == diagnosis.Answered || f.Plain.Stage == diagnosis.Asking {
		p.without(f, try)
	}
	h, s := p.open(ctx, variant{protocols: p.offer(nil)})
	f.Resilient = h
	if s != nil {
		p.session(ctx, s, h.Protocol == wire.Subprotocol)
	}
	if f.Plain.OK() {
		f.List = try(variant{protocols: p.t.Subprotocols, list: true})
	}
	if f.Session == nil || f.Session.Welcome == nil {
		f.Marker = try(variant{protocols: p.marker()})
	}
	if f.Plain.Stage == diagnosis.Asking && f.Plain.Cause != diagnosis.TimedOut {
		p.http2(ctx)
	}
}

// without leaves one thing out at a time.
func (p *probe) without(f *diagnosis.Facts, try func(variant) *diagnosis.Handshake) {
	if f.Plain.Status >= 300 && f.Plain.Status < 400 || f.Plain.Status >= 500 || f.Plain.Cause == diagnosis.NoHTTP1 || f.Plain.Cause == diagnosis.TimedOut {
		return
	}
	if p.t.origin() != "" {
		f.NoOrigin = try(variant{protocols: p.t.Subprotocols, noOrigin: true})
	}
	f.NoExtension = try(variant{protocols: p.t.Subprotocols, noDeflate: true})
	if len(p.t.Subprotocols) > 0 {
		f.NoProtocol = try(variant{})
	}
}

// links looks at open connections. Round trips are measured first, while nothing
// else is under way.
func (p *probe) links(ctx context.Context) {
	p.t.Progress("pings")
	if s := p.link(ctx); s != nil {
		b := beat(ctx, s)
		_, beacon := s.pings()
		b.Beacon = beacon != nil
		p.dumb.Store(b.Got == 0)
		p.note(func(f *diagnosis.Facts) { f.Beats = b })
		s.close()
	}
	var all sync.WaitGroup
	all.Go(func() { p.silences(ctx) })
	all.Go(func() { p.rest(ctx) })
	all.Wait()
}

// rest is what takes little time.
func (p *probe) rest(ctx context.Context) {
	p.t.Progress("headers, sizes")
	p.heads(ctx)
	p.afterClose(ctx)
	if s := p.facts.Session; s != nil && s.Welcome != nil {
		p.longResume(ctx)
		p.violations(ctx, int(s.Welcome.MaxMessage))
	}
	if p.t.Echo {
		p.echo(ctx)
	} else if p.t.Message != "" {
		p.ask(ctx)
	}
	if p.t.Stream != "" {
		p.stream(ctx)
	}
	if p.t.secure {
		p.http2(ctx)
	}
	if b := p.facts.Beats; b != nil && b.Got > 0 && b.End == nil && b.Held == diagnosis.HeldNowhere {
		p.t.Progress("bytes")
		p.volume(ctx)
	}
}

// volume pours, and a second time if that was cut.
func (p *probe) volume(ctx context.Context) {
	wanted, limit := volume, pourTime
	if p.t.Quick {
		wanted, limit = quickBytes, quickPour
	}
	s := p.link(ctx)
	if s == nil {
		return
	}
	v := pour(ctx, s, wanted, limit)
	s.close()
	if v.End != nil {
		if s := p.link(ctx); s != nil {
			again := pour(ctx, s, wanted, limit)
			s.close()
			v.Repeated, v.RepeatedAt = again.End, again.Passed
		}
	}
	p.note(func(f *diagnosis.Facts) { f.Volume = v })
}
