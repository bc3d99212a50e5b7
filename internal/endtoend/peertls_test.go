package endtoend

import (
	"bytes"
	"context"
	"crypto/tls"
	"maps"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// Sidecars speak mutual TLS, and the Secret with its certificates changes: first the
// authority, then the certificate, then the former authority goes. Clients go from
// one sidecar to the other all the time, and their session stays where it is.
func TestPeerCertificatesChange(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t)
	f := newProcesses(t, "WSR_TOKEN_KEYS="+key)
	ca, next := certs.NewAuthority(), certs.NewAuthority()
	files := func(p certs.Pair, authorities ...[]byte) map[string][]byte {
		return map[string][]byte{"tls.crt": p.Cert, "tls.key": p.Key, "ca.crt": bytes.Join(authorities, nil)}
	}
	old, young := ca.IssueUntil(time.Now().Add(10*time.Hour), "wsresilience.shop"), next.IssueUntil(time.Now().Add(20*time.Hour), "wsresilience.shop")
	kept := newSecret(t)
	kept.swap(files(old, ca.PEM))
	var ports []string
	add := func() *lab.Sidecar {
		free, err := proc.FreeAddrs(1)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, free[0])
		return f.add(&binary, func(s *lab.Sidecar) {
			s.Settings = append(s.Settings, "WSR_PEER_LISTEN="+free[0], "WSR_ADVERTISE="+free[0],
				"WSR_PEER_CERT="+kept.path("tls.crt"), "WSR_PEER_KEY="+kept.path("tls.key"), "WSR_PEER_CA="+kept.path("ca.crt"))
		})
	}
	all := []*lab.Sidecar{add(), add()}
	var at atomic.Int64
	var newest atomic.Pointer[net.Conn]
	c, _, err := client.Dial(t.Context(), "ws://app/", &client.Options{ //nolint:bodyclose // need not be closed
		Backoff: client.Backoff{Max: 300 * time.Millisecond},
		NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			n := at.Add(1)
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", all[n%2].Addr)
			if err == nil {
				newest.Store(&conn)
			}
			return conn, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	moves := func(what string) {
		t.Helper()
		for range 2 {
			f.echo(c, what)
			(*newest.Load()).Close()
			for resumed := false; !resumed; {
				select {
				case e := <-c.Events():
					resumed = e.Kind == client.EventResumed
					if e.Kind == client.EventAdopted || e.Kind == client.EventReset {
						t.Fatalf("%s: %v %s", what, e.Kind, e.Reason)
					}
				case <-time.After(processLimit):
					t.Fatalf("%s: the client does not come back", what)
				}
			}
		}
		f.echo(c, what)
	}
	// believed reports whether a port takes a peer with that certificate.
	believed := func(p certs.Pair, authority *certs.Authority) bool {
		conn, err := tls.Dial("tcp", ports[0], &tls.Config{Certificates: []tls.Certificate{p.TLS()}, RootCAs: authority.Pool(), ServerName: "wsresilience.shop"})
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(processLimit))
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		n, _ := conn.Read(make([]byte, 1))
		return n == 1
	}
	settled := func(ends certs.Pair, invalid float64) {
		t.Helper()
		is := func(want float64) func(float64) bool { return func(v float64) bool { return v == want } }
		for _, s := range all {
			metric(t, s, `wsr_certificate_files_invalid{of="peers"}`, is(invalid))
			metric(t, s, `wsr_certificate_not_after_seconds{of="peers"}`, is(float64(ends.TLS().Leaf.NotAfter.Unix())))
		}
	}
	settled(old, 0)
	moves("as it began")
	if believed(young, ca) {
		t.Error("a certificate of another authority is believed")
	}
	kept.swap(files(old, ca.PEM, next.PEM))
	time.Sleep(1100 * time.Millisecond) // the files are looked at each second
	moves("both authorities")
	if !believed(young, ca) {
		t.Error("a certificate of the added authority is not believed")
	}
	kept.swap(files(young, ca.PEM, next.PEM))
	settled(young, 0)
	moves("the next certificate")
	broken := maps.Clone(files(young, next.PEM))
	broken["tls.key"] = old.Key
	kept.swap(broken)
	settled(young, 1)
	moves("files that cannot be used")
	kept.swap(files(young, next.PEM))
	settled(young, 0)
	moves("without the former authority")
	if believed(old, next) {
		t.Error("the former authority is believed")
	}
}
