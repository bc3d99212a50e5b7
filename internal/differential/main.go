// Command differential sends the same bytes to real servers directly and through
// the sidecar, and compares what the server got and what the client got, byte for
// byte. What may differ is listed in ours (compare.go) and docs/APPS.md.
//
//	go run ./internal/differential                 all servers
//	go run ./internal/differential -only node,ws   some
//
// A server that is not installed is a failure that says what to install.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/wsresilience/wsresilience/internal/transport"
)

func main() {
	only := flag.String("only", "", "servers, by their names and comma-separated; empty: all")
	seed := flag.Uint64("seed", 1, "of the generated traffic")
	number := flag.Int("n", 200, "generated exchanges for each server and driver")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	differences := 0
	for _, s := range servers() {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.name) {
			continue
		}
		n, total, err := compareServer(ctx, s, *seed, *number, []transport.Driver{transport.DriverEpoll, transport.DriverGoroutine}, func(d string) { fmt.Println(d) })
		if err != nil {
			fmt.Printf("%-12s %v\n", s.name, err)
			differences++
			continue
		}
		fmt.Printf("%-12s %d exchanges, %d differences\n", s.name, total, n)
		differences += n
	}
	if differences > 0 {
		fmt.Println("FAIL")
		os.Exit(1)
	}
	fmt.Println("PASS")
}
