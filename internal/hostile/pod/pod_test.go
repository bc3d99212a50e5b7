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
	faults, err := Run(t.Context(), Options{
		Attackers: []string{"client", "app"}, Lasts: 4 * time.Second, Calm: time.Second, TTL: 4 * time.Second, Scale: 10, Innocents: 10, Out: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
