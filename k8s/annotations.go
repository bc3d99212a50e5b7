package k8s

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wsresilience/wsresilience/internal/config"
)

// ownPrefix is that of the annotations which are about the injection.
const ownPrefix = "wsresilience.io/"

// allowedAnnotations are those that users may write, beside ConfigPrefix.
func allowedAnnotations() []string {
	return []string{
		AnnotationMode, AnnotationPort, AnnotationNativeSidecar,
		AnnotationCPURequest, AnnotationCPULimit, AnnotationMemoryRequest, AnnotationMemoryLimit,
		AnnotationSettings, AnnotationAgent, AnnotationPageClient,
	}
}

// podRequest is what is asked for one pod: by its own annotations, else those
// of its namespace, else the settings.
type podRequest struct {
	mode      Mode
	port      string // name or number; empty: findApp looks for it
	native    bool
	settings  string // ConfigMap with settings that change; empty: none
	resources corev1.ResourceRequirements
	env       map[string]string // WSR_*, without what the injector decides

	// sources has for a variable or a resource the name under which its author
	// set it: an annotation, or a key of Settings.
	sources map[string]string
	invalid []*InvalidError

	agent    string            // the server's URL, of a pod that is a client
	serves   bool              // the pod is a server
	agentEnv map[string]string // WSR_AGENT_*, without what the injector decides

	accounts bool // Settings.NATSAccounts
}

// readRequest reads everything before it stops, so that one error names all
// mistakes.
func readRequest(pod *corev1.Pod, defaults map[string]string, s Settings) *podRequest {
	r := &podRequest{mode: cmp.Or(s.Mode, ModeNamed), native: s.Cluster.since(minorNativeSidecar), env: map[string]string{}, agentEnv: map[string]string{}, sources: map[string]string{}, accounts: s.NATSAccounts}
	if s.Resources != nil {
		r.resources = *s.Resources.DeepCopy()
	} else {
		r.resources = DefaultResources()
	}
	r.checkSettings(s)
	r.read(defaults, "the namespace's ")
	r.checkTenant(pod.Annotations, s.TenantAnnotations)
	r.read(pod.Annotations, "")
	_, port := pod.Annotations[AnnotationPort]
	r.serves = r.agent == "" || port
	r.checkAgent()
	r.checkResources()
	if r.native && !s.Cluster.since(minorNativeGate) {
		r.invalid = append(r.invalid, &InvalidError{
			Name: AnnotationNativeSidecar, Given: "true", Why: fmt.Sprintf("Kubernetes before 1.%d has no native sidecars", minorNativeGate), Allowed: "false",
		})
	}
	return r
}

func (r *podRequest) fail(name, given, allowed string) {
	r.invalid = append(r.invalid, &InvalidError{Name: name, Given: given, Allowed: allowed})
}

func (r *podRequest) checkSettings(s Settings) {
	if s.Image == "" {
		r.fail("image", "", "the image of the sidecar")
	}
	if !r.mode.valid() {
		r.fail("mode", string(r.mode), modes)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		r.setEnv(name, s.Env[name], envSource+name)
	}
}

const modes = "named, redirect, explicit"

func (m Mode) valid() bool { return m == ModeNamed || m == ModeRedirect || m == ModeExplicit }

// read takes our annotations except the status, which is for Uninject. from,
// before their names, says whose they are.
func (r *podRequest) read(annotations map[string]string, from string) {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		value, name := annotations[key], from+key
		switch {
		case strings.HasPrefix(key, ConfigPrefix):
			variable := "WSR_" + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(key, ConfigPrefix), "-", "_"))
			if annotationOf(variable) != key {
				variable = "" // such as Session-TTL: one way to write it
			}
			r.setEnv(variable, value, name)
		case strings.HasPrefix(key, AgentPrefix):
			r.setAgent(key, value, name)
		case strings.HasPrefix(key, ownPrefix):
			r.readOwn(key, value, name)
		}
	}
}

// checkTenant refuses annotations of a pod that its author may not set. The
// status is ours, whoever wrote it: Uninject judges it.
func (r *podRequest) checkTenant(annotations map[string]string, allowed []string) {
	if allowed == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		ours := strings.HasPrefix(key, ownPrefix) || strings.HasPrefix(key, ConfigPrefix) || strings.HasPrefix(key, AgentPrefix)
		if !ours || key == AnnotationStatus || slices.ContainsFunc(allowed, func(pattern string) bool { return matchesName(pattern, key) }) {
			continue
		}
		r.invalid = append(r.invalid, &InvalidError{
			Name: key, Why: "pods may not set it in this cluster; the annotation of the namespace can", Allowed: cmp.Or(strings.Join(allowed, ", "), "none"),
		})
	}
}

// matchesName reports whether name is pattern, or begins with what is in front
// of the asterisk that ends it.
func matchesName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// checkTenantPattern reports what is wrong with one of TenantAnnotations: a
// pattern for nothing would be a mistake that only tenants hear of.
func (r *podRequest) checkTenantPattern(pattern string) {
	name, prefix := strings.CutSuffix(pattern, "*")
	switch {
	case strings.HasPrefix(name, ConfigPrefix), strings.HasPrefix(name, AgentPrefix), slices.Contains(allowedAnnotations(), name):
	case prefix && (strings.HasPrefix(ConfigPrefix, name) || strings.HasPrefix(AgentPrefix, name) || strings.HasPrefix(ownPrefix, name) || strings.HasPrefix(name, ownPrefix)):
	default:
		r.fail("tenantAnnotations", pattern, "names of annotations, or beginnings with an asterisk: "+ConfigPrefix+"*, "+AgentPrefix+"*, "+strings.Join(allowedAnnotations(), ", "))
	}
}

// annotationOf is the annotation that sets a variable.
func annotationOf(variable string) string {
	return ConfigPrefix + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "WSR_"), "_", "-"))
}

func (r *podRequest) readOwn(key, value, name string) {
	switch key {
	case AnnotationMode:
		if r.mode = Mode(value); !r.mode.valid() {
			r.fail(name, value, modes)
		}
	case AnnotationPort:
		if r.port = value; !validPort(value) {
			r.fail(name, value, "the name of a port, or a number from 1 to 65535 other than 15801 to 15804")
		}
	case AnnotationNativeSidecar:
		if r.native = value == "true"; !r.native && value != "false" {
			r.fail(name, value, "true, false")
		}
	case AnnotationCPURequest:
		r.setQuantity(name, value, requests, corev1.ResourceCPU)
	case AnnotationCPULimit:
		r.setQuantity(name, value, limits, corev1.ResourceCPU)
	case AnnotationMemoryRequest:
		r.setQuantity(name, value, requests, corev1.ResourceMemory)
	case AnnotationMemoryLimit:
		r.setQuantity(name, value, limits, corev1.ResourceMemory)
	case AnnotationSettings:
		if r.settings = value; len(validation.IsDNS1123Subdomain(value)) > 0 {
			r.fail(name, value, "the name of a ConfigMap in the pod's namespace")
		}
	case AnnotationAgent:
		r.agent, r.sources[AnnotationAgent] = value, name
		if value == "" {
			r.fail(name, value, "the server's URL, such as wss://app.example.com")
		}
	case AnnotationPageClient:
		r.setEnv("WSR_PAGE_CLIENT", value, name)
	case AnnotationStatus:
	case LabelInject:
		r.invalid = append(r.invalid, &InvalidError{Name: name, Why: "this is a label, not an annotation", Allowed: "to write it below labels"})
	default:
		r.unknown(name, key, allowedAnnotations())
	}
}

// unknown records a name that does not exist: with a typing error the default
// would hold, unnoticed.
func (r *podRequest) unknown(name, key string, known []string) {
	e := &InvalidError{Name: name, Why: "there is no such setting", Allowed: strings.Join(known, ", ")}
	if len(key) < 2*maxShown {
		if near := config.Nearest(key, known); near != "" {
			e.Why += ", did you mean " + near + "?"
		}
	}
	r.invalid = append(r.invalid, e)
}

// validPort reports whether value has the form of AnnotationPort: a number, or
// what Kubernetes allows as the name of a port.
func validPort(value string) bool {
	if n, err := strconv.Atoi(value); err == nil {
		return strconv.Itoa(n) == value && n >= 1 && n <= 65535 && !ourPort(int32(n))
	}
	return len(validation.IsValidPortName(value)) == 0
}

func ourPort(port int32) bool { return port >= ProxyPort && port <= ProbePort }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
