// Package demo shows what the sidecar is for: an app behind a sidecar, twice,
// two clients, and everything that goes wrong between them. Sidecars and apps
// are processes, so that a kill is one.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/program"
)

// Exit codes, those of the sidecar.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// loopback is where everything listens.
const loopback = "127.0.0.1"

// What the demo's flags may say.
const (
	leastEvery = 100 * time.Millisecond
	mostEvery  = time.Minute
	leastFault = 500 * time.Millisecond // pods take longer to be replaced
	mostRate   = 500                    // far from any limit, so that only the faults are at fault
)

// How long the demo waits at the end.
const (
	// settleLimit bounds the time until both clients are connected again and
	// everything has arrived. It is enough for the longest that the plain
	// client takes to notice a dead connection, to back off and to dial, for
	// what the protocol lets the resilient one wait for a WELCOME (5 s), and
	// for the end of a drain.
	settleLimit = 20 * time.Second

	// settlePace is how often it is looked whether they are.
	settlePace = 20 * time.Millisecond

	// quietTime without a message means that no more will come: ten times
	// what one is under way.
	quietTime = 10 * (linkLatency + linkJitter)
)

const usage = `usage: wsresilience-demo [-listen 127.0.0.1:15800] [-for 30s] [-every 2s] [-kill 11s] [-drain 14s] [-rate 20]
       wsresilience-sidecar demo, with the same flags

Two pods, each an app behind a sidecar, share a journal. Apps and clients send
each other numbered messages. A plain client and a resilient one talk to the
pods over a network that is cut again and again; pods are killed, and drained
as in a rolling update, and replaced. Watch what each client loses. All of it
runs on loopback addresses, in processes of its own, and is gone
afterwards. In a terminal there are keys to kill, drain and cut by hand.

The address that is printed first is a page that shows the same in a browser: a
WebSocket beside a ResilientWebSocket, and buttons. It has clients and a network
of its own, and shares the pods. While it is open nothing is broken by itself,
unless its switch "auto" is on; the keys work as ever. Page and sockets need this
one port: ssh -L 15800:127.0.0.1:15800 HOST, a forwarded port of a codespace, and
docker run -p 15800:15800 IMAGE demo show it too. With -listen :15800 everybody
on this machine's networks may press its buttons.

The exit code is 0 if the resilient client lost and duplicated nothing of what
is promised. After a kill the promise is at-least-once towards the app, and what
was on its way to or from the app that died may be gone; both are counted.

`

// options are the demo's flags.
type options struct {
	last  time.Duration // until the last fault; 0: until a signal comes
	every time.Duration // between cuts
	kill  time.Duration // between kills; 0: never
	drain time.Duration // between drains; 0: never
	rate  int           // messages a second, for each client and direction

	listen      string // the address of the page; "": none
	listenGiven bool   // it was asked for, and another one will not do

	sidecar string // the program; "": it is looked for
}

// parse reads the flags. The error has been printed, and is flag.ErrHelp
// if help was asked for.
func parse(args []string, stdout, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&o.last, "for", 0, "stop after this `time`; 0: at ctrl-C")
	flags.DurationVar(&o.every, "every", 2*time.Second, "`time` between cuts")
	flags.DurationVar(&o.kill, "kill", 11*time.Second, "`time` between two kills of a pod; 0: never")
	flags.DurationVar(&o.drain, "drain", 14*time.Second, "`time` between two drains of a pod; 0: never")
	flags.IntVar(&o.rate, "rate", 20, "`messages` a second, for each client and direction")
	flags.StringVar(&o.listen, "listen", defaultListen(os.Getenv), "`address` of the page and its sockets; :15800: on all of this machine's; \"\": no page. If "+pageAddress+" is taken by default, another port is used")
	flags.StringVar(&o.sidecar, "sidecar", "", "`file` of the sidecar; \"\": beside this program, built from the source, or in PATH")
	err := flags.Parse(args)
	flags.Visit(func(f *flag.Flag) { o.listenGiven = o.listenGiven || f.Name == "listen" })
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return o, err
	}
	if err == nil {
		err = o.check(flags.Args())
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-demo: %v (-h for help)\n", err)
	}
	return o, err
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: no arguments are expected", rest)
	case o.last < 0:
		return fmt.Errorf("-for %s: less than no time", o.last)
	case o.every < leastEvery || o.every > mostEvery:
		return fmt.Errorf("-every %s: allowed are %s to %s", o.every, leastEvery, mostEvery)
	case o.kill != 0 && o.kill < leastFault:
		return fmt.Errorf("-kill %s: allowed are 0 and from %s", o.kill, leastFault)
	case o.drain != 0 && o.drain < leastFault:
		return fmt.Errorf("-drain %s: allowed are 0 and from %s", o.drain, leastFault)
	case o.rate < 1 || o.rate > mostRate:
		return fmt.Errorf("-rate %d: allowed are 1 to %d", o.rate, mostRate)
	}
	return checkListen(o.listen)
}

// Command is the whole command: it shows what the sidecar is for, until ctx
// ends or -for is over, and returns the exit code.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	if o.sidecar == "" {
		var files []string
		if files, err = program.Find(ctx, stderr, lab.SidecarName); err == nil {
			o.sidecar = files[0]
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-demo: %v\n", err)
		return exitFailed
	}
	// A terminal that is closed, or a pipe without a reader, must
	// not leave the data folder behind. SIGPIPE is no signal to wait for,
	// since writing to a socket that was reset raises it too.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	v := &view{
		out:      watchedWriter{stdout, stop},
		terminal: isTerminal(stdout) && os.Getenv("TERM") != "dumb",
	}
	end, err := run(ctx, o, v)
	if err == nil && !end.clean(resilient) {
		err = errors.New("the resilient client did not get what it was promised, which is a bug")
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-demo: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// run runs the demo from its beginning to its end and returns how it
// ended. Nothing of it is left afterwards.
func run(ctx context.Context, o options, v *view) (end snapshot, err error) {
	t := newTally(o)
	w := newTallies(t)
	s, err := newTestbed(ctx, w)
	if err != nil {
		return end, err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	if o.last > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.last)
		defer cancel()
	}
	k := newKeyboard(os.Stdin, v.terminal)
	defer k.close()
	t.hasKeys(k.present())
	stopView := v.show(t)
	(&runner{s, w, t, &cutter{link: s.link, tally: t, every: o.every}}).run(ctx, k)
	stopView()
	end = t.snapshot()
	v.end(&end)
	return end, nil
}

// await returns when reached is true, or ctx ends.
func await(ctx context.Context, reached func() bool) { lab.Await(ctx, settlePace, reached) }

// show draws until the function that it returns is called.
func (v *view) show(t *tally) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var drawer sync.WaitGroup
	first := t.snapshot()
	v.begin(&first)
	drawer.Go(func() {
		for ctx.Err() == nil {
			s := t.snapshot()
			v.draw(&s)
			_ = proc.Sleep(ctx, v.pace())
		}
	})
	return func() {
		cancel()
		drawer.Wait()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
