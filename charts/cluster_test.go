package charts

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/k8s/tenants"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/natsstore"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// startServers starts the three servers of the chart on loopback, with its
// configuration, users and routes.
func startServers(t *testing.T, r *release) []*server.Server {
	t.Helper()
	env := natsEnv(t, r)
	var listeners [3]net.Listener
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
		name := fmt.Sprint("NATS_ROUTE_", i)
		route, err := url.Parse(env[name])
		if err != nil {
			t.Fatal(err)
		}
		route.Host = l.Addr().String()
		env[name] = route.String()
	}
	var servers []*server.Server
	for i, l := range listeners {
		o := natsOptions(t, r, env)
		o.ServerName = fmt.Sprint(fullname, "-nats-", i)
		o.Host, o.Port = "127.0.0.1", server.RANDOM_PORT
		o.HTTPPort = 0
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
		o.StoreDir = t.TempDir()
		o.NoSigs, o.NoLog = true, true
		s, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close() // its port is free for the server now
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(time.Minute) {
			t.Fatal("a server does not start")
		}
	}
	return servers
}

func open(t *testing.T, cfg natsstore.Config) *natsstore.Store {
	t.Helper()
	s, err := natsstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestNATSClusterKeepsNamespacesApart: three servers from what was rendered,
// and the injector's account for each of two namespaces: the sidecars of both
// have a journal with three copies, wherever they connect to.
func TestNATSClusterKeepsNamespacesApart(t *testing.T) {
	r := decode(t, rendered(t, ""))
	var urls []string
	for _, s := range startServers(t, r) {
		urls = append(urls, s.ClientURL())
	}
	data, err := operatorSecret()
	if err != nil {
		t.Fatal(err)
	}
	authority, err := tenants.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	settings := configOf(t, r).Secrets.Accounts
	quota := tenants.Quota{Storage: settings.Storage.Value(), Connections: settings.Connections}
	servers := &tenants.Servers{URL: strings.Join(urls, ","), Authority: authority}
	t.Cleanup(servers.Close)
	for i, name := range []string{"shop", "chat"} {
		a, err := authority.Account(tenants.Tenant{Namespace: name, UID: name}, "c", quota, natsstore.Layout{Replicas: 3})
		if err != nil {
			t.Fatal(err)
		}
		for err = servers.Apply(t.Context(), a); err != nil && t.Context().Err() == nil; err = servers.Apply(t.Context(), a) {
			time.Sleep(10 * time.Millisecond) // an election is under way
		}
		creds, err := a.Credentials(nil)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "nats.creds")
		if err := os.WriteFile(file, creds, 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, natsstore.Config{URL: urls[(i+1)%3], CredsFile: file, Keys: storetest.Ring(t), ExpectStreams: true})
		for j.Ready(t.Context()) != nil && t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if c, err := nats.Connect(urls[0]); err == nil {
		c.Close()
		t.Error("somebody without credentials may connect")
	}
}

// TestNATSClusterKeepsTheJournal: three servers from what was rendered form a
// cluster, and its user can do all that the journal needs, and nothing else.
func TestNATSClusterKeepsTheJournal(t *testing.T) {
	r := decode(t, rendered(t, shared))
	servers := startServers(t, r)
	address, err := url.Parse(string(one[*corev1.Secret](t, r, fullname+"-nats").Data["nats-url"]))
	if err != nil {
		t.Fatal(err)
	}
	service := one[*corev1.Service](t, r, fullname+"-nats")
	if want := fmt.Sprintf("%s.%s.svc:%d", service.Name, namespace, service.Spec.Ports[0].Port); address.Host != want {
		t.Errorf("nats-url leads to %s, want %s", address.Host, want)
	}
	var urls []string
	for _, s := range servers {
		address.Host = s.Addr().String()
		urls = append(urls, address.String())
	}
	cfg := natsstore.Config{URL: strings.Join(urls, ","), Keys: storetest.Ring(t)}
	first := open(t, cfg)
	for first.Ready(t.Context()) != nil && t.Context().Err() == nil { // an election is under way
		time.Sleep(10 * time.Millisecond)
	}
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, cfg) })
	const owner = "10.0.0.1:15801"
	leases := open(t, cfg).Announce(natsstore.LeaseConfig{Owner: owner})
	for leases.Lease(owner) != store.LeaseLive && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if err := leases.Close(t.Context()); err != nil {
		t.Errorf("the lease: %v", err)
	}
	longer := cfg
	longer.SessionTTL = 24 * time.Hour // which updates the streams
	if err := open(t, longer).Ready(t.Context()); err != nil {
		t.Errorf("with a longer session TTL: %v", err)
	}

	denied := make(chan error, 1)
	nc, err := nats.Connect(urls[0], nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, subject := range []string{"orders", "$JS.API.STREAM.DELETE.WSR_LOG_0", "$JS.API.STREAM.PURGE.WSR_LOG_0", "$JS.API.STREAM.MSG.GET.WSR_LOG_0"} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-denied; !strings.Contains(err.Error(), "Permissions Violation") {
			t.Errorf("%s: %v", subject, err)
		}
	}
	address.User = nil
	if nc, err := nats.Connect(address.String()); err == nil {
		nc.Close()
		t.Error("somebody without a password may connect")
	}
}
