package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// natsStore is what a server may keep on disk. The journal reserves its
	// own limit (4 GiB) in advance.
	natsStore = 8 << 30

	natsCluster = "wsr-bench"
)

// serveNATS is the role of an external server: JetStream in dir, on a free
// loopback port. In a cluster, routes are the addresses of all servers for
// each other, after its own.
func serveNATS(name, dir string, routes []string) error {
	opts := &server.Options{
		ServerName: name, Host: "127.0.0.1", Port: server.RANDOM_PORT, StoreDir: dir,
		JetStream: true, JetStreamMaxStore: natsStore, NoLog: true, NoSigs: true,
	}
	if len(routes) > 1 {
		host, port, err := net.SplitHostPort(routes[0])
		if err != nil {
			return err
		}
		opts.Cluster = server.ClusterOpts{Name: natsCluster, Host: host}
		if opts.Cluster.Port, err = strconv.Atoi(port); err != nil {
			return err
		}
		for _, r := range routes[1:] {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: r})
		}
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("bench: NATS server: %w", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(readyLimit) {
		return errors.New("bench: NATS server: not ready in time")
	}
	fmt.Println(ns.Addr())
	ns.WaitForShutdown()
	return nil
}

// A cluster is one or more external servers, each a process.
type cluster struct {
	nodes []*child
	addrs []string
}

// startNATS starts servers. Several are a cluster that may still elect.
func (r *rig) startNATS(servers int) (*cluster, error) {
	var routes []string
	for range servers {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		routes = append(routes, addr)
	}
	c := new(cluster)
	for i := range servers {
		dir, err := os.MkdirTemp(r.dir, "nats-")
		if err != nil {
			c.kill()
			return nil, err
		}
		args := []string{"nats", fmt.Sprint("n", i), dir}
		if servers > 1 {
			args = append(append(args, routes[i]), routes...)
		}
		node, addr, err := r.startRole(args...)
		if err != nil {
			c.kill()
			return nil, err
		}
		c.nodes, c.addrs = append(c.nodes, node), append(c.addrs, addr)
	}
	return c, nil
}

func (c *cluster) kill() {
	for _, n := range c.nodes {
		n.kill()
	}
}

func (c *cluster) url() string { return "nats://" + strings.Join(c.addrs, ",nats://") }

// env is what a sidecar must know of the cluster.
func (c *cluster) env() []string {
	return []string{"WSR_NATS_URL=" + c.url(), fmt.Sprint("WSR_NATS_REPLICAS=", len(c.nodes))}
}
