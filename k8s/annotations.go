package k8s

import (
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
	}
}

// wish is what is asked for one pod, from its annotations, those of its
// namespace and the settings, in this order.
type wish struct {
	mode      Mode
	port      string // name or number; empty: to be found
	native    bool
	resources corev1.ResourceRequirements
	env       map[string]string // WSR_*, what the injector decides left out

	// sources says who set a variable, as its author knows it.
	sources map[string]string
	invalid []*InvalidError
}

// readWish reads everything, so that all mistakes are told at once.
func readWish(pod *corev1.Pod, defaults map[string]string, s Settings) *wish {
	w := &wish{mode: s.Mode, native: s.Cluster.since(minorNativeSidecar), env: map[string]string{}, sources: map[string]string{}}
	if w.mode == "" {
		w.mode = ModeNamed
	}
	if s.Resources != nil {
		w.resources = *s.Resources.DeepCopy()
	} else {
		w.resources = DefaultResources()
	}
	w.judgeSettings(s)
	w.read(defaults, "the namespace's ")
	w.read(pod.Annotations, "")
	w.judgeResources()
	if w.native && !s.Cluster.since(minorNativeGate) {
		w.invalid = append(w.invalid, &InvalidError{
			Name: AnnotationNativeSidecar, Given: "true", Why: fmt.Sprintf("Kubernetes before 1.%d has no native sidecars", minorNativeGate), Allowed: "false",
		})
	}
	return w
}

func (w *wish) fail(name, given, allowed string) {
	w.invalid = append(w.invalid, &InvalidError{Name: name, Given: given, Allowed: allowed})
}

func (w *wish) judgeSettings(s Settings) {
	if s.Image == "" {
		w.fail("image", "", "the image of the sidecar")
	}
	if !w.mode.valid() {
		w.fail("mode", string(w.mode), modes)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		w.set(name, s.Env[name], envSource+name)
	}
}

const modes = "named, redirect, explicit"

func (m Mode) valid() bool { return m == ModeNamed || m == ModeRedirect || m == ModeExplicit }

// read takes our annotations; from says whose they are. The status is
// Uninject's.
func (w *wish) read(annotations map[string]string, from string) {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		value, name := annotations[key], from+key
		switch {
		case strings.HasPrefix(key, ConfigPrefix):
			variable := "WSR_" + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(key, ConfigPrefix), "-", "_"))
			if annotationOf(variable) != key {
				variable = "" // such as Session-TTL: one way to write it
			}
			w.set(variable, value, name)
		case strings.HasPrefix(key, ownPrefix):
			w.readOwn(key, value, name)
		}
	}
}

// annotationOf is the annotation that sets a variable.
func annotationOf(variable string) string {
	return ConfigPrefix + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "WSR_"), "_", "-"))
}

func (w *wish) readOwn(key, value, name string) {
	switch key {
	case AnnotationMode:
		if w.mode = Mode(value); !w.mode.valid() {
			w.fail(name, value, modes)
		}
	case AnnotationPort:
		if w.port = value; !validPort(value) {
			w.fail(name, value, "the name of a port, or a number from 1 to 65535 other than 15801 to 15804")
		}
	case AnnotationNativeSidecar:
		if w.native = value == "true"; !w.native && value != "false" {
			w.fail(name, value, "true, false")
		}
	case AnnotationCPURequest:
		w.quantity(name, value, requests, corev1.ResourceCPU)
	case AnnotationCPULimit:
		w.quantity(name, value, limits, corev1.ResourceCPU)
	case AnnotationMemoryRequest:
		w.quantity(name, value, requests, corev1.ResourceMemory)
	case AnnotationMemoryLimit:
		w.quantity(name, value, limits, corev1.ResourceMemory)
	case AnnotationStatus:
	case LabelInject:
		w.invalid = append(w.invalid, &InvalidError{Name: name, Why: "this is a label, not an annotation", Allowed: "to write it below labels"})
	default:
		w.unknown(name, key, allowedAnnotations())
	}
}

// unknown notes a name that does not exist: a typing error would otherwise
// leave a default in force, unseen.
func (w *wish) unknown(name, key string, known []string) {
	e := &InvalidError{Name: name, Why: "there is no such setting", Allowed: strings.Join(known, ", ")}
	if len(key) < 2*maxShown {
		if near := config.Nearest(key, known); near != "" {
			e.Why += ", did you mean " + near + "?"
		}
	}
	w.invalid = append(w.invalid, e)
}

// validPort judges the form of AnnotationPort. A name is what Kubernetes
// allows as the name of a port.
func validPort(value string) bool {
	if n, err := strconv.Atoi(value); err == nil {
		return strconv.Itoa(n) == value && n >= 1 && n <= 65535 && !ourPort(int32(n))
	}
	return len(validation.IsValidPortName(value)) == 0
}

func ourPort(port int32) bool { return port >= ProxyPort && port <= ProbePort }
