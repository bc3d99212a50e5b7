package endtoend

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/wsresilience/wsresilience/internal/lab"
)

// A tenant who shares NATS with the sidecars, but not their keys, tries all it
// can, with their rights there and with all rights, while clients talk and lose
// connections: none loses its session or a message.
func TestHostileTenant(t *testing.T) {
	for name, tc := range map[string]struct {
		permissions *server.Permissions
		streams     string
		granted     []string
	}{
		"the sidecars' rights": {&server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{
				"wsr.log.>", "$KV.WSR_LEASE.*", "$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.DIRECT.GET.>",
				"$JS.API.CONSUMER.CREATE.KV_WSR_LEASE.>", "$JS.API.CONSUMER.DELETE.KV_WSR_LEASE.*", "$JS.FC.KV_WSR_LEASE.>",
			}},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}, "create", []string{"list", "read", "junk", "replay", "change"}},
		"all rights": {nil, "create", []string{"list", "read", "junk", "replay", "change", "delete stream"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newProcesses(t, "WSR_NATS_STREAMS="+tc.streams, "WSR_NATS_MAX_BYTES=64MiB", "WSR_LEASE_TTL=4s")
			users := []*server.User{
				{Username: "sidecar", Password: "sidecar", Permissions: tc.permissions}, {Username: "tenant", Password: "tenant", Permissions: tc.permissions},
			}
			nats := natsServer(t, 256<<20, users...)
			as := func(user string) string { return strings.Replace(nats, "nats://", "nats://"+user+":"+user+"@", 1) }
			key, _ := newKey(t)
			f.settings = append(f.settings, "WSR_NATS_URL="+as("sidecar"), "WSR_TOKEN_KEYS="+key, "WSR_LOG_LEVEL=info")
			f.add(&binary, nil)
			f.add(&binary, nil)
			clients := f.crowd(10)
			stop := f.cutting()
			defer stop()
			tenant, err := lab.NewTenant(as("tenant"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := tenant.Run(ctx); err != nil {
				t.Fatal(err)
			}
			stop()
			clients.end()
			t.Logf("%d rounds; granted: %v", tenant.Rounds, tenant.Granted)
			for _, what := range tc.granted {
				if tenant.Granted[what] == 0 {
					t.Errorf("the tenant could not %s: nothing was tried", what)
				}
			}
		})
	}
}
