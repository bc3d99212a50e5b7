package admission

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

func TestA04Reviews(t *testing.T) {
	long := newRequest("web")
	long.UID = "0123456789abcdef"
	for len(long.UID) < 64<<10 {
		long.UID += long.UID
	}
	good := string(body(t, newRequest("web")))
	noUID := newRequest("web")
	noUID.UID = ""
	for name, text := range map[string]string{
		"no request":      `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		"no uid":          string(body(t, noUID)),
		"uid of 64 KiB":   string(body(t, long)),
		"v1beta1":         strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1),
		"unknown version": strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v9", 1),
		"another kind":    strings.Replace(good, `"AdmissionReview"`, `"Pod"`, 1),
		"null":            `null`, "a list": `[]`, "request of another type": `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":7}`,
	} {
		if w := post(newTestHandler(&fakeCluster{}), []byte(text)); w.Code != http.StatusBadRequest || w.Body.Len() > 500 {
			t.Errorf("%s: %d, %.600s", name, w.Code, w.Body)
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = strings.Repeat("é", 1000)
	}
	total := 0
	for _, w := range warnings(texts) {
		total += len(w)
		if strings.Trim(w, "é") != "" {
			t.Errorf("cut within a letter: %q", w)
		}
	}
	if total == 0 || total > 4096 {
		t.Errorf("%d bytes", total)
	}
}

// FuzzDecode: whatever is sent, the answer is an error, or for this uid.
func FuzzDecode(f *testing.F) {
	f.Add(body(f, newRequest("web")))
	f.Add(body(f, newRequest("refused")))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"x","operation":"CREATE","kind":{"version":"v1","kind":"Pod"},"object":{"spec":{"containers":[null]}}}}`))
	h := newTestHandler(&fakeCluster{})
	f.Fuzz(func(t *testing.T, content []byte) {
		w := post(h, content)
		if w.Code == http.StatusBadRequest {
			return
		}
		request, err := decode(content)
		if err != nil {
			t.Fatalf("%d: %v", w.Code, err)
		}
		var got admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Response == nil || got.Response.UID != request.UID {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		if got.Response != nil && !got.Response.Allowed && (got.Response.Patch != nil || got.Response.Result == nil) {
			t.Errorf("%+v", got.Response)
		}
	})
}
