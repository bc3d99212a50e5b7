package agent

import (
	"testing"

	"github.com/wsresilience/wsresilience/client"
)

// TestResilientProgram: a program that speaks wsr.v1 itself finds an ordinary
// server at the agent, which speaks it for all programs.
func TestResilientProgram(t *testing.T) {
	s := newStage(t)
	addr, _ := s.agent(t)
	for _, protocols := range [][]string{nil, {"meter.v2"}} {
		c, _, err := client.Dial(t.Context(), "ws://"+addr+"/meter", &client.Options{Subprotocols: protocols})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(t.Context(), client.MessageText, []byte("who")); err != nil {
			t.Fatal(err)
		}
		_, p, err := c.Read(t.Context())
		want := "/meter  "
		if protocols != nil {
			want += protocols[0]
		}
		if err != nil || string(p) != want || c.Resilient() {
			t.Errorf("offered %q: %q, %v, resilient %v, want %q", protocols, p, err, c.Resilient(), want)
		}
		if err := c.Close(1000, ""); err != nil {
			t.Error(err)
		}
	}
}
