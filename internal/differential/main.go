// Command differential sends the same bytes to real servers directly and through
// the sidecar, and compares what the server got and what the client got, byte for
// byte. It has real clients talk to a server likewise, and compares what they tell. What may differ is listed in ours (compare.go) and docs/APPS.md.
//
//	go run ./internal/differential                 all servers
//	go run ./internal/differential -only node,ws   some
//	go run ./internal/differential -autobahn       the cases of Autobahn, if wstest is installed
//
// A server that is not installed is a failure that says what to install.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/wsresilience/wsresilience/internal/transport"
)

func main() { os.Exit(run()) }

// run returns the exit status.
func run() int {
	list := flag.String("only", "", "servers and clients, by their names and comma-separated; empty: all")
	seed := flag.Uint64("seed", 1, "of the generated traffic")
	number := flag.Int("n", 200, "generated exchanges for each server and driver")
	cases := flag.String("cases", "*", "with -autobahn: cases of it, comma-separated, such as 6.*,7.1.1")
	useAutobahn := flag.Bool("autobahn", false, "run an installed wstest directly and through the sidecar, and compare its verdicts")
	wstest := flag.String("wstest", "wstest", "with -autobahn: the command, or where it is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	drivers := []transport.Driver{transport.DriverEpoll, transport.DriverGoroutine}
	tell := func(text string) { fmt.Println(text) }
	var differences int
	if *useAutobahn {
		path, err := findWstest(*wstest)
		a := autobahn{wstest: path, cases: strings.Split(*cases, ","), drivers: drivers, tell: tell}
		if err == nil {
			err = a.run(ctx, only(*list))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "autobahn:", err)
			return 1
		}
		differences = a.differences
	} else {
		differences = compareServers(ctx, only(*list), *seed, *number, drivers, tell) + compareClients(ctx, only(*list), drivers, tell) + compareVolumes(ctx, only(*list), tell)
	}
	if differences > 0 {
		fmt.Println("FAIL")
		return 1
	}
	fmt.Println("PASS")
	return 0
}

// compareServers returns the number of differences, and of servers that cannot be
// compared.
func compareServers(ctx context.Context, only func(string) bool, seed uint64, number int, drivers []transport.Driver, tell func(string)) (differences int) {
	for _, s := range servers() {
		if !only(s.name) {
			continue
		}
		n, total, err := compareServer(ctx, s, seed, number, drivers, tell)
		if err != nil {
			tell(fmt.Sprintf("%-12s %v", s.name, err))
			differences++
			continue
		}
		tell(fmt.Sprintf("%-12s %d exchanges, %d differences", s.name, total, n))
		differences += n
	}
	return differences
}

// compareClients is compareServers for clients.
func compareClients(ctx context.Context, only func(string) bool, drivers []transport.Driver, tell func(string)) (differences int) {
	for _, c := range realClients() {
		if !only(c.name) {
			continue
		}
		n, err := compareClient(ctx, c, drivers, tell)
		if err != nil {
			tell(fmt.Sprintf("%-18s %v", c.name, err))
			differences++
			continue
		}
		tell(fmt.Sprintf("%-18s %d differences", c.name, n))
		differences += n
	}
	return differences
}
