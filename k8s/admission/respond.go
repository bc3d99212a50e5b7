package admission

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/wsresilience/wsresilience/k8s"
)

// What the cluster gets to answer, together less than the five seconds that the
// API server waits for us.
const (
	readTimeout  = time.Second     // each of annotations and Services
	writeTimeout = 2 * time.Second // the Secret; the Event, when there is no Secret
)

// Reasons of outcomes that are not package k8s's.
const (
	reasonNotAPod   = "NotAPodCreation"
	reasonNamespace = "ExcludedNamespace"
	reasonObject    = "UnreadablePod"
	reasonInvalid   = "InvalidValue"
	reasonSecret    = "NoSecret"
	reasonInternal  = "Internal"

	denied k8s.Outcome = "denied" // the pod is not admitted
)

// systemNamespaces are those of the cluster itself. The chart's selectors leave
// them out as well; this is for who wrote other ones.
var systemNamespaces = []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}

// respond decides about one request.
func (h *Handler) respond(ctx context.Context, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	c := consideration{Handler: h, request: r}
	response := c.decide(ctx)
	response.UID = r.UID
	h.Metrics.pods.WithLabelValues(string(c.report.Outcome), c.report.Reason).Inc()
	level := slog.LevelInfo
	if c.report.Outcome == denied {
		level = slog.LevelWarn
	}
	h.Log.LogAttrs(ctx, level, "pod", slog.String("namespace", r.Namespace), slog.String("pod", c.name()),
		slog.String("outcome", string(c.report.Outcome)), slog.String("reason", c.report.Reason), slog.Bool("dryRun", c.dryRun()))
	return response
}

// consideration is of one request.
type consideration struct {
	*Handler
	request *admissionv1.AdmissionRequest
	pod     *corev1.Pod // nil as long as it is not read
	report  k8s.Report
}

func (c *consideration) dryRun() bool { return c.request.DryRun != nil && *c.request.DryRun }

// name is of the pod, or of what it is made by: most pods have none yet.
func (c *consideration) name() string {
	switch {
	case c.pod == nil:
		return c.request.Name
	case c.pod.Name != "":
		return c.pod.Name
	}
	if owner := metav1.GetControllerOfNoCopy(c.pod); owner != nil {
		return owner.Kind + "/" + owner.Name
	}
	return c.pod.GenerateName
}

func (c *consideration) decide(ctx context.Context) *admissionv1.AdmissionResponse {
	r := c.request
	switch {
	case r.Operation != admissionv1.Create, r.SubResource != "", r.Kind != metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		len(r.Object.Raw) == 0, string(r.Object.Raw) == "null":
		return c.leave(reasonNotAPod)
	case r.Namespace == c.Namespace || slices.Contains(systemNamespaces, r.Namespace):
		return c.leave(reasonNamespace)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(r.Object.Raw, &pod); err != nil {
		return c.deny(http.StatusBadRequest, reasonObject, "the pod cannot be read: "+err.Error())
	}
	c.pod = &pod
	defaults, warning := c.defaults(ctx)
	settings := c.Settings()
	after, report, err := c.injection(&pod, defaults, *settings)
	if err != nil {
		return c.invalid(err)
	}
	c.report = report
	texts := report.Warnings
	if warning != "" {
		texts = append([]string{warning}, texts...)
	}
	switch report.Outcome {
	case k8s.Injected:
		return c.inject(ctx, after, texts)
	case k8s.Refused:
		return c.refuse(ctx, texts)
	}
	return c.leave(report.Reason)
}

// leave admits the pod as it is.
func (c *consideration) leave(reason string) *admissionv1.AdmissionResponse {
	c.report.Outcome, c.report.Reason = k8s.Skipped, reason
	return &admissionv1.AdmissionResponse{Allowed: true}
}

func (c *consideration) deny(code int32, reason, message string) *admissionv1.AdmissionResponse {
	c.report.Outcome, c.report.Reason = denied, reason
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: statusReason(code), Message: "wsresilience: " + message,
	}}
}

// statusReason names the codes that deny uses.
func statusReason(code int32) metav1.StatusReason {
	switch code {
	case http.StatusBadRequest:
		return metav1.StatusReasonBadRequest
	case http.StatusUnprocessableEntity:
		return metav1.StatusReasonInvalid
	case http.StatusServiceUnavailable:
		return metav1.StatusReasonServiceUnavailable
	}
	return metav1.StatusReasonInternalError
}

// invalid: whoever wrote the value hears of it; any other error is our fault.
func (c *consideration) invalid(err error) *admissionv1.AdmissionResponse {
	var wrong *k8s.InvalidError
	if errors.As(err, &wrong) {
		return c.deny(http.StatusUnprocessableEntity, reasonInvalid, wrong.Error())
	}
	return c.deny(http.StatusInternalServerError, reasonInternal, err.Error())
}

// defaults are the namespace's. Without them the pod is still injected: most
// namespaces have none, and the author is told.
func (c *consideration) defaults(ctx context.Context) (annotations map[string]string, warning string) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	annotations, err := c.Cluster.Annotations(ctx, c.request.Namespace)
	if err != nil {
		c.failed("annotations", err)
		return nil, "wsresilience: the annotations of the namespace could not be read in time; only the pod's own were used"
	}
	return annotations, ""
}

// inject answers with what is to be changed.
func (c *consideration) inject(ctx context.Context, after *corev1.Pod, texts []string) *admissionv1.AdmissionResponse {
	patch, err := k8s.Patch(c.pod, after)
	if err != nil {
		return c.deny(http.StatusInternalServerError, reasonInternal, err.Error())
	}
	if denial := c.ensure(ctx); denial != nil {
		return denial
	}
	texts = append(texts, c.bypassing(ctx, after)...)
	response := &admissionv1.AdmissionResponse{Allowed: true, Warnings: warnings(texts)}
	if len(patch) > 0 {
		kind := admissionv1.PatchTypeJSONPatch
		response.PatchType = &kind
		if response.Patch, err = json.Marshal(patch); err != nil {
			return c.deny(http.StatusInternalServerError, reasonInternal, err.Error())
		}
	}
	return response
}

// ensure sees to the Secret. A pod without it would hang unseen in
// CreateContainerConfigError, so it is denied, and its controller tries again.
func (c *consideration) ensure(ctx context.Context) *admissionv1.AdmissionResponse {
	if c.dryRun() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	there, err := c.Cluster.Ensure(ctx, c.request.Namespace)
	if err == nil {
		return nil
	}
	c.failed("secret", err)
	if there {
		return nil
	}
	return c.deny(http.StatusServiceUnavailable, reasonSecret,
		"the Secret that the sidecar reads cannot be made: "+err.Error()+"; the pod can be created when that is put right, or without the sidecar by the label "+k8s.LabelInject+"="+k8s.Disabled)
}

// bypassing warns of Services. It is a courtesy: an error only counts.
func (c *consideration) bypassing(ctx context.Context, after *corev1.Pod) []string {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	services, err := c.Cluster.Services(ctx, c.request.Namespace)
	if err != nil {
		c.failed("services", err)
		return nil
	}
	return k8s.Bypassing(after, services)
}

// refuse admits the pod as it is, and tells why: a bare pod's author by a
// warning, everybody else by an Event.
func (c *consideration) refuse(ctx context.Context, texts []string) *admissionv1.AdmissionResponse {
	if !c.dryRun() {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		if err := c.Cluster.Warn(ctx, c.regarding(), "InjectionRefused", "Inject", c.report.Message); err != nil {
			c.failed("event", err)
		}
	}
	texts = append([]string{"wsresilience: the pod runs without the sidecar: " + c.report.Message}, texts...)
	return &admissionv1.AdmissionResponse{Allowed: true, Warnings: warnings(texts)}
}

// regarding is the pod's controller where it has one, since the pod itself is
// not there yet and may be called otherwise each time.
func (c *consideration) regarding() corev1.ObjectReference {
	if owner := metav1.GetControllerOfNoCopy(c.pod); owner != nil {
		return corev1.ObjectReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID, Namespace: c.request.Namespace}
	}
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Name: c.name(), Namespace: c.request.Namespace}
}

// failed counts what the cluster did not answer.
func (c *consideration) failed(call string, err error) {
	c.Metrics.ClusterError(call)
	c.Log.Warn("the cluster did not answer", "call", call, "namespace", c.request.Namespace, "error", err.Error())
}
