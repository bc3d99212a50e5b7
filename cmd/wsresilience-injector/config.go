package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster"
	"github.com/wsresilience/wsresilience/k8s/tenants"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// Config is the file that the webhook reads (YAML, no unknown keys). The chart
// writes it; `inject -settings` reads the same one.
type Config struct {
	// Namespace and Service are where the API server finds this webhook, and
	// the names of its certificate.
	Namespace string `json:"namespace"`
	Service   string `json:"service"`

	// Webhook is the name of our MutatingWebhookConfiguration.
	Webhook string `json:"webhook"`

	Certificates Certificates `json:"certificates"`

	// ClientCA are the authorities (PEM) of the certificate that API servers
	// show. Empty: none is asked for, and anybody who reaches the port may ask.
	ClientCA string `json:"clientCA,omitempty"`

	// ClientNames are the common names that such a certificate may have. Empty:
	// any.
	ClientNames []string `json:"clientNames,omitempty"`

	// Secrets says where token keys and the address of NATS come from.
	Secrets Secrets `json:"secrets"`

	Sidecar k8s.Settings `json:"sidecar"`
}

// Certificates of the webhook.
type Certificates struct {
	// Dir holds tls.crt and tls.key that another program renews, such as
	// cert-manager, which then writes the CA bundle too. Empty: the injector
	// makes its own and stores them in Secret.
	Dir    string `json:"dir,omitempty"`
	Secret string `json:"secret,omitempty"`
}

// Secrets of the sidecars: each namespace with an injected pod gets a Secret
// named Sidecar.Secret.
type Secrets struct {
	// Managed says that the injector makes that Secret where it is missing:
	// token keys once and for ever, and what NATS needs, kept up to date.
	// Otherwise the operator does.
	Managed bool `json:"managed"`

	// NATS is the Secret in the injector's own namespace that holds nats-url,
	// and nats-creds and nats-ca where there are such. Empty: NATSURL.
	NATS    string `json:"nats,omitempty"`
	NATSURL string `json:"natsURL,omitempty"`

	// KeyRotation is how often token keys change, as a Go duration; 0 is never.
	KeyRotation metav1.Duration `json:"keyRotation,omitzero"`

	// Accounts gives each namespace an account of its own in NATS. nil: all
	// share the user of NATS.
	Accounts *Accounts `json:"accounts,omitempty"`
}

// Accounts of namespaces in NATS servers that run in operator mode.
type Accounts struct {
	// Secret is the one in the injector's own namespace with the operator's
	// seed, the credentials of the system account, and where we make it what
	// the servers read.
	Secret string `json:"secret"`

	// Make says that the injector makes that Secret where it is missing.
	Make bool `json:"make,omitempty"`

	// Storage and Connections are the quota of one namespace.
	Storage     resource.Quantity `json:"storage"`
	Connections int64             `json:"connections"`
}

// The most that a quota can be: far above what servers have.
const (
	maxStorage           = 1 << 50
	maxTenantConnections = 1 << 20
)

// readConfig reads and checks the file.
func readConfig(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// parseConfig decodes strictly and checks what the webhook needs.
func parseConfig(text []byte) (*Config, error) {
	c := &Config{}
	text, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	// Unlike yaml.UnmarshalStrict it names unknown keys with their path.
	unknown, err := kjson.UnmarshalStrict(text, c)
	if err := errors.Join(append(unknown, err)...); err != nil {
		return nil, err
	}
	return c, c.check()
}

// check returns everything that is wrong, a line each.
func (c *Config) check() error {
	var problems []error
	wrong := func(key, given, allowed string) {
		problems = append(problems, fmt.Errorf("%s is %q; allowed is %s", key, given, allowed))
	}
	for _, name := range []struct{ key, value string }{{"namespace", c.Namespace}, {"service", c.Service}} {
		if len(validation.IsDNS1123Label(name.value)) > 0 {
			wrong(name.key, name.value, "a name of lower-case letters, digits and dashes")
		}
	}
	if c.Certificates.Dir == "" && c.Webhook == "" {
		wrong("webhook", c.Webhook, "the name of the MutatingWebhookConfiguration")
	}
	if (c.Certificates.Dir == "") == (c.Certificates.Secret == "") {
		wrong("certificates.secret", c.Certificates.Secret, "the name of a Secret, or none when certificates.dir is set")
	}
	if c.ClientCA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.ClientCA)) {
		wrong("clientCA", fmt.Sprintf("%.40s", c.ClientCA), "PEM with one certificate or more")
	}
	if c.ClientCA == "" && len(c.ClientNames) > 0 {
		wrong("clientNames", strings.Join(c.ClientNames, ","), "nothing without clientCA")
	}
	for _, e := range c.Sidecar.Check() {
		problems = append(problems, fmt.Errorf("sidecar.%w", e))
	}
	if m := c.Sidecar.Cluster.Minor; m < 0 {
		wrong("sidecar.cluster.minor", strconv.Itoa(m), "y of Kubernetes 1.y, or 0 to ask the API server")
	}
	if c.Secrets.NATS != "" && c.Secrets.NATSURL != "" {
		// The URL may hold a password, so it is not repeated.
		wrong("secrets.nats", c.Secrets.NATS, "nothing when secrets.natsURL is set")
	}
	if c.Secrets.Managed && c.Sidecar.NATS && c.Secrets.NATS == "" && c.Secrets.NATSURL == "" {
		wrong("secrets.nats", "", "the name of a Secret with nats-url, since sidecar.nats is true; or set secrets.natsURL")
	}
	if every := c.Secrets.KeyRotation.Duration; every != 0 && every < cluster.MinRotation {
		wrong("secrets.keyRotation", every.String(), fmt.Sprintf("0, or from %v", cluster.MinRotation))
	}
	if c.Secrets.KeyRotation.Duration != 0 && !c.Secrets.Managed {
		wrong("secrets.keyRotation", c.Secrets.KeyRotation.Duration.String(), "0 unless secrets.managed is true")
	}
	c.checkAccounts(wrong)
	return errors.Join(problems...)
}

// checkAccounts reports what is wrong with the accounts: by wrong, or itself.
func (c *Config) checkAccounts(wrong func(key, given, allowed string)) {
	a := c.Secrets.Accounts
	if (a != nil) != c.Sidecar.NATSAccounts {
		wrong("sidecar.natsAccounts", strconv.FormatBool(c.Sidecar.NATSAccounts), "true with secrets.accounts, and false without")
	}
	if a == nil {
		return
	}
	if !c.Secrets.Managed {
		wrong("secrets.accounts", a.Secret, "nothing unless secrets.managed is true: the credentials go into the Secrets of the sidecars")
	}
	if len(validation.IsDNS1123Subdomain(a.Secret)) > 0 {
		wrong("secrets.accounts.secret", a.Secret, "the name of a Secret")
	}
	if size := a.Storage.Value(); size < tenants.MinStorage || size > maxStorage {
		wrong("secrets.accounts.storage", a.Storage.String(), fmt.Sprintf("a quantity from %dMi", tenants.MinStorage>>20))
	}
	if a.Connections < 1 || a.Connections > maxTenantConnections {
		wrong("secrets.accounts.connections", strconv.FormatInt(a.Connections, 10), fmt.Sprintf("1 to %d", maxTenantConnections))
	}
	if _, err := c.replicas(); err != nil {
		wrong("sidecar.env.WSR_NATS_REPLICAS", c.Sidecar.Env[replicasVariable], "1 to 5")
	}
}

// replicasVariable is the sidecars' setting that says how many copies a stream
// has.
const replicasVariable = "WSR_NATS_REPLICAS"

// replicas is how many copies the streams have.
func (c *Config) replicas() (int, error) {
	text, given := c.Sidecar.Env[replicasVariable]
	if !given {
		return natsstore.DefaultReplicas, nil
	}
	return strconv.Atoi(text)
}
