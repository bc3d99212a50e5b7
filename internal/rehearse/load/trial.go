package load

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// What a trial may take.
const (
	trialLimit = 20 * time.Second
	trialLook  = 20 * time.Millisecond
)

// Try tries one client of each side with one message, so that a mistake in the
// profile is told before the load and not after it. Their numbers are above those
// of the load's clients.
func Try(ctx context.Context, s Spec) error {
	for side := range tally.Sides {
		var why atomic.Pointer[string]
		s.Failed = func(_ tally.Side, text string) { why.CompareAndSwap(nil, &text) }
		l := New(s)
		if l.Clients(side) == 0 {
			continue
		}
		if err := l.try(ctx, side, &why); err != nil {
			return fmt.Errorf("rehearse: a trial with one %s client: %w", side, err)
		}
	}
	return nil
}

func (l *Load) try(ctx context.Context, side tally.Side, why *atomic.Pointer[string]) error {
	ctx, cancel := context.WithTimeout(ctx, trialLimit)
	defer cancel()
	p := l.newPilot(l.Profile.Plain+l.Profile.Resilient+int(side), side)
	p.load = func(_ context.Context, send sender) {
		for i := range l.Profile.Messages {
			p.say(l.Now(), &l.Profile.Messages[i], send)
		}
	}
	flying, land := context.WithCancel(ctx)
	l.tasks.Go(func() { p.fly(flying, flying) })
	defer func() {
		land()
		l.Wait()
	}()
	up := &l.Live[side].Up
	for why.Load() == nil && (up.Load() == 0 || p.account.Waiting()) {
		if proc.Sleep(ctx, trialLook) == nil {
			continue
		}
		if up.Load() == 0 {
			return fmt.Errorf("no connection to %s within %v", Address(l.Target), trialLimit)
		}
		return p.unanswered()
	}
	if text := why.Load(); text != nil {
		return errors.New(*text + hint(*text))
	}
	return nil
}

// unanswered says what a trial has sent and heard.
func (p *pilot) unanswered() error {
	heard := "nothing came"
	if text := p.heard.Load(); text != nil {
		heard = fmt.Sprintf("the last message that came is %q", *text)
	}
	return fmt.Errorf("not every message was answered within %v: %s. Does \"answer\" name the place where {{id}} or {{n}} comes back?", trialLimit, heard)
}

// ErrOffline is why a client without network cannot connect.
var ErrOffline = fmt.Errorf("rehearse: the client is offline: %w", syscall.ENETUNREACH)

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

// Reason is an error without what differs from one client to the next, and without
// URLs, whose query may be secret.
func Reason(err error) string {
	if where, ok := errors.AsType[*url.Error](err); ok {
		err = where.Err
	}
	if errors.Is(err, ErrOffline) {
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
