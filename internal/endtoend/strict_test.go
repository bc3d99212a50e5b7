package endtoend

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// A strict sidecar whose NATS is not there yet starts, says why it is not ready,
// and becomes ready when NATS comes, without a restart. A pod in which it is a
// native sidecar starts its app meanwhile (the startup probe asks /livez).
func TestStrictWithoutNATS(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(newScript())
	defer app.Close()
	program, err := binary.Path(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	free, err := proc.FreeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	listen, admin, journal := free[0], free[1], free[2]
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "WSR_LISTEN="+listen, "WSR_ADVERTISE="+listen, "WSR_ADMIN_LISTEN="+admin, "WSR_UPSTREAM="+app.URL,
		"WSR_NATS_URL=nats://"+journal, "WSR_NATS_REPLICAS=1", "WSR_STORE_POLICY=strict")
	var starter proc.Starter
	p, err := starter.Start("sidecar", cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.Kill()
		if t.Failed() {
			t.Logf("sidecar's log ends:\n%s", p.Log())
		}
	}()
	answers := func(path string, want int, text string) {
		t.Helper()
		var last string
		if err := proc.Until(t.Context(), processLimit, processLook, func() bool {
			r, err := http.Get("http://" + admin + path)
			if err != nil {
				return false
			}
			defer r.Body.Close()
			body, _ := io.ReadAll(r.Body)
			last = r.Status + " " + string(body)
			return r.StatusCode == want && strings.Contains(string(body), text)
		}); err != nil {
			t.Fatalf("%s is not %d %q: %s", path, want, text, last)
		}
	}
	answers("/livez", http.StatusOK, "")
	answers("/readyz", http.StatusServiceUnavailable, "WSR_STORE_POLICY=strict")
	if r, err := http.Get("http://" + listen + "/"); err != nil || r.Body.Close() != nil {
		t.Errorf("plain HTTP does not get to the app: %v", err)
	}
	opts := &server.Options{NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 16 << 20}
	if err := listenOn(opts, journal); err != nil {
		t.Fatal(err)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	answers("/readyz", http.StatusOK, "")
	answers("/livez", http.StatusOK, "")
}

// listenOn makes a NATS server listen on an address.
func listenOn(o *server.Options, address string) error {
	at, err := netip.ParseAddrPort(address)
	o.Host, o.Port = at.Addr().String(), int(at.Port())
	return err
}
