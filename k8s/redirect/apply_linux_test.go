package redirect

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

const app, sidecar, probe, other = 8080, 15801, 15804, 15999

func TestApply(t *testing.T) {
	if !inPod(t) {
		return
	}
	c := plugIn(t)
	serve(t, app, "app")
	serve(t, sidecar, "sidecar")
	serve(t, other, "other")

	c.want(app, "app")
	c.want(probe, "nobody")

	rules := Rules{From: app, To: sidecar, Probe: probe}
	for range 2 { // the second changes nothing
		apply(t, rules)
		c.want(app, "sidecar")
		c.want(sidecar, "sidecar")
		c.want(probe, "app")
		c.want(other, "other")
		wantTable(t, len(rules.hops()))
	}

	// Inside the pod all is as it was: the sidecar finds the app.
	for _, host := range []string{"127.0.0.1", "::1", podIPv4, podIPv6} {
		addr := net.JoinHostPort(host, fmt.Sprint(app))
		if got := whoIsAt(addr); got != "app" {
			t.Errorf("%s from inside: %s, want app", addr, got)
		}
	}

	// Another choice replaces the first.
	apply(t, Rules{From: app, To: other, Probe: probe})
	c.want(app, "other")
	wantTable(t, len(rules.hops()))
}

// TestApplyLeavesOthersAlone: a pod may have rules of a mesh, too.
func TestApplyLeavesOthersAlone(t *testing.T) {
	if !inPod(t) {
		return
	}
	conn := dial(t)
	conn.AddTable(&nftables.Table{Name: "mesh", Family: nftables.TableFamilyINet})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		apply(t, Rules{From: app, To: sidecar, Probe: probe})
	}
	if _, err := conn.ListTableOfFamily("mesh", nftables.TableFamilyINet); err != nil {
		t.Errorf("the other table: %v", err)
	}
}

func TestApplyWithoutCapability(t *testing.T) {
	if !inPod(t) {
		return
	}
	dropCapabilities(t)
	err := Apply(Rules{From: app, To: sidecar, Probe: probe})
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "NET_ADMIN") {
		t.Errorf("without NET_ADMIN: %v", err)
	}
}

func TestExplain(t *testing.T) {
	if err := explain(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
	for err, want := range map[syscall.Errno]string{
		unix.EPERM:           "NET_ADMIN",
		unix.ENOENT:          "kernel has no nftables",
		unix.EOPNOTSUPP:      "kernel has no nftables",
		unix.EPROTONOSUPPORT: "kernel has no nftables",
		unix.ENOBUFS:         "no buffer space",
	} {
		got := explain(fmt.Errorf("conn.Receive: %w", err))
		if !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("%v: %v, want %q in it", err, got, want)
		}
	}
}

func apply(t *testing.T, r Rules) {
	t.Helper()
	if err := Apply(r); err != nil {
		t.Fatal(err)
	}
}

// wantTable checks that ours is the only table, and how many rules it has.
func wantTable(t *testing.T, rules int) {
	t.Helper()
	conn := dial(t)
	tables, err := conn.ListTables()
	if err != nil || len(tables) != 1 || tables[0].Name != tableName {
		t.Fatalf("tables %v, %v: want %s alone", tables, err, tableName)
	}
	chains, err := conn.ListChains()
	if err != nil || len(chains) != 1 {
		t.Fatalf("chains %v, %v: want one", chains, err)
	}
	got, err := conn.GetRules(tables[0], chains[0])
	if err != nil || len(got) != rules {
		t.Errorf("%d rules, %v: want %d", len(got), err, rules)
	}
}

func dial(t *testing.T) *nftables.Conn {
	t.Helper()
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// dropCapabilities takes all of them from the thread of the calling test, which
// ends with that test.
func dropCapabilities(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData // version 3 has 64 bits
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
}
