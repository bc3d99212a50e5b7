package charts

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/otlp"
)

// A schema is as much of JSON Schema as values.schema.json uses.
type schema struct {
	Schema     string             `json:"$schema"`
	Ref        string             `json:"$ref"`
	Defs       map[string]*schema `json:"definitions"`
	Type       any                `json:"type"`
	Properties map[string]*schema `json:"properties"`
	// AdditionalProperties is false, or a schema for the values of a map.
	AdditionalProperties json.RawMessage `json:"additionalProperties"`
	Items                *schema         `json:"items"`
	Required             []string        `json:"required"`
	Enum                 []any           `json:"enum"`
	Pattern              string          `json:"pattern"`
	MinLength            int             `json:"minLength"`
	MaxLength            int             `json:"maxLength"`
	Minimum              int             `json:"minimum"`
	Maximum              int             `json:"maximum"`
}

func readSchema(t *testing.T) *schema {
	t.Helper()
	text, err := os.ReadFile(chart + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// TestSchemaCoversTheValues: what can be set is in both files, and an object
// with names of ours takes no other.
func TestSchemaCoversTheValues(t *testing.T) {
	text, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatal(err)
	}
	compared := 0
	var compare func(at string, s *schema, value any)
	compare = func(at string, s *schema, value any) {
		if s.Properties == nil {
			return // a value, or a map with names of the user's
		}
		if string(s.AdditionalProperties) != "false" {
			t.Errorf("%s takes unknown keys", at)
		}
		object, ok := value.(map[string]any)
		if !ok {
			t.Errorf("%s is no object in values.yaml", at)
			return
		}
		for key, inner := range s.Properties {
			compared++
			inValues, ok := object[key]
			if !ok && at+"."+key != ".global" { // Helm's own
				t.Errorf("%s.%s is not in values.yaml", at, key)
			} else if ok && len(asObject(inValues)) > 0 {
				compare(at+"."+key, inner, inValues)
			}
		}
		for key := range object {
			if s.Properties[key] == nil {
				t.Errorf("%s.%s is not in the schema", at, key)
			}
		}
	}
	compare("", readSchema(t), values)
	if compared < 60 {
		t.Errorf("only %d keys were compared", compared)
	}
}

func asObject(v any) map[string]any { m, _ := v.(map[string]any); return m }

// TestSchemaKnowsTheSettings: sidecar.env takes each setting of the sidecar
// but those that the injector decides, and what traces are set by.
func TestSchemaKnowsTheSettings(t *testing.T) {
	var want []string
	for _, v := range config.Variables() {
		if !v.Injector {
			want = append(want, v.Name)
		}
	}
	want = append(want, otlp.PodVariables()...)
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(readSchema(t).Properties["sidecar"].Properties["env"].Properties))
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("the schema takes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestMistakesAreRefused: with a message that names the place.
func TestMistakesAreRefused(t *testing.T) {
	tests := []struct{ values, place, says string }{
		{"injectr: {replicas: 3}", "at ''", "'injectr' not allowed"},
		{"injector: {replica: 3}", "/injector'", "'replica' not allowed"},
		{"injector: {replicas: two}", "/injector/replicas'", "want integer"},
		{"injector: {replicas: 0}", "/injector/replicas'", "minimum"},
		{"injector: {failurePolicy: fail}", "/injector/failurePolicy'", "'Fail', 'Ignore'"},
		{"injector: {timeoutSeconds: 31}", "/injector/timeoutSeconds'", "maximum"},
		{"injector: {certManager: {issuer: x}}", "/injector/certManager'", "'issuer' not allowed"},
		{"injector: {resources: {limit: {}}}", "/injector/resources'", "'limit' not allowed"},
		{"injector: {resources: {limits: {memory: lots}}}", "/injector/resources/limits/memory'", "pattern"},
		{"image: {digest: latest}", "/image/digest'", "pattern"},
		{"sidecar: {mode: iptables}", "/sidecar/mode'", "'named', 'redirect', 'explicit'"},
		{"sidecar: {secretName: Big_Name}", "/sidecar/secretName'", "pattern"},
		{"sidecar: {env: {WSR_UPSTREAM: 'http://x'}}", "/sidecar/env'", "'WSR_UPSTREAM' not allowed"},
		{"sidecar: {env: {WSR_DRIAN_SECONDS: '5'}}", "/sidecar/env'", "'WSR_DRIAN_SECONDS' not allowed"},
		{"sidecar: {env: {PATH: '/'}}", "/sidecar/env'", "'PATH' not allowed"},
		{"sidecar: {env: {WSR_DRAIN_SECONDS: 5}}", "/sidecar/env/WSR_DRAIN_SECONDS'", "want string"},
		{"secrets: {managed: 'yes'}", "/secrets/managed'", "want boolean"},
		{"nats: {url: 'nats.example'}", "/nats/url'", "pattern"},
		{"nats: {bundled: {replicas: 2}}", "/nats/bundled/replicas'", "1, 3, 5"},
		{"nats: {bundled: {persistence: {size: 5Gi}}}", "/nats/bundled/persistence/size'", "pattern"},
		{"nats: {url: 'nats://n:4222'}", "", "set nats.bundled.enabled=false"},
		{"nats: {bundled: {enabled: false}, url: 'nats://n:4222', existingSecret: x}", "", "one of them"},
		{"nats: {bundled: {enabled: false}, url: 'tls://n:4222', ca: true}", "", "nats.existingSecret"},
		{"policy: {tenantAnnotations: [session-ttl]}", "/policy/tenantAnnotations/0'", "pattern"},
		{"webhook: {clientCA: /etc/ca.crt}", "/webhook/clientCA'", "pattern"},
		{"webhook: {clientNames: [a]}", "", "webhook.clientCA"},
		{"networkPolicy: {sidecars: [{namespace: shop}]}", "/networkPolicy/sidecars/0'", "pods"},
		{"networkPolicy: {natsFrom: {}}", "/networkPolicy/natsFrom'", "want array"},
		{"monitoring: {podMonitor: {interval: often}}", "/monitoring/podMonitor/interval'", "pattern"},
	}
	for _, test := range tests {
		_, errs, err := helm(t, test.values, "template", name, chart, "--namespace", namespace)
		if err == nil || !strings.Contains(errs, test.place) || !strings.Contains(errs, test.says) {
			t.Errorf("%s: %v\n%s\nwant %q, %q", test.values, err, errs, test.place, test.says)
		}
	}
}
