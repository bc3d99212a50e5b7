package k8s

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wsresilience/wsresilience/internal/agent/settings"
)

// Ports of the agent. The program connects to the first by loopback.
const (
	AgentPort      = 15880
	AgentAdminPort = 15882
)

// agentDir is where the agent's outboxes are: an emptyDir, which outlives the
// containers of the pod and not the pod.
const agentDir = "/var/lib/wsresilience-agent"

// setAgent takes one setting of the agent. name is the annotation, and key what it
// is without whose it is.
func (r *podRequest) setAgent(key, value, name string) {
	var known []string
	for _, v := range settings.Variables() {
		switch annotation := agentAnnotationOf(v.Name); {
		case annotation == key && !v.Pod:
			r.invalid = append(r.invalid, &InvalidError{Name: name, Why: "the injector decides this"})
			return
		case annotation == key:
			r.agentEnv[v.Name], r.sources[v.Name] = value, name
			return
		case v.Pod:
			known = append(known, annotation)
		}
	}
	r.unknown(name, key, known)
}

// agentAnnotationOf is the annotation that sets a variable of the agent.
func agentAnnotationOf(variable string) string {
	return AgentPrefix + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "WSR_AGENT_"), "_", "-"))
}

// checkAgent has the agent's own parser read what it will get.
func (r *podRequest) checkAgent() {
	if r.agent == "" {
		for _, variable := range sortedKeys(r.agentEnv) {
			r.invalid = append(r.invalid, &InvalidError{Name: r.sources[variable], Why: "the pod has no agent, which " + AnnotationAgent + " with the server's URL asks for"})
		}
		return
	}
	environ := make([]string, 0, len(r.agentEnv)+2)
	for _, e := range r.agentEnvironment() {
		environ = append(environ, e.Name+"="+e.Value)
	}
	_, err := settings.Validate(environ)
	for _, line := range lines(err) {
		variable, why, _ := strings.Cut(line, ": ")
		if variable == "WSR_AGENT_TARGET" {
			r.sources[variable] = r.sources[AnnotationAgent]
		}
		r.invalid = append(r.invalid, &InvalidError{Name: cmp.Or(r.sources[variable], variable), Why: why})
	}
}

// lines are those of an error that joins several.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// agentEnvironment is the agent's, sorted by name, with values as they are.
func (r *podRequest) agentEnvironment() []corev1.EnvVar {
	env := []corev1.EnvVar{
		{Name: "WSR_AGENT_TARGET", Value: r.agent},
		{Name: "WSR_AGENT_DATA", Value: agentDir},
		{Name: "WSR_AGENT_ADMIN_LISTEN", Value: fmt.Sprintf(":%d", AgentAdminPort)},
	}
	for name, value := range r.agentEnv {
		env = append(env, corev1.EnvVar{Name: name, Value: value})
	}
	slices.SortFunc(env, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	return env
}

// agentContainer is what stands beside a program that is a client.
func (r *podRequest) agentContainer(s Settings) corev1.Container {
	env := r.agentEnvironment()
	for i := range env {
		env[i].Value = literal(env[i].Value)
	}
	probe := func(period, failures int32) *corev1.Probe {
		p := probe("/readyz", period, failures)
		p.HTTPGet.Port = intstr.FromInt32(AgentAdminPort)
		return p
	}
	c := corev1.Container{
		Name: AgentContainer, Image: s.Image, ImagePullPolicy: s.pullPolicy(),
		Command:         []string{"/wsresilience-agent"},
		Env:             env,
		Ports:           []corev1.ContainerPort{{Name: AgentAdminPortName, ContainerPort: AgentAdminPort, Protocol: corev1.ProtocolTCP}},
		Resources:       DefaultResources(),
		StartupProbe:    probe(1, 60), // the program starts when it can connect
		LivenessProbe:   probe(10, 3),
		SecurityContext: s.security(),
		VolumeMounts:    []corev1.VolumeMount{{Name: AgentVolume, MountPath: agentDir}},
	}
	if !r.serves {
		c.Resources = r.resources
	}
	if r.native {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
	}
	return c
}

// agentVolume keeps the outboxes.
func (s Settings) agentVolume() corev1.Volume {
	size := resource.MustParse("1Gi")
	if s.DataSize != nil {
		size = *s.DataSize
	}
	return corev1.Volume{Name: AgentVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}}
}
