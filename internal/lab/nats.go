package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// The ports of a server that has a host of its own.
const (
	natsPort  = "4222"
	routePort = "6222"
)

// Implementation limits of a server.
const (
	// natsStore is what it may keep on disk. JetStream reserves for each stream
	// of the journal what that may grow to.
	natsStore  = 64 << 30
	natsMemory = 64 << 20

	// natsWait bounds a start, and natsLook is how often it is looked for.
	natsWait = 60 * time.Second
	natsLook = 20 * time.Millisecond
)

// A NATS is a NATS server with JetStream, or a cluster of them.
type NATS struct {
	Nodes []*Node
}

// A Node is one server, as a process that can be killed, stopped and started
// again.
type Node struct {
	*proc.Process
	spec    nodeSpec
	starter *proc.Starter
}

// nodeSpec is the argument of the role.
type nodeSpec struct {
	Name, Addr, Dir string
	Route           string   // where the others of a cluster reach it; "" alone
	Routes          []string // of all
}

// StartNATS starts so many servers with their files in dir, each on a host of
// its own or, without hosts, on free ports, and waits until JetStream answers.
func StartNATS(ctx context.Context, s *proc.Starter, servers int, dir string, hosts *Hosts) (*NATS, error) {
	specs, err := natsSpecs(servers, dir, hosts)
	if err != nil {
		return nil, err
	}
	n := new(NATS)
	for i := range specs {
		node := &Node{spec: specs[i], starter: s}
		if err := node.Start(); err != nil {
			n.Close()
			return nil, err
		}
		n.Nodes = append(n.Nodes, node)
	}
	if err := n.wait(ctx); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func natsSpecs(servers int, dir string, hosts *Hosts) ([]nodeSpec, error) {
	specs := make([]nodeSpec, servers)
	free, err := proc.FreeAddrs(2 * servers)
	if err != nil {
		return nil, err
	}
	var routes []string
	for i := range specs {
		s := &specs[i]
		s.Name = fmt.Sprint("nats", i)
		s.Addr, s.Route, s.Dir = free[2*i], free[2*i+1], filepath.Join(dir, s.Name)
		if hosts != nil {
			host := hosts.Next()
			s.Addr, s.Route = net.JoinHostPort(host, natsPort), net.JoinHostPort(host, routePort)
		}
		routes = append(routes, s.Route)
	}
	if servers == 1 {
		specs[0].Route = ""
		return specs, nil
	}
	for i := range specs {
		specs[i].Routes = routes
	}
	return specs, nil
}

// Start starts the server, again after it ended.
func (n *Node) Start() error {
	spec, err := json.Marshal(n.spec)
	if err != nil {
		return err
	}
	cmd, err := proc.InRole("nats", string(spec))
	if err != nil {
		return err
	}
	n.Process, err = n.starter.Start(n.spec.Name, cmd)
	return err
}

// Name is what the cluster calls the server.
func (n *Node) Name() string { return n.spec.Name }

// Addr is where clients connect.
func (n *Node) Addr() string { return n.spec.Addr }

// natsRole serves until standard input ends.
func natsRole(args []string) error {
	var n nodeSpec
	if err := json.Unmarshal([]byte(strings.Join(args, " ")), &n); err != nil {
		return err
	}
	opts := &server.Options{
		ServerName: n.Name, NoSigs: true, LogFile: n.Dir + ".log", Logtime: true,
		JetStream: true, StoreDir: n.Dir, JetStreamMaxStore: natsStore, JetStreamMaxMemory: natsMemory,
	}
	var err error
	if opts.Host, opts.Port, err = splitAddr(n.Addr); err != nil {
		return err
	}
	if n.Route != "" {
		// A sidecar must not learn a way around its fault link.
		opts.Cluster = server.ClusterOpts{Name: "wsr-lab", NoAdvertise: true}
		if opts.Cluster.Host, opts.Cluster.Port, err = splitAddr(n.Route); err != nil {
			return err
		}
	}
	for _, addr := range n.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: addr})
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

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}

// URL is where clients of all servers connect.
func (n *NATS) URL() string {
	var urls []string
	for _, node := range n.Nodes {
		urls = append(urls, "nats://"+node.Addr())
	}
	return strings.Join(urls, ",")
}

// Settings are a sidecar's for this journal.
func (n *NATS) Settings() []string {
	return []string{"WSR_NATS_URL=" + n.URL(), fmt.Sprint("WSR_NATS_REPLICAS=", len(n.Nodes))}
}

// Connect opens a connection of this program's own, which outlives any server.
func (n *NATS) Connect() (js jetstream.JetStream, disconnect func(), err error) {
	nc, err := nats.Connect(n.URL(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, nil, err
	}
	if js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(2*time.Second)); err != nil {
		nc.Close()
		return nil, nil, err
	}
	return js, nc.Close, nil
}

// wait returns when JetStream answers.
func (n *NATS) wait(ctx context.Context) error {
	js, disconnect, err := n.Connect()
	if err != nil {
		return err
	}
	defer disconnect()
	err = proc.Until(ctx, natsWait, natsLook, func() bool {
		_, err := js.AccountInfo(ctx)
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("lab: JetStream does not answer: %w", err)
	}
	return nil
}

// Leader returns the server that leads a stream.
func (n *NATS) Leader(ctx context.Context, js jetstream.JetStream, stream string) (*Node, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	for _, node := range n.Nodes {
		if c := s.CachedInfo().Cluster; c != nil && c.Leader == node.Name() {
			return node, nil
		}
	}
	return nil, errors.New("lab: " + stream + " has no leader")
}

// Current reports whether there are streams, and every replica of each has
// what its leader has.
func Current(ctx context.Context, js jetstream.JetStream) bool {
	streams := 0
	list := js.ListStreams(ctx)
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

// Close kills all servers.
func (n *NATS) Close() {
	for _, node := range n.Nodes {
		if node.Process != nil {
			node.Kill()
		}
	}
}
