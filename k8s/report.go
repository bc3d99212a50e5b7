package k8s

import (
	"fmt"
	"strings"
	"time"
)

// Outcome is what became of a pod.
type Outcome string

// The values of Outcome.
const (
	Injected Outcome = "injected"
	Skipped  Outcome = "skipped" // not asked for, or forbidden by a label
	Refused  Outcome = "refused" // asked for and not possible: the pod runs without the sidecar
)

// Report says what was done to a pod, or why nothing was. Its texts are for
// people and name no value of an environment variable (I9).
type Report struct {
	Outcome Outcome
	Reason  string // stable, for metrics and Events: "HostNetwork", "NoPort", ...
	Message string // a sentence: what is in the way, and what to do

	// Warnings are for the author of a pod that was injected.
	Warnings []string

	Mode Mode  // of an injected pod
	Port int32 // that the app listens on, of an injected pod

	Agent bool // the pod has the agent; without a Mode it is a client only

	SessionTTL time.Duration // of an injected pod's sidecar
}

// InvalidError is a value that cannot be used, in an annotation or a setting.
// The pod is not to be admitted: what it would run with is a guess.
type InvalidError struct {
	Name    string // of the annotation, or of the setting
	Given   string // shortened; empty if nothing was
	Why     string // empty: Given and Allowed say it
	Allowed string // may be empty

	// Others are further mistakes, so that all are mended at once.
	Others []*InvalidError
}

// maxShown bounds how much of a bad value is printed, in bytes: enough to
// recognise it.
const maxShown = 64

func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString(e.one())
	for _, other := range e.Others {
		b.WriteString("; " + other.one())
	}
	return b.String()
}

// one is the text of e without Others.
func (e *InvalidError) one() string {
	text := shorten(e.Name)
	switch {
	case e.Why != "" && e.Given != "":
		text += fmt.Sprintf(" is %q: %s", shorten(e.Given), e.Why)
	case e.Why != "":
		text += ": " + e.Why
	default:
		text += fmt.Sprintf(" is %q", shorten(e.Given))
	}
	if e.Allowed != "" {
		text += "; allowed is " + e.Allowed
	}
	return text
}

func shorten(s string) string {
	if len(s) <= 4*maxShown {
		return strings.ToValidUTF8(s, "?")
	}
	return strings.ToValidUTF8(s[:maxShown], "?") + "..."
}

// joinInvalid makes one error of all mistakes; nil if there are none.
func joinInvalid(list []*InvalidError) error {
	if len(list) == 0 {
		return nil
	}
	first := *list[0]
	first.Others = list[1:]
	return &first
}
