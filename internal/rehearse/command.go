package rehearse

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/report"
)

// Exit codes.
const (
	exitMet    = 0
	exitMissed = 1 // an objective, or a fault could not be done
	exitUsage  = 2 // a bad argument, or nothing could be measured, or not all
)

const usage = `usage: wsresilience-sidecar rehearse [flags] ws://… or wss://…
       wsresilience-sidecar rehearse record [flags] ws://… or wss://…

Puts a load with faults on your own app and writes a report: what plain
WebSockets lose, what resilient clients lose beside them, how long they are
away, and how long answers take. The faults are on the way between the clients
of this command and the URL; nothing else is touched, apart from what your own
hooks do.

  -echo            an app that answers each message with itself
  -profile FILE    your app: what is sent, what the answer is (docs/REHEARSE.md)
  record           writes such a file of what your own client says
  -faults FILE     what is broken when; default, none, or a file

The exit code is 0 if all objectives are met, 1 if one is missed or a fault
could not be done, and 2 if nothing could be measured, or not all: ctrl-C ends a
run, and the report is of the time before.

`

// Command is the whole command; it returns the exit code.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "record" {
		return recordCommand(ctx, args[1:], stdout, stderr)
	}
	o, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitMet
	}
	var code int
	if err == nil {
		code, err = o.run(ctx, args, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-sidecar: rehearse: %s (-h for help)\n", strings.TrimPrefix(err.Error(), "rehearse: "))
		return exitUsage
	}
	return code
}

func (o *options) run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	s, err := o.spec(args)
	if err != nil {
		return 0, err
	}
	var former *report.Run
	if o.against != "" {
		if former, err = report.Read(o.against); err != nil {
			return 0, err
		}
	}
	// The folder is made first: a run of minutes must not fail at its end.
	if o.out == "" {
		o.out = "rehearsal-" + time.Now().Format("20060102-150405")
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return 0, err
	}
	v := newView(stderr)
	s.Say, s.Watch = v.say, v.watch
	v.begin(s)
	out, err := Run(ctx, *s)
	v.end()
	if err != nil {
		_ = os.Remove(o.out) // if nothing is in it
		return 0, err
	}
	if err := out.Write(o.out, former); err != nil {
		return 0, err
	}
	fmt.Fprint(stdout, out.Summary())
	fmt.Fprintf(stdout, "report: %s\n", filepath.Join(o.out, report.PageFile))
	switch {
	case out.Interrupted:
		return exitUsage, nil
	case !out.Met():
		return exitMissed, nil
	}
	return exitMet, nil
}
