package endtoend

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// natsServer runs a NATS server on loopback, and returns its URL.
func natsServer(t *testing.T, room int64, users ...*server.User) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: room, JetStreamMaxMemory: 16 << 20, Users: users,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server did not start")
	}
	return s.ClientURL()
}

// A tenant of the same NATS account deletes the streams, or lets them keep one
// message of each session. The owners of sessions notice, write again what the
// journal lost, and each session can be adopted with all that its client lacks,
// and with an idle client too.
func TestStreamsOfTenant(t *testing.T) {
	for name, attack := range map[string][2]string{
		"deleted": {"STREAM.DELETE.WSR_LOG_0", ""},
		"changed": {"STREAM.UPDATE.WSR_LOG_0", `{"name":"WSR_LOG_0","subjects":["wsr.log.0.*"],"max_msgs_per_subject":1,"max_bytes":16777216,"max_age":480000000000,"discard":"new","allow_direct":true,"deny_delete":true,"deny_purge":true,"max_consumers":16,"num_replicas":1,"storage":"file","duplicate_window":1000000000}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newScript()
			f := newFleet(t, app, false)
			var owner atomic.Pointer[pod]
			url := natsServer(t, 64<<20)
			journal, err := natsstore.Open(t.Context(), natsstore.Config{
				URL: url, Keys: f.ring, Replicas: 1, Shards: 1, MaxBytes: 16 << 20, SessionTTL: 5 * time.Minute,
				Lost: func() { go owner.Load().WriteAgain() },
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { journal.Close() })
			f.store = journal
			f.add(nil)
			f.add(func(c *proxy.Config) { c.Store = journal })
			owner.Store(f.pods[0])
			idle := f.connect(0, "/?s=idle", &client.Options{Adopt: true})
			<-app.sockets
			busy := f.connect(0, "/?s=busy", &client.Options{Adopt: true})
			socket := <-app.sockets
			idle.sayAcked("idle")
			busy.sayAcked("busy")
			busy.move(-1)
			const said = 20
			for i := range said {
				say(t, socket, fmt.Sprint(i))
				time.Sleep(20 * time.Millisecond) // a record each
			}
			tenant, err := nats.Connect(url)
			if err != nil {
				t.Fatal(err)
			}
			defer tenant.Close()
			if answer, err := tenant.Request("$JS.API."+attack[0], []byte(attack[1]), 5*time.Second); err != nil || strings.Contains(string(answer.Data), `"error":`) {
				t.Fatalf("%s, %v", answer.Data, err)
			}
			if err := journal.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			soon(t, "all is written again", func() bool {
				for _, s := range f.pods[0].views() {
					st, err := journal.Load(t.Context(), storeID(t, s.ID))
					if err != nil || st.Gap || int(st.OutHead-st.OutAcked) != len(st.Frames) {
						return false
					}
				}
				return true
			})
			f.pods[0].link.Close()
			f.leases.set(f.pods[0].addr, store.LeaseGone)
			idle.move(1)
			busy.to.Store(1)
			for _, v := range []*podClient{idle, busy} {
				v.event(client.EventAdopted, "owner_lost")
			}
			for i := range said {
				busy.hear(fmt.Sprint(i))
			}
			idle.sayAcked("on")
		})
	}
}
