package k8s

// Names that users write, or see in their pods. They are part of the product's
// interface: changing one breaks manifests.
const (
	// LabelInject asks for the sidecar, or forbids it, on a namespace or a pod;
	// the pod's wins. It is a label since admission selects by labels only.
	LabelInject = "wsresilience.io/inject"
	Enabled     = "enabled"
	Disabled    = "disabled"

	// Pods, on a namespace, leaves it to the label of each pod.
	Pods = "pods"

	// Annotations of a pod, or of its namespace as a default.
	AnnotationMode          = "wsresilience.io/mode"           // a Mode
	AnnotationPort          = "wsresilience.io/port"           // name or number of the app's port
	AnnotationNativeSidecar = "wsresilience.io/native-sidecar" // "true" or "false"
	AnnotationCPURequest    = "wsresilience.io/cpu-request"
	AnnotationCPULimit      = "wsresilience.io/cpu-limit"
	AnnotationMemoryRequest = "wsresilience.io/memory-request"
	AnnotationMemoryLimit   = "wsresilience.io/memory-limit"
	AnnotationSettings      = "wsresilience.io/settings"    // name of a ConfigMap
	AnnotationPageClient    = "wsresilience.io/page-client" // as WSR_PAGE_CLIENT

	// AnnotationAgent has the server's URL, wss://app.example.com, of a pod that is
	// a client: it gets the agent. It gets the sidecar too if it says by
	// AnnotationPort where it is a server.
	AnnotationAgent = "wsresilience.io/agent"

	// AgentPrefix, before the name of a setting without WSR_AGENT_, sets it:
	// agent.wsresilience.io/continue.
	AgentPrefix = "agent.wsresilience.io/"

	// ConfigPrefix, before the name of a setting without WSR_, in lower case
	// and with dashes, sets it: config.wsresilience.io/session-ttl.
	ConfigPrefix = "config.wsresilience.io/"

	// AnnotationStatus is ours: what was done to the pod, and how to undo it.
	AnnotationStatus = "wsresilience.io/status"

	// Names of what is added to a pod. A pod that uses one of them is refused.
	SidecarContainer  = "wsresilience"
	RedirectContainer = "wsresilience-redirect"
	AgentContainer    = "wsresilience-agent"
	DataVolume        = "wsresilience-data"
	SecretVolume      = "wsresilience-secret"
	SettingsVolume    = "wsresilience-settings"
	AgentVolume       = "wsresilience-agent-data"

	// PortPrefix, before the name of the app's port, names the port behind the
	// sidecar: the name itself is the sidecar's now.
	PortPrefix = "wsr-"

	// Names of the sidecar's own ports.
	ProxyPortName = "wsr-proxy"
	AdminPortName = "wsr-admin"
	PeerPortName  = "wsr-peer"

	// AgentAdminPortName is the agent's.
	AgentAdminPortName = "wsr-agent-admin"
)

// Ports of the sidecar: the defaults of WSR_LISTEN, WSR_ADMIN_LISTEN and
// WSR_PEER_LISTEN. An app that uses a port from ProxyPort to ProbePort is refused.
const (
	ProxyPort = 15801
	AdminPort = 15802
	PeerPort  = 15803

	// ProbePort leads past the sidecar where the app's own port is redirected
	// to it: a probe has to hear the app.
	ProbePort = 15804
)

// Keys of the Secret that the sidecars of a namespace read.
const (
	SecretTokenKeys = "token-keys" // WSR_TOKEN_KEYS_FILE
	SecretNATSURL   = "nats-url"   // WSR_NATS_URL, may hold a password
	SecretNATSCreds = "nats-creds" // WSR_NATS_CREDS, as a file
	SecretNATSCA    = "nats-ca"    // WSR_NATS_CA, as a file
	SecretPeerCert  = "peer-cert"  // WSR_PEER_CERT, as a file
	SecretPeerKey   = "peer-key"   // WSR_PEER_KEY, as a file
	SecretPeerCA    = "peer-ca"    // WSR_PEER_CA, as a file

	// SecretPeerCAKey signs the next SecretPeerCert; no sidecar reads it.
	SecretPeerCAKey = "peer-ca-key"
)
