package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// nodeEnv makes the test binary a nats-server: a process of its own can be
// killed the way an out-of-memory killer does.
const nodeEnv = "WSR_TEST_NATS_NODE"

func TestMain(m *testing.M) {
	if spec := os.Getenv(nodeEnv); spec != "" {
		runNode(spec)
		return
	}
	proxytest.Parallel(4)
	os.Exit(m.Run())
}

// A node is one server of the cluster.
type node struct {
	Name          string
	Dir           string
	Client, Route int
	Routes        []int

	cmd *exec.Cmd
}

// runNode serves until stdin ends, which it does when the test dies.
func runNode(spec string) {
	var n node
	if err := json.Unmarshal([]byte(spec), &n); err != nil {
		panic(err)
	}
	opts := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Client, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: n.Dir, JetStreamMaxStore: 1 << 30, JetStreamMaxMemory: 16 << 20,
		Cluster: server.ClusterOpts{Name: "wsr-test", Host: "127.0.0.1", Port: n.Route},
	}
	for _, port := range n.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", port)})
	}
	s, err := server.NewServer(opts)
	if err != nil {
		panic(err)
	}
	go s.Start()
	io.Copy(io.Discard, os.Stdin)
}

func (n *node) start(t *testing.T) {
	t.Helper()
	spec, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), nodeEnv+"="+string(spec))
	n.cmd.Stderr = os.Stderr
	if _, err := n.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill is SIGKILL: nothing is flushed, no peer is notified.
func (n *node) kill() {
	n.cmd.Process.Kill()
	n.cmd.Wait()
}

// startCluster starts three servers and returns when they take streams.
func startCluster(t *testing.T) []*node {
	t.Helper()
	ports := freePorts(t, 6)
	var nodes []*node
	for i := range 3 {
		n := &node{Name: fmt.Sprint("n", i), Dir: t.TempDir(), Client: ports[i], Route: ports[3+i], Routes: ports[3:]}
		n.start(t)
		t.Cleanup(n.kill)
		nodes = append(nodes, n)
	}
	return nodes
}

// freePorts holds all listeners until it has the last, so that no port is
// returned twice.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func clusterConfig(t *testing.T, nodes []*node) Config {
	var urls []string
	for _, n := range nodes {
		urls = append(urls, fmt.Sprint("127.0.0.1:", n.Client))
	}
	return Config{URL: strings.Join(urls, ","), Keys: storetest.Ring(t), Shards: 1, MaxBytes: 512 << 20}
}

// TestCluster is the contract on three replicas, and then the death of the
// stream's leader under load. These tests really wait: servers elect leaders in
// their own time.
func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	cfg := clusterConfig(t, nodes)
	s := mustOpen(t, cfg)
	waitReady(t, s)
	info, err := s.backend.js.Stream(t.Context(), streamName(0))
	if err != nil || info.CachedInfo().Config.Replicas != 3 {
		t.Fatalf("not three replicas: %+v, %v", info, err)
	}
	t.Run("contract", func(t *testing.T) {
		patient := cfg
		patient.Timeout = 15 * time.Second // three servers and the race detector on a busy machine
		storetest.RunBackend(t, func(t *testing.T) store.Backend { return mustOpenBackend(t, patient) })
	})
	t.Run("leader killed", func(t *testing.T) { testLeaderKilled(t, nodes, s) })
}

func waitReady(t *testing.T, s store.Store) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = s.Ready(t.Context()); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// A writer is an owner that appends all the time and retries as it must. Its
// client acknowledges far behind.
type writer struct {
	id       store.ID
	rev      store.Revision
	rec      store.Record
	cadence  store.Cadence
	unacked  []store.Frame
	stored   uint32 // newest frame that the journal said it has
	retries  int
	longest  time.Duration // without an answer
	appended int
}

const (
	ackLag    = 60 // frames
	frameSize = 200
)

// step appends one more frame, however long it takes.
func (w *writer) step(ctx context.Context, s store.Store) error {
	w.rec.OutHead++
	w.unacked = append(w.unacked, storetest.Frames(w.rec.OutHead, w.rec.OutHead, frameSize)...)
	if len(w.unacked) > ackLag {
		w.rec.OutAcked = w.unacked[0].Seq
		w.unacked = w.unacked[1:]
	}
	w.rec.N++
	for began := time.Now(); ; w.retries++ {
		w.rec.Frames = w.unacked[len(w.unacked)-1:]
		if w.rec.Kind = w.cadence.Next(frameSize, len(w.unacked)*frameSize); w.rec.Kind == store.Snapshot {
			w.rec.Frames = w.unacked
		}
		rev, err := s.Append(ctx, w.id, w.rev, &w.rec)
		w.cadence.Wrote(&w.rec, err)
		if err == nil {
			if rev <= w.rev {
				return fmt.Errorf("revision %d after %d", rev, w.rev)
			}
			w.rev, w.stored = rev, w.rec.OutHead
			w.longest = max(w.longest, time.Since(began))
			w.appended++
			return nil
		}
		if !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			return err // fenced above all: nobody else writes here
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// testLeaderKilled: the leader dies hard while owners append, comes back, and
// everything that the journal acknowledged is there, in one unbroken chain.
func testLeaderKilled(t *testing.T, nodes []*node, s *Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	writers := make([]*writer, 6)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		w := &writer{id: storetest.NewID(), cadence: store.Cadence{Limits: s.Limits()}}
		w.rec = store.Record{Epoch: 1, Owner: "a", Writer: store.NewWriter()}
		writers[i] = w
		wg.Go(func() {
			for after := 0; after < 40; { // so many more when the leader is back
				if err := w.step(ctx, s); err != nil {
					t.Errorf("writer %d, frame %d: %v", i, w.rec.OutHead, err)
					return
				}
				select {
				case <-stop:
					after++
				default:
					time.Sleep(2 * time.Millisecond)
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond) // real servers: appends are under way
	leader := leaderOf(t, nodes, s)
	leader.kill()
	waitOther(t, ctx, nodes, s, leader)
	leader.start(t)
	waitCurrent(t, ctx, s)
	close(stop)
	wg.Wait()
	for i, w := range writers {
		t.Logf("writer %d: %d appends, %d retries, longest wait %v", i, w.appended, w.retries, w.longest)
		st, err := storetest.AdoptLatest(ctx, s, w.id, "b", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if st.Gap || st.OutHead != w.stored || len(st.Frames) != len(w.unacked) {
			t.Errorf("writer %d: %d frames to %d, gap %v, want %d to %d",
				i, len(st.Frames), st.OutHead, st.Gap, len(w.unacked), w.stored)
		}
		if err := w.step(ctx, s); !errors.Is(err, store.ErrFenced) {
			t.Errorf("writer %d after the adoption: %v", i, err)
		}
	}
}

func leaderOf(t *testing.T, nodes []*node, s *Store) *node {
	t.Helper()
	stream, err := s.backend.js.Stream(t.Context(), streamName(0))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n.Name == stream.CachedInfo().Cluster.Leader {
			return n
		}
	}
	t.Fatal("no leader")
	return nil
}

// waitCurrent returns when all replicas have what the leader has.
func waitCurrent(t *testing.T, ctx context.Context, s *Store) {
	t.Helper()
	for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		stream, err := s.backend.js.Stream(ctx, streamName(0))
		if err != nil {
			continue
		}
		current := 0
		for _, peer := range stream.CachedInfo().Cluster.Replicas {
			if peer.Current && !peer.Offline {
				current++
			}
		}
		if current == 2 {
			return
		}
	}
	t.Fatal("the replicas never caught up")
}

// waitOther returns when another server leads the stream.
func waitOther(t *testing.T, ctx context.Context, nodes []*node, s *Store, dead *node) {
	t.Helper()
	for ctx.Err() == nil {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		stream, err := s.backend.js.Stream(ask, streamName(0))
		cancel()
		if err == nil && stream.CachedInfo().Cluster.Leader != dead.Name && stream.CachedInfo().Cluster.Leader != "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no other leader")
}
