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
	for _, tt := range []struct {
		name string
		o    Options
	}{
		{"journal in NATS", Options{Attackers: []string{"client", "app"}}},
		{"journal in the sidecar", Options{Attackers: []string{"client", "app"}, Embedded: true}},
		{"by TLS", Options{Attackers: []string{"tls"}, TLS: true, Embedded: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := tt.o
			o.Lasts, o.Calm, o.TTL, o.Scale, o.Innocents, o.Out = 4*time.Second, time.Second, 4*time.Second, 10, 10, t.Output()
			faults, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range faults {
				t.Error(f)
			}
		})
	}
}
