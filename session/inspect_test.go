package session

import (
	"strings"
	"testing"
	"time"
)

// What an operator sees of a session, step by step.
func TestView(t *testing.T) {
	st := newStage(t)
	check := func(command string, phase Phase, ok func(v *View) bool) {
		t.Helper()
		st.do(strings.Fields(command))
		v := st.s.View(st.now)
		if v.Phase != phase || ok != nil && !ok(&v) {
			t.Errorf("%s: %v, %+v; want %v", command, v.Phase, v, phase)
		}
	}
	check("new", PhaseAttached, func(v *View) bool { return v.Attached && v.Epoch == 1 && v.ExpiresIn == 0 && v.Journal.On })
	check("app text one", PhaseAttached, func(v *View) bool {
		return v.ToClient.Messages == 1 && v.ToClient.Bytes == 5 && !v.ToClient.Full && v.Journal.Lacks == 1
	})
	check("wait 60ms", PhaseAttached, func(v *View) bool { return v.Journal.Lacks == 0 })
	check("client acks 1", PhaseAttached, func(v *View) bool { return v.ToClient.Messages == 0 && v.ToClient.Bytes == 0 })
	check("app takes 0", PhaseAttached, nil)
	check("client text size=300", PhaseAttached, func(v *View) bool { return v.ToApp.Messages == 1 && v.ToApp.Bytes > 300 })
	check("client cut", PhaseDetached, func(v *View) bool { return !v.Attached && v.ExpiresIn == 5*time.Minute })
	check("wait 1m", PhaseDetached, func(v *View) bool { return v.ExpiresIn == 4*time.Minute && v.Away == time.Minute })
	for range 8 {
		st.do([]string{"app", "text", "more"})
	}
	check("journal waits", PhaseDetached, func(v *View) bool { return v.ToClient.Full && v.Lacking == 8 })
	check("suspect", PhaseSuspect, func(v *View) bool { return v.Journal.Writing })
	st.do([]string{"journal", "ok"})
	check("journal flows", PhaseDetached, nil)
	check("handover", PhaseHandingOver, nil)
	check("replaced", PhaseEnded, func(v *View) bool { return v.Journal.Final })
	if Phase(99).String() != "unknown" {
		t.Error("a phase that is not there has a name")
	}
}

// A session whose app's socket broke says so, and one that is closed by one side.
func TestViewOfEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []string
		want  Phase
	}{
		{"the app is gone", []string{"new goeson", "app cut"}, PhaseAppLost},
		{"the client closes, and the app does not answer", []string{"new", "client closes 1000"}, PhaseClosing},
		{"no journal", []string{"new"}, PhaseAttached},
	} {
		st := newStage(t)
		st.cfg.Journal = tt.name != "no journal"
		for _, step := range tt.steps {
			st.do(strings.Fields(step))
		}
		if v := st.s.View(st.now); v.Phase != tt.want || v.Journal.On != st.cfg.Journal {
			t.Errorf("%s: %+v, want %v", tt.name, v, tt.want)
		}
	}
}
