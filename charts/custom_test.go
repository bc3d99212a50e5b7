package charts

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// custom is an object of the Prometheus Operator or of cert-manager, with the
// fields of theirs that the chart uses and no other.
type custom struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	spec              any
}

type (
	monitorSpec struct {
		Selector          metav1.LabelSelector `json:"selector"`
		NamespaceSelector struct {
			Any bool `json:"any"`
		} `json:"namespaceSelector"`
		Endpoints           []endpoint `json:"endpoints"`
		PodMetricsEndpoints []endpoint `json:"podMetricsEndpoints"`
	}
	endpoint struct {
		Port     string          `json:"port"`
		Path     string          `json:"path"`
		Interval metav1.Duration `json:"interval"`

		Relabelings []struct {
			SourceLabels []string `json:"sourceLabels"`
			Regex        string   `json:"regex"`
			TargetLabel  string   `json:"targetLabel"`
		} `json:"relabelings"`
	}
	ruleSpec struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []rule `json:"rules"`
		} `json:"groups"`
	}
	rule struct {
		Record      string            `json:"record,omitempty"`
		Alert       string            `json:"alert,omitempty"`
		Expr        string            `json:"expr"`
		For         string            `json:"for,omitempty"`
		Labels      map[string]string `json:"labels,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	certificateSpec struct {
		SecretName string   `json:"secretName"`
		DNSNames   []string `json:"dnsNames"`
		PrivateKey struct {
			Algorithm      string `json:"algorithm"`
			Size           int    `json:"size"`
			RotationPolicy string `json:"rotationPolicy"`
		} `json:"privateKey"`
		IssuerRef struct {
			Name  string `json:"name"`
			Kind  string `json:"kind"`
			Group string `json:"group"`
		} `json:"issuerRef"`
	}
	issuerSpec struct {
		SelfSigned *struct{} `json:"selfSigned"`
	}
)

// alerts are the rules that make an alert.
func (s *ruleSpec) alerts() (list []rule) {
	for _, g := range s.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				list = append(list, r)
			}
		}
	}
	return list
}

// specs are the kinds that are known.
func specs(apiVersion, kind string) any {
	switch apiVersion + " " + kind {
	case "monitoring.coreos.com/v1 ServiceMonitor", "monitoring.coreos.com/v1 PodMonitor":
		return &monitorSpec{}
	case "monitoring.coreos.com/v1 PrometheusRule":
		return &ruleSpec{}
	case "cert-manager.io/v1 Certificate":
		return &certificateSpec{}
	case "cert-manager.io/v1 Issuer":
		return &issuerSpec{}
	}
	return nil
}

func decodeCustom(t *testing.T, document []byte) custom {
	t.Helper()
	var whole struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              any `json:"spec"`
	}
	if err := yaml.UnmarshalStrict(document, &whole); err != nil {
		t.Fatalf("%v:\n%s", err, document)
	}
	spec := specs(whole.APIVersion, whole.Kind)
	if spec == nil {
		t.Fatalf("nobody knows %s %s", whole.APIVersion, whole.Kind)
	}
	text, err := yaml.Marshal(whole.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, spec); err != nil {
		t.Errorf("%s %s: %v", whole.Kind, whole.Name, err)
	}
	return custom{whole.TypeMeta, whole.ObjectMeta, spec}
}

// the returns the spec of the only custom object of a kind.
func the[T any](t *testing.T, r *release, kind string) T {
	t.Helper()
	var found []T
	for _, c := range r.custom {
		if spec, ok := c.spec.(T); ok && c.Kind == kind {
			found = append(found, spec)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of kind %s", len(found), kind)
	}
	return found[0]
}
