package endtoend

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// NATS hangs: it takes what is sent for a while, and answers nothing, while the
// windows of many sessions are full. The sidecar's memory stays what the windows
// hold and what records may be under way, a session that is not concerned goes
// on, and when NATS is back all of it gets there.
func TestNATSHangs(t *testing.T) {
	t.Parallel()
	const sessions, messages, size = 70, 15, 64 << 10
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			_, p, err := c.Read(context.Background())
			if err != nil {
				return
			}
			if string(p) == "fill" {
				for range messages {
					if c.Write(context.Background(), websocket.MessageBinary, make([]byte, size)) != nil {
						return
					}
				}
			} else if c.Write(context.Background(), websocket.MessageText, p) != nil {
				return
			}
		}
	}))
	t.Cleanup(app.Close)
	link, err := faultlink.New("127.0.0.1:0", strings.TrimPrefix(natsServer(t, 600<<20), "nats://"), func() float64 { return 0.5 })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	p := newProcess(t, app.URL, t.TempDir(), "WSR_NATS_URL=nats://"+link.Addr(), "WSR_NATS_REPLICAS=1", "WSR_NATS_MAX_BYTES=512MiB", "WSR_LOG_LEVEL=info")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	metric := func(name string) float64 {
		text, err := p.Get(ctx, "/metrics")
		if err != nil {
			return -1
		}
		_, rest, _ := strings.Cut("\n"+string(text), "\n"+name+" ")
		value, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return -1
		}
		return n
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		if err := proc.Until(ctx, 30*time.Second, 20*time.Millisecond, ok); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	innocent, _, err := client.Dial(ctx, "ws://"+p.Addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer innocent.CloseNow()
	until("the journal is there", func() bool { return metric("wsr_journal_available") == 1 })
	link.Silence()
	for range sessions {
		var conn net.Conn
		c, _, err := client.Dial(ctx, "ws://"+p.Addr+"/", &client.Options{NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if conn != nil {
				return nil, errNoNetwork
			}
			var err error
			conn, err = new(net.Dialer).DialContext(ctx, network, addr)
			return conn, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if err := c.WriteAcked(ctx, client.MessageText, []byte("fill")); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	const windows = sessions * messages * size
	until("the windows are full", func() bool { return metric("wsr_window_bytes") > windows*9/10 })
	until("NATS is away", func() bool { return metric("wsr_journal_available") == 0 })
	most := 0.
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		most = max(most, metric("process_resident_memory_bytes"))
		if err := innocent.Write(ctx, client.MessageText, []byte("ping")); err != nil {
			t.Fatal(err)
		}
		mustRead(ctx, t, innocent, "ping")
	}
	t.Logf("%d MiB in windows, %d MiB resident", windows>>20, int(most)>>20)
	if most > 1.5*windows+64<<20 {
		t.Errorf("%d MiB are resident for %d MiB in windows", int(most)>>20, windows>>20)
	}
	link.Heal()
	until("NATS is back", func() bool { return metric("wsr_journal_available") == 1 })
	until("all is in the journal", func() bool { return metric("wsr_journal_frames_total") >= sessions*messages })
}
