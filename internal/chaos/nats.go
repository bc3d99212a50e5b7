package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The ports of every node; each has an address of its own.
const (
	natsPort  = 4222
	routePort = 6222
)

// natsWait bounds a cluster's start, and its recovery after a fault.
const natsWait = 60 * time.Second

// A node is one server of the cluster.
type node struct {
	Name, Host, Dir string
	Routes          []string // hosts of all

	process *child
}

// runNode serves until standard input ends.
func runNode(spec string) error {
	var n node
	if err := json.Unmarshal([]byte(spec), &n); err != nil {
		return err
	}
	opts := &server.Options{
		ServerName: n.Name, Host: n.Host, Port: natsPort, NoSigs: true, LogFile: n.Dir + ".log", Logtime: true,
		JetStream: true, StoreDir: n.Dir, JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 64 << 20,
		// A sidecar must not learn a way around its fault link.
		Cluster: server.ClusterOpts{Name: "wsr-chaos", Host: n.Host, Port: routePort, NoAdvertise: true},
	}
	for _, host := range n.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprint(host, ":", routePort)})
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	go s.Start()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// addr is where clients of the node connect.
func (n *node) addr() string { return fmt.Sprint(n.Host, ":", natsPort) }

func (l *lab) startNode(n *node) error {
	spec, err := json.Marshal(n)
	if err != nil {
		return err
	}
	n.process, err = l.start(n.Name, exec.Command(l.self, roleArg, "nats", string(spec)))
	return err
}

// startCluster starts three servers and returns when JetStream answers.
func (s *stage) startCluster(ctx context.Context) error {
	var hosts []string
	for range 3 {
		hosts = append(hosts, s.lab.host())
	}
	for i, host := range hosts {
		name := fmt.Sprint("nats", i)
		n := &node{Name: name, Host: host, Dir: filepath.Join(s.dir, name), Routes: hosts}
		if err := s.lab.startNode(n); err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	var urls []string
	for _, n := range s.nodes {
		urls = append(urls, "nats://"+n.addr())
	}
	nc, err := nats.Connect(strings.Join(urls, ","), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	s.closers = append(s.closers, nc.Close)
	if s.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(2*time.Second)); err != nil {
		return err
	}
	return s.until(ctx, natsWait, "JetStream answers", func() bool {
		_, err := s.js.AccountInfo(ctx)
		return err == nil
	})
}

// leader returns the node that leads the first stream of the journal.
func (s *stage) leader(ctx context.Context) (*node, error) {
	stream, err := s.js.Stream(ctx, "WSR_LOG_0")
	if err != nil {
		return nil, err
	}
	for _, n := range s.nodes {
		if c := stream.CachedInfo().Cluster; c != nil && c.Leader == n.Name {
			return n, nil
		}
	}
	return nil, errors.New("chaos: WSR_LOG_0 has no leader")
}

// current tells whether every replica of every stream has what its leader
// has.
func (s *stage) current(ctx context.Context) bool {
	streams := 0
	list := s.js.ListStreams(ctx)
	for info := range list.Info() {
		streams++
		if info.Cluster == nil || info.Cluster.Leader == "" {
			return false
		}
		for _, peer := range info.Cluster.Replicas {
			if !peer.Current || peer.Offline {
				return false
			}
		}
	}
	return list.Err() == nil && streams > 0
}
