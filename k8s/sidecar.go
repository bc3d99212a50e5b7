package k8s

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wsresilience/wsresilience/internal/config"
)

// Where things are in the sidecar's container.
const (
	dataDir   = "/var/lib/wsresilience"
	secretDir = "/etc/wsresilience/secret"
)

// userID is that of the image, by custom the one of "nonroot".
const userID = 65532

// addContainers puts our containers and volumes into pod, and returns a digest of
// them.
func (r *podRequest) addContainers(pod *corev1.Pod, app appPort, s Settings) string {
	var volumes []corev1.Volume
	var first, beside []corev1.Container
	if r.serves {
		volumes = append(s.volumes(), r.settingsVolume()...)
		if r.mode == ModeRedirect {
			first = append(first, redirectContainer(app, s))
		}
		beside = append(beside, r.sidecar(app, s))
	}
	if r.agent != "" {
		volumes = append(volumes, s.agentVolume())
		beside = append(beside, r.agentContainer(s))
	}
	added := slices.Concat(first, beside)
	if r.native {
		first = append(first, beside...)
	} else {
		pod.Spec.Containers = append(pod.Spec.Containers, beside...)
	}
	if len(first) > 0 {
		pod.Spec.InitContainers = slices.Concat(first, pod.Spec.InitContainers)
	}
	pod.Spec.Volumes = append(pod.Spec.Volumes, volumes...)
	text, _ := json.Marshal([]any{added, volumes}) // of values that always have a JSON form
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// defaultSecret is the default of Settings.Secret.
const defaultSecret = "wsresilience"

// SecretName is the name of the Secret that the sidecar reads.
func (s Settings) SecretName() string { return cmp.Or(s.Secret, defaultSecret) }

// natsCreds reports whether the sidecar logs in with a file.
func (s Settings) natsCreds() bool { return s.NATSCreds || s.NATSAccounts }

func (s Settings) pullPolicy() corev1.PullPolicy {
	return cmp.Or(s.ImagePullPolicy, corev1.PullIfNotPresent)
}

// volumes are those that the sidecar mounts: files of the Secret, which the
// kubelet keeps up to date, and the folder of an embedded journal.
func (s Settings) volumes() (list []corev1.Volume) {
	mode := int32(0o444) // the kubelet makes the files root's
	var items []corev1.KeyToPath
	for _, f := range s.files() {
		items = append(items, corev1.KeyToPath{Key: f.key, Path: f.key})
	}
	list = append(list, corev1.Volume{Name: SecretVolume, VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: s.SecretName(), Items: items, DefaultMode: &mode},
	}})
	if !s.NATS {
		size := resource.MustParse("1Gi")
		if s.DataSize != nil {
			size = *s.DataSize
		}
		list = append(list, corev1.Volume{Name: DataVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}})
	}
	return list
}

// settingsVolume is the ConfigMap with settings that change, which the kubelet keeps
// up to date.
func (r *podRequest) settingsVolume() []corev1.Volume {
	if r.settings == "" {
		return nil
	}
	mode := int32(0o444)
	return []corev1.Volume{{Name: SettingsVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: r.settings}, DefaultMode: &mode,
		Items: []corev1.KeyToPath{{Key: path.Base(config.InjectedFile), Path: path.Base(config.InjectedFile)}},
	}}}}
}

// A secretFile is a key of the Secret that the sidecar reads as a file.
type secretFile struct{ variable, key string }

func (s Settings) files() []secretFile {
	list := []secretFile{{"WSR_TOKEN_KEYS_FILE", SecretTokenKeys}}
	if s.NATS && s.natsCreds() {
		list = append(list, secretFile{"WSR_NATS_CREDS", SecretNATSCreds})
	}
	if s.NATS && s.NATSCA {
		list = append(list, secretFile{"WSR_NATS_CA", SecretNATSCA})
	}
	if s.PeerTLS {
		list = append(list, secretFile{"WSR_PEER_CERT", SecretPeerCert}, secretFile{"WSR_PEER_KEY", SecretPeerKey}, secretFile{"WSR_PEER_CA", SecretPeerCA})
	}
	return list
}

func (r *podRequest) sidecar(app appPort, s Settings) corev1.Container {
	c := corev1.Container{
		Name: SidecarContainer, Image: s.Image, ImagePullPolicy: s.pullPolicy(),
		Command: []string{"/wsresilience-sidecar"},
		Env:     r.environment(app, s),
		Ports: []corev1.ContainerPort{
			{Name: ProxyPortName, ContainerPort: ProxyPort, Protocol: corev1.ProtocolTCP},
			{Name: AdminPortName, ContainerPort: AdminPort, Protocol: corev1.ProtocolTCP},
		},
		Resources: r.resources,
		// The app starts when the sidecar has: not when it is ready, which a strict
		// one without a journal may not be for hours.
		StartupProbe:    probe("/livez", 1, 60),
		ReadinessProbe:  probe("/readyz", 2, 1),
		LivenessProbe:   probe("/livez", 10, 6),
		Lifecycle:       &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/wsresilience-sidecar", "drain"}}}},
		SecurityContext: s.security(),
		VolumeMounts:    []corev1.VolumeMount{{Name: SecretVolume, MountPath: secretDir, ReadOnly: true}},
	}
	if s.PeerTLS {
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: PeerPortName, ContainerPort: PeerPort, Protocol: corev1.ProtocolTCP})
	}
	if !s.NATS {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: DataVolume, MountPath: dataDir})
	}
	if r.settings != "" { // the folder, since a file that is mounted by itself never changes
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: SettingsVolume, MountPath: path.Dir(config.InjectedFile), ReadOnly: true})
	}
	if r.native {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
	}
	return c
}

// environment of the sidecar, sorted by name.
func (r *podRequest) environment(app appPort, s Settings) []corev1.EnvVar {
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}
	}
	secret := func(key string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: s.SecretName()}, Key: key}}
	}
	env := []corev1.EnvVar{
		{Name: "POD_IP", ValueFrom: field("status.podIP")},
		{Name: "POD_NAME", ValueFrom: field("metadata.name")},
		{Name: "POD_NAMESPACE", ValueFrom: field("metadata.namespace")},
		{Name: "WSR_UPSTREAM", Value: upstream(app.number)},
	}
	if s.NATS {
		env = append(env, corev1.EnvVar{Name: "WSR_NATS_URL", ValueFrom: secret(SecretNATSURL)})
		if s.NATSAccounts {
			env = append(env, corev1.EnvVar{Name: "WSR_NATS_STREAMS", Value: "expect"})
		}
	}
	for _, f := range s.files() {
		env = append(env, corev1.EnvVar{Name: f.variable, Value: secretDir + "/" + f.key})
	}
	if r.settings != "" {
		env = append(env, corev1.EnvVar{Name: "WSR_CONFIG_FILE", Value: config.InjectedFile})
	}
	if limit, ok := r.resources.Limits[corev1.ResourceMemory]; ok {
		// The garbage collector works harder near the limit, so that the
		// kernel does not have to kill.
		env = append(env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: fmt.Sprint(limit.Value() / 10 * 9)})
	}
	for name, value := range r.env {
		env = append(env, corev1.EnvVar{Name: name, Value: literal(value)})
	}
	slices.SortFunc(env, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	return env
}

// probe spells out the defaults of the API server, so that a stored pod does not
// differ from the one that was injected. A sidecar that gets little of its node's
// time is not to be restarted for that, nor to be taken out of Services: both would
// make it worse for its clients, and a neighbour could bring it about.
func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(AdminPort), Scheme: corev1.URISchemeHTTP}},
		PeriodSeconds:    period,
		FailureThreshold: failures,
		SuccessThreshold: 1,
		TimeoutSeconds:   5,
	}
}

// security is the sidecar's.
func (s Settings) security() *corev1.SecurityContext {
	security := unprivileged()
	if s.PlatformUser {
		security.RunAsUser, security.RunAsGroup = nil, nil // the image's is no root either
	}
	return security
}

// unprivileged is what the pod security standard "restricted" asks for.
func unprivileged() *corev1.SecurityContext {
	yes, no, id := true, false, int64(userID)
	return &corev1.SecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &id, RunAsGroup: &id,
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// redirectContainer writes the rules of nftables, which needs root and
// NET_ADMIN, and ends.
func redirectContainer(app appPort, s Settings) corev1.Container {
	no, yes, root := false, true, int64(0)
	security := unprivileged()
	security.RunAsNonRoot, security.RunAsUser, security.RunAsGroup = &no, &root, &root
	security.AllowPrivilegeEscalation, security.ReadOnlyRootFilesystem = &no, &yes
	security.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
	return corev1.Container{
		Name: RedirectContainer, Image: s.Image, ImagePullPolicy: s.pullPolicy(),
		Command: []string{
			"/wsresilience-injector", "redirect", "-from", fmt.Sprint(app.number),
			"-to", fmt.Sprint(ProxyPort), "-probe", fmt.Sprint(ProbePort),
		},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		},
		SecurityContext: security,
	}
}
