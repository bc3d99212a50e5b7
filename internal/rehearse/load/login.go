package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// loginLimit is what a login may take.
const loginLimit = 30 * time.Second

// maxLogin bounds the answer that is read for its token.
const maxLogin = 1 << 20

// A login is what a client has of its login. It is made before anything else of the
// client runs, and does not change then.
type login struct {
	done    bool
	token   string
	cookies string // as a handshake sends them
}

// once logs in if the profile wants that, and it has not been done. It goes
// straight to its URL: the faults are on the way of the WebSocket.
func (l *login) once(ctx context.Context, p *pilot) error {
	how := p.all.Profile.Login
	if how == nil || l.done {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	f := p.fields(0)
	r, err := http.NewRequestWithContext(ctx, how.Method, how.URL.Expand(f), strings.NewReader(how.Body.Expand(f)))
	if err != nil {
		return fmt.Errorf("rehearse: login: %w", err)
	}
	for name, value := range how.Headers {
		r.Header.Set(name, value.Expand(f))
	}
	answer, err := p.all.http.Do(r)
	if err != nil {
		return fmt.Errorf("rehearse: login: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxLogin))
	if err != nil {
		return fmt.Errorf("rehearse: login: %w", err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("rehearse: login: %s %s is answered with %s", how.Method, r.URL.Redacted(), answer.Status)
	}
	var pairs []string
	for _, c := range answer.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	l.cookies = strings.Join(pairs, "; ")
	if how.Token != nil {
		var found bool
		if l.token, found = how.Token.Find(text); !found {
			return fmt.Errorf("rehearse: login: there is no token in the answer of %s", r.URL.Redacted())
		}
	}
	l.done = true
	return nil
}
