package k8s

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Mode is how the sidecar takes over the app's port.
type Mode string

// The values of Mode.
const (
	// ModeNamed gives the name of the app's port to the sidecar, so that a
	// Service whose targetPort is that name reaches the sidecar. It needs no
	// privilege. A Service that numbers the port reaches the app past it.
	ModeNamed Mode = "named"

	// ModeRedirect turns connections to the app's port to the sidecar, by a
	// rule of nftables that an init container with NET_ADMIN makes.
	ModeRedirect Mode = "redirect"

	// ModeExplicit takes over nothing: the Service's author names the sidecar's
	// port.
	ModeExplicit Mode = "explicit"
)

// Settings are what the cluster's operator decided for all pods. The zero value
// of a field is its default, except Image, which is required. Settings are not
// changed once they are in use, so they may be used concurrently.
type Settings struct {
	Image           string            `json:"image"`
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"` // default IfNotPresent

	// PullSecrets are names of Secrets with access to the registry of Image, which
	// pods get beside their own. They have to be in the namespace of the pod.
	PullSecrets []string `json:"pullSecrets,omitempty"`

	// Mode is for pods that name none; default ModeNamed.
	Mode Mode `json:"mode,omitempty"`

	// Env are settings of the sidecar, WSR_*, for pods that do not say
	// otherwise. Those that the injector decides itself are not allowed.
	Env map[string]string `json:"env,omitempty"`

	// PlatformUser leaves the sidecar's user to the platform, as OpenShift's
	// security context constraints want it, which give each namespace a range.
	PlatformUser bool `json:"platformUser,omitempty"`

	// TenantAnnotations are those of ours that pods may have: names, or beginnings
	// of names that end in an asterisk. Annotations of namespaces are not bound
	// by it. Nil: all.
	TenantAnnotations []string `json:"tenantAnnotations,omitzero"`

	// Resources of the sidecar; default DefaultResources.
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// PeerTLS turns mutual TLS between sidecars on: the Secret has SecretPeerCert,
	// SecretPeerKey and SecretPeerCA.
	PeerTLS bool `json:"peerTLS,omitempty"`

	// Secret is the name of the Secret with the keys SecretTokenKeys and, with
	// NATS, SecretNATSURL, in the pod's own namespace. Default "wsresilience".
	Secret string `json:"secret,omitempty"`

	// NATS says that there is a NATS cluster for the journal. Without one, each
	// sidecar keeps its own, in an emptyDir.
	NATS      bool `json:"nats,omitempty"`
	NATSCreds bool `json:"natsCreds,omitempty"` // the Secret has SecretNATSCreds
	NATSCA    bool `json:"natsCA,omitempty"`    // the Secret has SecretNATSCA

	// NATSAccounts says that each namespace has an account of its own in NATS,
	// and that the Secret has its SecretNATSCreds. The streams are made with the
	// account, so what concerns them is not for pods to say.
	NATSAccounts bool `json:"natsAccounts,omitempty"`

	// DataSize bounds the emptyDir of a journal without NATS; default 1Gi.
	DataSize *resource.Quantity `json:"dataSize,omitempty"`

	// Cluster is what the cluster can do. The zero value is a current one.
	Cluster Cluster `json:"cluster,omitzero"`
}

// Cluster is what a cluster can do, as far as it matters here.
type Cluster struct {
	// Minor is the minor version of Kubernetes 1.x; 0 is a current one.
	Minor int `json:"minor,omitempty"`
}

// Versions of Kubernetes, 1.x, from which on something is there.
const (
	minorNativeGate    = 28 // the next one, behind a feature gate; without it the pod would hang
	minorNativeSidecar = 29 // init containers with restartPolicy Always (KEP-753)
	minorSleep         = 30 // lifecycle.preStop.sleep (KEP-3960)
)

func (c Cluster) since(minor int) bool { return c.Minor == 0 || c.Minor >= minor }
