package cluster

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestEventsAreNotRepeated(t *testing.T) {
	server, client := start(t)
	events := &Events{Client: client, Instance: "injector-0"}
	warn := func(name string) {
		object := corev1.ObjectReference{Kind: "ReplicaSet", Namespace: "shop", Name: name}
		if err := events.Warn(t.Context(), object, "InjectionRefused", "Inject", strings.Repeat("x", 2000)); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		warn("web")
	}
	warn("api")
	if got := server.Events(); len(got) != 2 || got[0].Regarding.Name != "web" || got[1].Regarding.Name != "api" {
		t.Errorf("%d Events: %v", len(got), got)
	}
}

func TestEventsAreBounded(t *testing.T) {
	events := &Events{}
	now := time.Unix(1e9, 0)
	sent := 0
	for i := range 10 * maxEvents {
		if events.due(string(rune(i+1)), now) {
			sent++
		}
	}
	if sent != maxEvents {
		t.Errorf("%d sent", sent)
	}
	if !events.due("later", now.Add(minEventInterval)) || len(events.sent) != 1 {
		t.Errorf("%d remembered", len(events.sent))
	}
}
