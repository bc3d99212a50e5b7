package admission

import (
	"fmt"
	"strings"
	"unicode"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

// Limits of an answer.
const (
	maxUID = 256 // bytes; an API server's have 36

	// An API server cuts warnings at 4 KiB altogether.
	maxWarnings = 12
	maxWarning  = 256 // bytes
)

const reviewKind = "AdmissionReview"

// decode returns the request of a review.
func decode(body []byte) (*admissionv1.AdmissionRequest, error) {
	var r admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &r); err != nil {
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
