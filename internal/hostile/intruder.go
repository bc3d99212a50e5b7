package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// intruderRole is what a peer without keys is in a process of its own, so that it
	// takes no time of the innocents' but that of the machine.
	intruderRole = "intruder"

	// plansFile and heardFile are in its folder: what it knows from the beginning, and
	// what the tap has heard since, written every heardEvery.
	plansFile, heardFile = "plans.json", "heard.json"
	heardEvery           = time.Second
)

// An intruder reaches the ports of sidecars for each other.
type intruder struct {
	Ports []string
	Tap   string   // address of the tap
	Ways  []way    // to the ports
	From  []string // its own addresses; empty: that of the machine

	keys  *keyring.Ring // its own
	hello []byte

	mu    sync.Mutex
	heard [][]byte
}

// intrude is the role: its argument is the folder. It tries until it is told to end.
func intrude(args []string) error {
	if len(args) != 1 {
		return errors.New("hostile: an intruder has a folder")
	}
	if err := lab.RaiseFileLimit(minFiles); err != nil {
		return err
	}
	in := &intruder{hello: clientHello()}
	if err := readJSON(filepath.Join(args[0], plansFile), in); err != nil {
		return err
	}
	var err error
	if in.keys, err = keyring.New([][]byte{keyring.Generate()}); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	in.listen(args[0])
	go func() {
		for proc.Sleep(ctx, heardEvery) == nil {
			in.listen(args[0])
		}
	}()
	in.run(ctx)
	return nil
}

// listen takes in what the tap has heard.
func (in *intruder) listen(dir string) {
	var heard [][]byte
	if readJSON(filepath.Join(dir, heardFile), &heard) != nil {
		return // it is just being written
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.heard = heard
}

// recording is one connection's beginning, or nil before there is one.
func (in *intruder) recording() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.heard) == 0 {
		return nil
	}
	return in.heard[rand.N(len(in.heard))]
}

func (in *intruder) run(ctx context.Context) {
	dialers := make([]func(context.Context, string, string) (net.Conn, error), len(in.Ways))
	for i := range in.Ways {
		dialers[i] = in.Ways[i].dialer()
	}
	dial := func(way, port int) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) {
			from := ""
			if len(in.From) > 0 {
				from = in.From[rand.N(len(in.From))]
			}
			return dialers[way](ctx, from, in.Ports[port%len(in.Ports)])
		}
	}
	var work sync.WaitGroup
	var made, held atomic.Int64
	for i := range peerHands {
		work.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				a := attempts[n%len(attempts)]
				say(ctx, dial(n/len(attempts)%len(in.Ways), rand.N(len(in.Ports))), a.pieces(in), a.pause, peerWaits)
				made.Add(1)
			}
		})
	}
	// Half of a handshake, or nothing, on connections that stay open, and resets.
	for i := range peerHeld {
		work.Go(func() {
			for ctx.Err() == nil {
				way, begun := i%len(in.Ways), in.hello
				if i%2 == 0 { // a request that stops in the middle, on a connection that is whole
					begun, _ = cutRecording(in.recording())
				} else {
					way = 0 // by TCP
				}
				say(ctx, dial(way, i/2), [][]byte{begun[:rand.N(len(begun)+1)]}, 0, peerHolds)
				held.Add(1)
				if proc.Sleep(ctx, rand.N(time.Second)) != nil {
					return
				}
			}
		})
	}
	// Handshakes that cost the sidecar a thousand times what they cost here.
	var begun atomic.Int64
	if len(in.Ways) > 1 {
		for i := range peerBegins {
			work.Go(func() {
				for n := i; ctx.Err() == nil; n++ {
					in.begin(ctx, dial(0, n))
					begun.Add(1)
				}
			})
		}
	}
	work.Wait()
	fmt.Printf("%d attempts, %d connections were held, %d handshakes begun\n", made.Load(), held.Load(), begun.Load())
}

// begin sends what a client of TLS says first, and waits for the answer.
func (in *intruder) begin(ctx context.Context, dial func(context.Context) (net.Conn, error)) {
	c, err := dial(ctx)
	if err != nil {
		_ = proc.Sleep(ctx, 50*time.Millisecond)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(peerWaits))
	if _, err := c.Write(in.hello); err == nil {
		_, _ = c.Read(make([]byte, 1))
	}
}

// writeJSON replaces a file in one step.
func writeJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func readJSON(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
