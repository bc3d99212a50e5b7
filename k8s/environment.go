package k8s

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/snapshot"
)

// envSource, before the name of a variable, is where it stands in Settings.
const envSource = "env."

// set takes one setting of the sidecar. source is what its author wrote.
func (w *wish) set(variable, value, source string) {
	var known []string
	for _, v := range config.Variables() {
		switch {
		case v.Name == variable && v.Injector:
			w.invalid = append(w.invalid, &InvalidError{Name: source, Why: "the injector decides this"})
			return
		case v.Name == variable:
			w.env[variable], w.sources[variable] = value, source
			return
		case v.Injector:
		case strings.Contains(source, ConfigPrefix):
			known = append(known, annotationOf(v.Name))
		default:
			known = append(known, v.Name)
		}
	}
	key := strings.TrimPrefix(source, envSource)
	if i := strings.Index(source, ConfigPrefix); i > 0 {
		key = source[i:]
	}
	w.unknown(source, key, known)
}

// judge lets the sidecar's own parser read what it will be given, so that a
// pod which it would not start in is not made. The result is nil where there
// are mistakes.
func (w *wish) judge(s Settings, port int32) *config.Config {
	// Where no port was found the pod is refused; its settings are judged all
	// the same.
	environ := []string{"WSR_UPSTREAM=" + upstream(max(port, 1))}
	if s.NATS {
		// The real address is a secret, which is not read here.
		environ = append(environ, "WSR_NATS_URL=nats://nats:4222")
	}
	w.budget()
	for _, name := range slices.Sorted(maps.Keys(w.env)) {
		environ = append(environ, name+"="+w.env[name])
	}
	c, err := config.Validate(environ)
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			w.invalid = append(w.invalid, w.renamed(p))
		}
		return nil
	}
	if _, err := snapshot.New(c.Rules(), c.AppProtocol, c.SessionTTL); err != nil {
		errors.As(c.RulesProblem(err), &problems)
		w.invalid = append(w.invalid, w.renamed(problems[0]))
		return nil
	}
	return c
}

// budget gives half of the memory limit to windows: the rest is for sockets,
// the journal and the garbage collector.
func (w *wish) budget() {
	limit, limited := w.resources.Limits[corev1.ResourceMemory]
	if _, set := w.env[memoryBudget]; set || !limited {
		return
	}
	w.env[memoryBudget] = fmt.Sprint(limit.Value() / 2)
	w.sources[memoryBudget] = w.source(limits, corev1.ResourceMemory) + ", of which half is for windows"
}

const memoryBudget = "WSR_MEMORY_BUDGET"

// renamed puts what the author wrote in the place of the variables.
func (w *wish) renamed(p config.Problem) *InvalidError {
	names := make([]string, len(p.Names))
	for i, name := range p.Names {
		if names[i] = w.sources[name]; names[i] == "" {
			names[i] = name
		}
	}
	why := p.Why
	if p.Given != "" {
		why = "given is " + p.Given + ", which is wrong: " + p.Why // quoted and masked by config
	}
	return &InvalidError{Name: strings.Join(names, ", "), Why: why, Allowed: p.Allowed}
}

func upstream(port int32) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

// literal keeps Kubernetes from expanding $(NAME) in a value: values are data.
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }
