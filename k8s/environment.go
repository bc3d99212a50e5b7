package k8s

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
)

// envSource, before the name of a variable, is its key in Settings.
const envSource = "env."

// ofStreams are settings of streams, which sidecars do not make where each
// namespace has an account.
var ofStreams = []string{"WSR_NATS_REPLICAS"}

// setEnv takes one setting of the sidecar. source is the name that its author used.
func (r *podRequest) setEnv(variable, value, source string) {
	if strings.HasPrefix(source, envSource) && slices.Contains(otlp.PodVariables(), variable) {
		r.env[variable], r.sources[variable] = value, source
		return
	}
	var known []string
	for _, v := range config.Variables() {
		switch {
		case v.Name == variable && v.Injector:
			r.invalid = append(r.invalid, &InvalidError{Name: source, Why: "the injector decides this"})
			return
		case v.Name == variable && r.accounts && slices.Contains(ofStreams, variable) && !strings.HasPrefix(source, envSource):
			r.invalid = append(r.invalid, &InvalidError{Name: source, Why: "the streams of the namespace are made with its account; sidecar.env of the platform decides"})
			return
		case v.Name == variable:
			r.env[variable], r.sources[variable] = value, source
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
	r.unknown(source, key, known)
}

// sidecarConfig has the sidecar's own parser read the environment that it will
// get, so that no pod is made in which it would not start. The result is nil if
// there are mistakes.
func (r *podRequest) sidecarConfig(s Settings, port int32) *config.Config {
	// Where no port was found the pod is refused; its settings are checked all
	// the same.
	environ := []string{"WSR_UPSTREAM=" + upstream(max(port, 1))}
	if s.NATS {
		// The real address is a secret, which is not read here.
		environ = append(environ, "WSR_NATS_URL=nats://nats:4222")
	}
	r.defaultBudget()
	if _, set := r.env[drainSeconds]; !set {
		r.env[drainSeconds] = defaultDrain
	}
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		environ = append(environ, name+"="+r.env[name])
	}
	for _, warning := range otlp.FromEnviron(environ).Warnings {
		name, why, _ := strings.Cut(warning, ": ")
		r.invalid = append(r.invalid, &InvalidError{Name: cmp.Or(r.sources[name], name), Why: why})
	}
	c, err := config.Validate(environ)
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			r.invalid = append(r.invalid, r.withSources(p))
		}
		return nil
	}
	if _, err := idempotency.New(c.KeyRules()); err != nil {
		errors.As(c.KeyRulesProblem(err), &problems)
		r.invalid = append(r.invalid, r.withSources(problems[0]))
		return nil
	}
	if _, err := sharing.NewPolicy(c.SharedStateRules()); err != nil {
		errors.As(c.StateRulesProblem(err), &problems)
		r.invalid = append(r.invalid, r.withSources(problems[0]))
		return nil
	}
	if _, err := snapshot.New(c.Rules(), c.AppProtocol, c.SessionTTL, presets.All()); err != nil {
		errors.As(c.RulesProblem(err), &problems)
		r.invalid = append(r.invalid, r.withSources(problems[0]))
		return nil
	}
	return c
}

// defaultBudget gives half of the memory limit to windows: the rest is for sockets,
// the journal and the garbage collector.
func (r *podRequest) defaultBudget() {
	limit, limited := r.resources.Limits[corev1.ResourceMemory]
	if _, set := r.env[memoryBudget]; set || !limited {
		return
	}
	r.env[memoryBudget] = fmt.Sprint(limit.Value() / 2)
	r.sources[memoryBudget] = r.sourceOf(limits, corev1.ResourceMemory) + ", of which half is for windows"
}

const memoryBudget = "WSR_MEMORY_BUDGET"

// drainSeconds has another default in a pod, which has a grace period that is made
// long enough: load balancers take seconds to learn that it goes.
const (
	drainSeconds = "WSR_DRAIN_SECONDS"
	defaultDrain = "25"
)

// withSources names in the place of the variables what the author wrote.
func (r *podRequest) withSources(p config.Problem) *InvalidError {
	names := make([]string, len(p.Names))
	for i, name := range p.Names {
		if names[i] = r.sources[name]; names[i] == "" {
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
