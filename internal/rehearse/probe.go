package rehearse

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// What a probe may take.
const (
	probeLimit = 20 * time.Second
	probeLook  = 20 * time.Millisecond
)

// probe tries one client of each side with one message, so that a mistake in the
// profile is told before the load and not after it.
func (r *run) probe(ctx context.Context) error {
	for side := range tally.Sides {
		clients := [...]int{r.profile.Plain, r.profile.Resilient}[side]
		if clients == 0 {
			continue
		}
		if err := r.probeSide(ctx, side, r.profile.Plain+r.profile.Resilient+int(side)); err != nil {
			return fmt.Errorf("rehearse: a trial with one %s client: %w", side, err)
		}
	}
	r.live = [tally.Sides]tally.Live{}
	return nil
}

func (r *run) probeSide(ctx context.Context, side tally.Side, number int) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	p := r.newPilot(number, side)
	p.load = func(_ context.Context, send sender) {
		for i := range r.profile.Messages {
			p.say(r.now(), &r.profile.Messages[i], send)
		}
	}
	flying, land := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		p.fly(flying, flying)
		close(over)
	}()
	defer func() {
		land()
		<-over
	}()
	up := &r.live[side].Up
	answered := p.await(ctx, func() bool { return r.firstReason() != "" || up.Load() > 0 && !p.account.Waiting() })
	switch why := r.firstReason(); {
	case why != "":
		return errors.New(why + hint(why))
	case answered:
		return nil
	case up.Load() == 0:
		return fmt.Errorf("no connection to %s within %v", shown(r.target), probeLimit)
	}
	return p.unanswered()
}

// unanswered says what a trial has sent and heard.
func (p *pilot) unanswered() error {
	heard := "nothing came"
	if text := p.heard.Load(); text != nil {
		heard = fmt.Sprintf("the last message that came is %q", *text)
	}
	return fmt.Errorf("not every message was answered within %v: %s. Does \"answer\" name the place where {{id}} or {{n}} comes back?", probeLimit, heard)
}

// hints are what may be done about errors that contain a text.
var hints = []struct{ part, hint string }{
	{"certificate", ": if it is your own, name its authority with -ca, or take any with -insecure"},
	{" 401", ": does the app want a login, a token or a header? The profile can say so (docs/REHEARSE.md)"},
	{" 403", ": does the app want a login, a header or an Origin of its own? The profile can say so (docs/REHEARSE.md)"},
	{" 404", ": is the path right?"},
	{" 426", ": does a proxy on the way pass upgrades? See docs/PROXIES.md"},
	{"but got 200", ": does a proxy on the way pass upgrades, and is the path right? See docs/PROXIES.md"},
	{"connection refused", ": does anything listen there?"},
	{"connection reset", ": does anything listen there?"},
}

func hint(why string) string {
	for _, h := range hints {
		if strings.Contains(why, h.part) {
			return h.hint
		}
	}
	return ""
}

func (p *pilot) await(ctx context.Context, reached func() bool) bool {
	for !reached() {
		if proc.Sleep(ctx, probeLook) != nil {
			return false
		}
	}
	return true
}

// firstReason is why a client failed, "" if none did.
func (r *run) firstReason() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for text := range r.why {
		return text
	}
	return ""
}

// reason is an error without what differs from one client to the next, and without
// URLs, whose query may be secret.
func reason(err error) string {
	if where, ok := errors.AsType[*url.Error](err); ok {
		err = where.Err
	}
	if errors.Is(err, errOffline) {
		return "the client is offline"
	}
	text := err.Error()
	for _, noise := range []string{"rehearse: ", "client: ", "failed to WebSocket dial: "} {
		text = strings.ReplaceAll(text, noise, "")
	}
	return ports.ReplaceAllString(text, "$1:*")
}

// ports are those of this side's sockets, as errors of the network name them.
var ports = regexp.MustCompile(`(127\.0\.0\.1|10\.219\.0\.1):\d+`)

func parseNumber(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
