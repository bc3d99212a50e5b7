package console

import (
	"testing"

	"github.com/wsresilience/wsresilience/event"
)

// For each kind of events it is decided whether an operator is told of it, and in
// which words.
func TestEveryKindIsWeighed(t *testing.T) {
	kinds := 0
	for k := range event.Values[event.Kind]() {
		kinds++
		w, ok := weights[k]
		if !ok {
			t.Errorf("%v: is it told?", k)
		}
		if w == untold {
			continue
		}
		e := eventOf(&record{e: event.Event{Kind: k}})
		if e.Text == "" || e.Text == k.String() {
			t.Errorf("%v is told as %q", k, e.Text)
		}
	}
	if kinds != len(weights) {
		t.Errorf("%d kinds, %d weights", kinds, len(weights))
	}
	for _, tt := range []struct {
		e    event.Event
		want weight
	}{
		{event.Event{Kind: event.Dialled}, untold},
		{event.Event{Kind: event.Dialled, Answer: event.AppFailed}, notable},
		{event.Event{Kind: event.Refused, Refusal: event.RefusedKey}, routine},
		{event.Event{Kind: event.Refused, Refusal: event.RefusedMemory}, notable},
		{event.Event{Kind: event.Forwarded}, routine},
		{event.Event{Kind: event.Ended, Client: event.Plain}, routine},
		{event.Event{Kind: event.Ended, Client: event.Resilient}, notable},
		{event.Event{Kind: event.Forwarded, Forward: event.ForwardUnreachable}, notable},
	} {
		if got := weigh(&tt.e); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.e, got, tt.want)
		}
	}
}
