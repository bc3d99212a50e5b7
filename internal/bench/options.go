package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/wsresilience/wsresilience/internal/bench/load"
)

// options are the flags. The defaults are what make bench runs and the
// documents quote.
type options struct {
	connections int
	messages    int
	rounds      int
	size        int
	sessions    int
	logged      int
	watched     int
	resumes     int
	cluster     int
	only        string
	quick       bool
	self        bool
	sidecar     string
}

// quickOptions are for trying the program, not for numbers.
var quickOptions = options{connections: 64, messages: 10_000, rounds: 3, size: 64, sessions: 200, logged: 500, watched: 500, resumes: 50, cluster: 1}

func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{connections: 64, messages: 100_000, rounds: 7, size: 64, sessions: 2000, logged: 10_000, watched: 8000, resumes: 300, cluster: 3}
	for _, a := range args {
		if a == "-quick" || a == "--quick" {
			o = quickOptions // the other flags still win
		}
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.IntVar(&o.connections, "connections", o.connections, "connections, with one message in flight each")
	f.IntVar(&o.messages, "messages", o.messages, "round trips per round and forwarder")
	f.IntVar(&o.rounds, "rounds", o.rounds, "interleaved rounds")
	f.IntVar(&o.size, "size", o.size, "payload bytes")
	f.IntVar(&o.sessions, "sessions", o.sessions, "idle sessions for the memory table")
	f.IntVar(&o.logged, "logged", o.logged, "other sessions in the journal while some are adopted")
	f.IntVar(&o.watched, "watched", o.watched, "sessions while the console is read")
	f.IntVar(&o.resumes, "resumes", o.resumes, "resumes and adoptions of each kind")
	f.IntVar(&o.cluster, "cluster", o.cluster, "nats-servers, and copies of the journal, of the second adoption table; 1: only the first")
	f.StringVar(&o.only, "only", "", "comma-separated parts of "+partNames()+"; empty: all")
	f.BoolVar(&o.quick, "quick", false, "a short run, to try it; not for numbers")
	f.BoolVar(&o.self, "self", false, "without the sidecar: only what it is compared with")
	f.StringVar(&o.sidecar, "sidecar", "", "sidecar binary; empty: build it")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("bench: argument %q: only flags are known", f.Arg(0))
	}
	return o, o.check()
}

func (o *options) check() error {
	if o.connections < 1 || o.rounds < 1 || o.sessions < 1 || o.messages < o.connections {
		return errors.New("bench: -connections, -rounds and -sessions must be above 0, -messages at least -connections")
	}
	if o.size < 0 || o.size > load.MaxMessage {
		return fmt.Errorf("bench: -size %d: want 0 to %d", o.size, load.MaxMessage)
	}
	if o.logged < 0 || o.watched < 1 || o.resumes < 1 || o.cluster < 1 || o.cluster > 5 {
		return errors.New("bench: -logged must not be negative, -watched and -resumes above 0, -cluster 1 to 5")
	}
	return checkParts(o.only)
}
