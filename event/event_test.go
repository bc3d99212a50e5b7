package event

import (
	"slices"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/session"
)

// values checks that a type's values go up to last, each with a name of its
// own that can be a label.
func values[T Label](t *testing.T, first, last T) {
	t.Helper()
	all := slices.Collect(Values[T]())
	if len(all) != int(last-first)+1 || all[0] != first || all[len(all)-1] != last {
		t.Errorf("%T: values %d, want those from %d to %d", first, all, first, last)
	}
	seen := map[string]bool{}
	for _, v := range all {
		name := v.String()
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_ ") != "" || seen[name] {
			t.Errorf("%T: %d is called %q", v, v, name)
		}
		seen[name] = true
	}
}

func TestValues(t *testing.T) {
	values(t, Refused, Panicked)
	values(t, LossContext, LossGone)
	values(t, Plain, Resilient)
	values(t, RefusedBody, RefusedVersion)
	values(t, DetachedClient, DetachedUnauthorized)
	values(t, session.EndedClosed, session.EndedKilled)
	values(t, ResumeResumed, ResumeReset)
	values(t, ForwardServed, ForwardUnreachable)
	values(t, AppOK, AppFailed)
	values(t, HandOverMoved, HandOverDeadline)
	values(t, RestartOK, RestartClosed)
	values(t, OwnershipConfirmed, OwnershipFenced)
	values(t, AppendOK, AppendOther)
}
