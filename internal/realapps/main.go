// Command realapps restarts real apps under their own stock clients: a
// graphql-ws server, a socket.io server, and the MQTT broker aedes over
// WebSocket. The client libraries know nothing of wsresilience. They speak to
// a bridge, which speaks to the real sidecar with our Go client:
//
//	library ── bridge ══ faultlink ══ sidecar ── app
//
// Two scenarios are run with each. In "restarts" the app is killed and
// stopped several times and the network is cut in between: subscriptions made
// before go on, ended ones stay ended, new ones and requests work. In "away"
// the client is out of reach for longer than the app's patience with a peer
// that does not answer its pings. In both the library must notice nothing, and
// no event may come twice or be missing while the app lived.
//
//	go run ./internal/realapps [-v] [-app graphql,socketio,mqtt] [-scenario restarts,away] [-sidecar FILE]
//
// It needs node 20 and npm, which installs the exact versions of
// js/package-lock.json. Everything listens on loopback, on free ports, and
// ends with the program. The exit code is 1 if an expectation failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
)

// runLimit ends a run in which something hangs. One takes about a minute.
const runLimit = 3 * time.Minute

func main() { lab.Main(command) }

// command reads the flags and runs what they say.
func command(ctx context.Context, args []string) (int, error) {
	flags := flag.NewFlagSet("realapps", flag.ContinueOnError)
	verbose := flags.Bool("v", false, "log the messages that cross the bridge, and the client's state")
	apps := flags.String("app", "graphql,socketio,mqtt", "which apps")
	chosen := flags.String("scenario", "restarts,away", "which scenarios")
	sidecar := flags.String("sidecar", "", "a sidecar that is built already")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	if err := run(ctx, strings.Split(*apps, ","), strings.Split(*chosen, ","), *sidecar, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return lab.ExitFailed, nil
	}
	return 0, nil
}

// run runs the scenarios. Those of one app follow each other, the apps are
// run side by side.
func run(ctx context.Context, apps, chosen []string, sidecar string, verbose bool) error {
	for _, name := range apps {
		if _, ok := stocks[name]; !ok {
			return fmt.Errorf("realapps: app %q: not graphql, socketio or mqtt", name)
		}
	}
	for _, name := range chosen {
		if _, ok := scenarios[name]; !ok {
			return fmt.Errorf("realapps: scenario %q: not restarts or away", name)
		}
	}
	r, err := newRunner(ctx, sidecar, verbose)
	if err != nil {
		return err
	}
	defer r.close()
	results := make([]result, len(apps)*len(chosen))
	var side sync.WaitGroup
	for i, app := range apps {
		side.Go(func() {
			for j, scenario := range chosen {
				results[i*len(chosen)+j] = r.run(app, scenario)
			}
		})
	}
	side.Wait()
	fmt.Print(table(results))
	if i := slices.IndexFunc(results, func(r result) bool { return len(r.faults) > 0 }); i >= 0 {
		return fmt.Errorf("realapps: an expectation failed")
	}
	return nil
}
