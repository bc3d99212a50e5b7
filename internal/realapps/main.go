// Command realapps restarts real apps under their own stock clients: a
// graphql-ws server, a socket.io server, the MQTT broker aedes over WebSocket,
// and an app on ws that allows one connection per user. The client libraries know nothing of wsresilience. They speak to
// a bridge, which speaks to the real sidecar with our Go client:
//
//	library ── bridge ══ faultlink ══ sidecar ── app
//
// Two scenarios are run with the first three. In "restarts" the app is killed and
// stopped several times and the network is cut in between: subscriptions made
// before go on, ended ones stay ended, new ones and requests work. In "away"
// the client is out of reach for longer than the app's patience with a peer
// that does not answer its pings. In both the library must notice nothing, and
// no event may come twice or be missing while the app lived.
//
// In "ghost" a client dies without a close and another one logs in as the same,
// with the MQTT broker and with an app that allows one connection per user: the
// one that lives must notice nothing.
//
//	go run ./internal/realapps [-v] [-app graphql,socketio,mqtt,single] [-scenario restarts,away,ghost] [-sidecar FILE]
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
	apps := flags.String("app", "graphql,socketio,mqtt,single", "which apps")
	chosen := flags.String("scenario", "restarts,away,ghost", "which scenarios, each with the apps that it is for")
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
			return fmt.Errorf("realapps: app %q: not graphql, socketio, mqtt or single", name)
		}
	}
	for _, name := range chosen {
		if _, ok := scenarios[name]; !ok {
			return fmt.Errorf("realapps: scenario %q: not restarts, away or ghost", name)
		}
	}
	r, err := newRunner(ctx, sidecar, verbose)
	if err != nil {
		return err
	}
	defer r.close()
	perApp := make([][]result, len(apps))
	var side sync.WaitGroup
	for i, app := range apps {
		side.Go(func() {
			for _, scenario := range chosen {
				if slices.Contains(scenarios[scenario].apps, app) {
					perApp[i] = append(perApp[i], r.run(app, scenario))
				}
			}
		})
	}
	side.Wait()
	results := slices.Concat(perApp...)
	if len(results) == 0 {
		return fmt.Errorf("realapps: none of the scenarios is for one of the apps")
	}
	fmt.Print(table(results))
	if i := slices.IndexFunc(results, func(r result) bool { return len(r.faults) > 0 }); i >= 0 {
		return fmt.Errorf("realapps: an expectation failed")
	}
	return nil
}
