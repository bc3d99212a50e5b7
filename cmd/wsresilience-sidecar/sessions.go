package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wsresilience/wsresilience/internal/console"
)

// Implementation limits of the commands that look into a running sidecar.
const (
	lookTimeout = 15 * time.Second
	maxAnswer   = 32 << 20
)

const sessionsUsage = `usage: wsresilience-sidecar sessions [flags]

Lists the sessions of the sidecar in this pod, with plain connections among them.
With -ended, those that ended lately, and why.

`

// sessionsCommand lists sessions.
func sessionsCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sessions", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, sessionsUsage); flags.PrintDefaults() }
	q := url.Values{}
	for _, f := range []struct{ name, help string }{
		{"id", "only those whose `id` begins so"},
		{"path", "only those whose path contains `text`"},
		{"client", "only those of an `address`, a network such as 203.0.113.0/24, or what begins so"},
		{"state", "only those in a `state`: " + strings.Join(console.States(), ", ") + "; several with commas"},
		{"kind", "only resilient or plain `ones`"},
		{"sort", "what comes first: " + strings.Join(console.Orders(), ", ") + " (default newest)"},
		{"limit", "at most `n` (default 100)"},
		{"cursor", "go on where the list before ended, as that said"},
	} {
		flags.Func(f.name, f.help, func(v string) error { q.Set(f.name, v); return nil })
	}
	ended := flags.Bool("ended", false, "those that ended lately instead, the newest first (with -id, -path, -client, -kind, -limit)")
	asJSON := flags.Bool("json", false, "print the sidecar's answer as it is")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "wsresilience-sidecar: sessions takes flags only, given %q; to see one session: wsresilience-sidecar session ID\n", flags.Arg(0))
		return exitUsage
	}
	l := newLook(environ, stdout, stderr)
	if l == nil {
		return exitUsage
	}
	if *ended {
		return l.show(ctx, "/ended?"+q.Encode(), *asJSON, func(text []byte) error { return printEnded(stdout, text) })
	}
	if !q.Has("sort") {
		q.Set("sort", "newest")
	}
	return l.show(ctx, "/sessions?"+q.Encode(), *asJSON, func(text []byte) error { return printSessions(stdout, text) })
}

// A look is a question to the sidecar of this pod that changes nothing.
type look struct {
	address        string
	token          string
	stdout, stderr io.Writer
}

// newLook makes one; nil: the settings are wrong, and that was said.
func newLook(environ []string, stdout, stderr io.Writer) *look {
	cfg := loadAdmin(environ, stderr)
	if cfg == nil {
		return nil
	}
	return &look{adminAddress(cfg.AdminListen), cfg.OperatorToken(), stdout, stderr}
}

// show asks, and prints the answer.
func (l *look) show(ctx context.Context, path string, asJSON bool, print func([]byte) error) int {
	text, status, err := l.ask(ctx, path)
	switch {
	case err != nil:
		return l.failed(err)
	case status != http.StatusOK && !json.Valid(text):
		return l.failed(&answerError{status, strings.TrimSpace(string(text))})
	case asJSON:
		_, err = l.stdout.Write(text)
	default:
		err = print(text)
	}
	if err != nil {
		return l.failed(err)
	}
	if status != http.StatusOK {
		return exitFailed
	}
	return exitOK
}

// ask gets the answer.
func (l *look) ask(ctx context.Context, path string) (text []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	resp, err := adminCall{http.MethodGet, "http://" + l.address + path, l.token}.do(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return text, resp.StatusCode, err
}

// An answerError is an answer that is none.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string { return e.text }

func (l *look) failed(err error) int {
	var refused *answerError
	switch {
	case noSidecar(err):
		tellNoSidecar(l.stderr, l.address, err)
	case errors.As(err, &refused) && refused.status == http.StatusNotFound && strings.HasPrefix(refused.text, "not found"):
		fmt.Fprintf(l.stderr, "wsresilience-sidecar: the sidecar at %s cannot tell that: it is of another release than this command\n", l.address)
	case errors.As(err, &refused):
		fmt.Fprintf(l.stderr, "wsresilience-sidecar: %s\n", refused.text)
	default:
		fmt.Fprintf(l.stderr, "wsresilience-sidecar: ask %s: %v\n", l.address, err)
	}
	return exitFailed
}

func printSessions(w io.Writer, text []byte) error {
	var answer console.Sessions
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tPATH\tCLIENT\tAGE\tLINK\tRTT\tLOSS\tHELD\tEPOCH\tAWAY\tENDS IN")
	for i := range answer.Sessions {
		s := &answer.Sessions[i]
		state, epoch := s.State, strconv.Itoa(int(s.Epoch))
		if s.Epoch == 0 {
			state, epoch = "plain", "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f%%\t%s\t%s\t%s\t%s\n", s.ID[:min(shortID, len(s.ID))], state, orDash(s.Path), orDash(s.Client),
			age(s.Age), strings.ToLower(s.Link.State), rtt(s.Link.RTT), 100*s.Link.Loss, size(s.Held), epoch, age(s.Away), age(s.Expires))
	}
	_ = t.Flush() // an error of w shows in what follows
	more := ""
	if answer.Next != "" {
		more = "; more: -cursor " + answer.Next
	}
	_, err := fmt.Fprintf(w, "%d of %d that match, %d in all%s\n", len(answer.Sessions), answer.Matched, answer.Lives, more)
	return err
}

func printEnded(w io.Writer, text []byte) error {
	var answer console.Ended
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ENDED\tID\tKIND\tPATH\tCLIENT\tAGE\tWHY")
	for i := range answer.Ended {
		e := &answer.Ended[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", stamp(e.At), e.ID[:min(shortID, len(e.ID))], e.Kind, orDash(e.Path), orDash(e.Client), age(e.Age), orDash(e.Why))
	}
	return t.Flush()
}
