package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wsresilience/wsresilience/internal/console"
	"github.com/wsresilience/wsresilience/snapshot"
)

const sessionUsage = `usage: wsresilience-sidecar session ID [-json]

Shows one session of the sidecar in this pod, or what is known of one that has ended
or lives elsewhere. ID is its id, or a beginning of it that no other one has.

`

// sessionCommand shows one session.
func sessionCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("session", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, sessionUsage); flags.PrintDefaults() }
	asJSON := flags.Bool("json", false, "print the sidecar's answer as it is")
	var ids []string
	for rest := args; ; rest = flags.Args()[1:] { // flags may come behind the id
		switch err := flags.Parse(rest); {
		case errors.Is(err, flag.ErrHelp):
			return exitOK
		case err != nil:
			return exitUsage
		}
		if flags.NArg() == 0 {
			break
		}
		ids = append(ids, flags.Arg(0))
	}
	if len(ids) != 1 {
		fmt.Fprintf(stderr, "wsresilience-sidecar: session takes one id, given %d; wsresilience-sidecar sessions lists them\n", len(ids))
		return exitUsage
	}
	l := newLook(environ, stdout, stderr)
	if l == nil {
		return exitUsage
	}
	return l.show(ctx, "/sessions/"+url.PathEscape(ids[0]), *asJSON, func(text []byte) error { return printSession(stdout, text) })
}

func printSession(w io.Writer, text []byte) error {
	var d console.Detail
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("session", "%s", d.ID)
	switch {
	case d.Here:
		printHere(line, &d)
	case d.Ended == nil && d.Located == nil && len(d.Events) == 0:
		line("state", "not here, and nothing is remembered of it")
	default:
		line("state", "not here")
	}
	if e := d.Ended; e != nil {
		line("ended", "%s, %s old: %s", stamp(e.At), age(e.Age), orDash(e.Why))
		if e.Advice != nil {
			line("advice", "%s, see %s", e.Advice.Setting, e.Advice.Docs)
		}
		line("path", "%s", orDash(e.Path))
		line("client", "%s", orDash(e.Client))
	}
	if o := d.Located; o != nil {
		line("journal", "%s, owner %s (lease %s), epoch %d, %d messages for the client", o.State, orDash(o.Owner), o.Lease, o.Epoch, o.Messages)
		if !o.Detached.IsZero() {
			line("detached", "%s", stamp(o.Detached))
		}
		if o.Gap {
			line("gap", "messages are missing: whoever adopts it resets it")
		}
		if o.App != "" {
			line("app", "%s", o.App)
		}
	}
	if d.LocateError != "" {
		line("journal", "%s", orDash(d.LocateError))
	}
	_ = t.Flush() // an error of w shows in what follows
	fmt.Fprintln(w)
	for i := range d.Events {
		e := &d.Events[i]
		fmt.Fprintf(t, "%s\t%s\n", stamp(e.At), orDash(e.Text))
	}
	return t.Flush()
}

func printHere(line func(name, format string, args ...any), d *console.Detail) {
	state := d.State
	if d.Expires > 0 {
		state += ", ends in " + age(d.Expires)
	}
	if d.Away > 0 {
		state += fmt.Sprintf(", away for %s, lacks %d messages", age(d.Away), d.Lacking)
	}
	line("kind", "%s", d.Kind)
	line("state", "%s", state)
	line("path", "%s", orDash(d.Path))
	line("client", "%s", orDash(d.Client))
	if d.Trace != "" {
		line("trace", "%s", d.Trace)
	}
	line("owner", "%s, epoch %d", orDash(d.Owner), d.Epoch)
	if d.Adopted != "" {
		line("app socket", "not its first: %s", d.Adopted)
	}
	line("age", "%s", age(d.Age))
	line("link", "%s, round trip %s with deviation %s, loss %.0f%%, a heartbeat every %s", strings.ToLower(d.Link.State), rtt(d.Link.RTT), rtt(d.Link.Deviation), 100*d.Link.Loss, age(d.Link.Interval))
	if d.Windows != nil {
		line("to client", "%s", window(&d.Windows.ToClient))
		line("to app", "%s", window(&d.Windows.ToApp))
	}
	if j := d.Journal; j != nil {
		line("journal", "%s", journal(j))
	}
	if c := d.Traffic; c != nil {
		line("from client", "%d messages, %s; %d duplicates dropped", c.FromClient, size(int(c.FromClientSize)), c.Duplicates)
		line("from app", "%d messages, %s; %d replayed; the window was full %d times", c.ToClient, size(int(c.ToClientSize)), c.Replayed, c.WindowFull)
		line("heartbeats", "%d sent, %d answered", c.Beats, c.BeatsAnswered)
	}
	if s := d.Snapshot; s != nil && len(s.Entries) > 0 {
		line("snapshot", "%d entries, %s; %s, version %d%s", len(s.Entries), size(s.Bytes), s.ID, s.Version, life(s))
		for _, e := range s.Entries {
			line("", "%s, %s, %s", e.Key, e.State, size(e.Size))
		}
	}
}

// life says what is remarkable about a snapshot.
func life(s *snapshot.View) (text string) {
	if !s.Complete {
		text = "; not complete"
	}
	if !s.Expires.IsZero() {
		text += "; until " + s.Expires.Format(time.RFC3339)
	}
	return text
}

func window(w *console.Window) string {
	s := fmt.Sprintf("%d messages, %s of %s", w.Messages, size(w.Bytes), size(w.MaxBytes))
	if w.Full {
		s += ": full, so that the sender waits"
	}
	return s
}

func journal(j *console.SessionJournal) string {
	switch {
	case !j.On:
		return "none: it lives in memory"
	case j.Failures > 0:
		return fmt.Sprintf("lacks %d messages; %d appends in a row failed, the next comes in %s", j.Lacks, j.Failures, age(j.Retry))
	}
	return fmt.Sprintf("lacks %d messages", j.Lacks)
}
