package charts

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields/managedfieldstest"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
)

// bundle is what the injector writes into the webhooks behind Helm's back.
var bundle = []byte("-----BEGIN CERTIFICATE-----\n")

// bundled is c with the caBundle in all its webhooks.
func bundled(c *admissionv1.MutatingWebhookConfiguration) *admissionv1.MutatingWebhookConfiguration {
	c = c.DeepCopy()
	for i := range c.Webhooks {
		c.Webhooks[i].ClientConfig.CABundle = slices.Clone(bundle)
	}
	return c
}

func keptBundle(t *testing.T, c *admissionv1.MutatingWebhookConfiguration, timeout int32) {
	t.Helper()
	if len(c.Webhooks) != 2 {
		t.Errorf("%d webhooks", len(c.Webhooks))
	}
	for _, hook := range c.Webhooks {
		if string(hook.ClientConfig.CABundle) != string(bundle) || *hook.TimeoutSeconds != timeout {
			t.Errorf("%s: bundle %q, timeout %d; want timeout %d", hook.Name, hook.ClientConfig.CABundle, *hook.TimeoutSeconds, timeout)
		}
	}
}

// TestTheTemplateLeavesTheBundleAlone: not even an empty one is there, which
// would be Helm's to keep.
func TestTheTemplateLeavesTheBundleAlone(t *testing.T) {
	eachSet(t, func(t *testing.T, r *release) {
		if strings.Contains(r.text, "caBundle:") {
			t.Error("there is a caBundle")
		}
	})
}

const slower = "injector: {timeoutSeconds: 9}"

// TestUpgradeByThreeWayMerge is how Helm 3 upgrades: from the old manifest and
// the new one, and what is there.
func TestUpgradeByThreeWayMerge(t *testing.T) {
	before, after := webhook(t, decode(t, rendered(t, ""))), webhook(t, decode(t, rendered(t, slower)))
	var text [3][]byte
	for i, c := range []*admissionv1.MutatingWebhookConfiguration{before, after, bundled(before)} {
		var err error
		if text[i], err = json.Marshal(c); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := strategicpatch.NewPatchMetaFromStruct(admissionv1.MutatingWebhookConfiguration{})
	if err != nil {
		t.Fatal(err)
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(text[0], text[1], text[2], schema, true)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := strategicpatch.StrategicMergePatch(text[2], patch, admissionv1.MutatingWebhookConfiguration{})
	if err != nil {
		t.Fatal(err)
	}
	var got admissionv1.MutatingWebhookConfiguration
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	keptBundle(t, &got, 9)
}

// TestUpgradeByServerSideApply is how Helm 4 upgrades: it owns the fields that
// its manifest names, and caBundle is none of them.
func TestUpgradeByServerSideApply(t *testing.T) {
	manager := managedfieldstest.NewTestFieldManager(applyconfigurations.NewTypeConverter(scheme.Scheme),
		admissionv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"))
	apply := func(values string) {
		t.Helper()
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(webhook(t, decode(t, rendered(t, values))))
		if err != nil {
			t.Fatal(err)
		}
		if err := manager.Apply(&unstructured.Unstructured{Object: fields}, "helm", false); err != nil {
			t.Fatalf("helm has a conflict: %v", err)
		}
	}
	live := func() *admissionv1.MutatingWebhookConfiguration {
		t.Helper()
		var c admissionv1.MutatingWebhookConfiguration
		text, err := json.Marshal(manager.Live())
		if err == nil {
			err = json.Unmarshal(text, &c)
		}
		if err != nil {
			t.Fatal(fmt.Errorf("%w:\n%s", err, text))
		}
		return &c
	}
	apply("")
	if err := manager.Update(bundled(live()), "wsresilience-injector"); err != nil {
		t.Fatal(err)
	}
	apply("")
	keptBundle(t, live(), 5)
	apply(slower)
	keptBundle(t, live(), 9)
}
