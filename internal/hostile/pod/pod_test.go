package pod

import (
	"os"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// TestMain is also the NATS server and the attacker.
func TestMain(m *testing.M) {
	proc.RunRole(Roles())
	os.Exit(m.Run())
}

// TestHostileParties is a short run with a tenth of what client and app do.
func TestHostileParties(t *testing.T) {
	for _, embedded := range []bool{false, true} {
		t.Run(map[bool]string{false: "journal in NATS", true: "journal in the sidecar"}[embedded], func(t *testing.T) {
			t.Parallel()
			faults, err := Run(t.Context(), Options{
				Attackers: []string{"client", "app"}, Lasts: 4 * time.Second, Calm: time.Second, TTL: 4 * time.Second,
				Scale: 10, Innocents: 10, Embedded: embedded, Out: t.Output(),
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range faults {
				t.Error(f)
			}
		})
	}
}
