package admission

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Limits of an answer.
const (
	maxUID  = 256 // bytes; an API server's have 36
	maxName = 253 // bytes of a name that is logged; Kubernetes allows no more

	// An API server cuts warnings at 4 KiB altogether.
	maxWarnings = 12
	maxWarning  = 256 // bytes
)

const reviewKind = "AdmissionReview"

// request is what is used of an AdmissionRequest. All else, the former object
// and the author among it, is not decoded.
type request struct {
	UID         types.UID                   `json:"uid"`
	Kind        metav1.GroupVersionKind     `json:"kind"`
	Resource    metav1.GroupVersionResource `json:"resource"`
	SubResource string                      `json:"subResource"`
	Name        string                      `json:"name"`
	Namespace   string                      `json:"namespace"`
	Operation   admissionv1.Operation       `json:"operation"`
	DryRun      bool                        `json:"dryRun"`
	Object      json.RawMessage             `json:"object"`
}

// createsPod reports whether the request is what the webhook's rules ask for:
// the creation of a pod in a namespace.
func (r *request) createsPod() bool {
	return r.Operation == admissionv1.Create && r.SubResource == "" && r.Namespace != "" &&
		r.Kind == metav1.GroupVersionKind{Version: "v1", Kind: "Pod"} &&
		r.Resource == metav1.GroupVersionResource{Version: "v1", Resource: "pods"} &&
		len(r.Object) > 0 && string(r.Object) != "null"
}

// decode returns the request of a review.
func decode(body []byte) (*request, error) {
	var r struct {
		metav1.TypeMeta
		Request *request `json:"request"`
	}
	if err := kjson.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("the body is no AdmissionReview: %w", err)
	}
	switch {
	case r.APIVersion != admissionv1.SchemeGroupVersion.String() || r.Kind != reviewKind:
		return nil, fmt.Errorf("the body is %.64q of %.64q; only AdmissionReview of %q is answered",
			r.Kind, r.APIVersion, admissionv1.SchemeGroupVersion)
	case r.Request == nil:
		return nil, fmt.Errorf("the review has no request")
	case r.Request.UID == "" || len(r.Request.UID) > maxUID:
		return nil, fmt.Errorf("the request's uid has %d bytes; 1 to %d are allowed", len(r.Request.UID), maxUID)
	case r.Request.Namespace != "" && len(validation.IsDNS1123Label(r.Request.Namespace)) > 0:
		// It becomes part of paths at the API server.
		return nil, fmt.Errorf("%.64q is no name of a namespace", r.Request.Namespace)
	}
	return r.Request, nil
}

// newReview wraps a response.
func newReview(response *admissionv1.AdmissionResponse) *admissionv1.AdmissionReview {
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: reviewKind},
		Response: response,
	}
}

// warnings makes texts fit for the HTTP header that takes them to the user.
func warnings(texts []string) []string {
	var out []string
	for _, text := range texts[:min(len(texts), maxWarnings)] {
		text = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, text)
		out = append(out, strings.ToValidUTF8(text[:min(len(text), maxWarning)], ""))
	}
	return out
}
