package admission

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/wsresilience/wsresilience/k8s"
)

// How long calls of the API server may take, together less than the five seconds
// that it waits for our answer.
const (
	readTimeout  = time.Second     // each of annotations and Services
	writeTimeout = 2 * time.Second // the Secret; the Event, when there is no Secret
)

// Reasons and outcomes beside those of package k8s.
const (
	reasonNotAPod     = "NotAPodCreation"
	reasonNamespace   = "ExcludedNamespace"
	reasonObject      = "UnreadablePod"
	reasonNoNamespace = "NoNamespace"
	reasonTerminating = "TerminatingNamespace"
	reasonUnlabelled  = "UnlabelledNamespace"
	reasonNotSelected = "NotSelected"
	reasonInvalid     = "InvalidValue"
	reasonSecret      = "NoSecret"
	reasonInternal    = "Internal"

	denied k8s.Outcome = "denied" // the pod is not admitted
)

// systemNamespaces are those of the cluster itself. The chart's selectors leave
// them out too; this is for a configuration that an operator wrote by hand.
var systemNamespaces = []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}

// System reports whether a namespace is one of the cluster itself.
func System(namespace string) bool { return slices.Contains(systemNamespaces, namespace) }

// respond decides about one request. authenticated says that it came from the
// API server for certain.
func (h *Handler) respond(ctx context.Context, r *request, authenticated bool) *admissionv1.AdmissionResponse {
	v := review{Handler: h, request: r, authenticated: authenticated}
	response := v.decide(ctx)
	response.UID = r.UID
	h.Metrics.pods.WithLabelValues(string(v.report.Outcome), v.report.Reason).Inc()
	level := slog.LevelInfo
	if v.report.Outcome == denied {
		level = slog.LevelWarn
	}
	h.Log.LogAttrs(ctx, level, "pod", slog.String("namespace", r.Namespace), slog.String("pod", v.name()),
		slog.String("outcome", string(v.report.Outcome)), slog.String("reason", v.report.Reason), slog.Bool("dryRun", v.dryRun()))
	return response
}

// review is one request and what is known about it so far.
type review struct {
	*Handler
	request *request
	pod     *corev1.Pod // nil until it is decoded
	report  k8s.Report

	// authenticated says that the request came from the API server, which had
	// the pod's author authorised. Otherwise anybody may have made it up.
	authenticated bool

	// namespace is the pod's, nil if it could not be looked up: nothing is made.
	namespace *corev1.Namespace
}

func (v *review) dryRun() bool { return v.request.DryRun }

// name is that of the pod or, since most have none yet, of its controller. A
// name that Kubernetes would not accept is cut off: it goes to the log.
func (v *review) name() string {
	name := v.anyName()
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "")
}

func (v *review) anyName() string {
	switch {
	case v.pod == nil:
		return v.request.Name
	case v.pod.Name != "":
		return v.pod.Name
	}
	if owner := metav1.GetControllerOfNoCopy(v.pod); owner != nil {
		return owner.Kind + "/" + owner.Name
	}
	return v.pod.GenerateName
}

func (v *review) decide(ctx context.Context) *admissionv1.AdmissionResponse {
	r := v.request
	switch {
	case !r.createsPod():
		return v.skip(reasonNotAPod)
	case r.Namespace == v.Namespace || System(r.Namespace):
		return v.skip(reasonNamespace)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(r.Object, &pod); err != nil {
		return v.deny(http.StatusBadRequest, reasonObject, "the pod cannot be read: "+err.Error())
	}
	if pod.Namespace != "" && pod.Namespace != r.Namespace {
		return v.deny(http.StatusBadRequest, reasonObject, "the pod is of another namespace than its review")
	}
	// Nothing is decided by them, and a patch leaves them alone.
	pod.ManagedFields = nil
	v.pod = &pod
	texts, answer := v.selected(ctx)
	if answer != nil {
		return answer
	}
	settings := v.Settings()
	var defaults map[string]string
	if v.namespace != nil {
		defaults = v.namespace.Annotations
	}
	after, report, err := v.Handler.inject(&pod, defaults, *settings)
	if err != nil {
		return v.invalid(err)
	}
	v.report = report
	texts = append(texts, report.Warnings...)
	switch report.Outcome {
	case k8s.Injected:
		return v.admitInjected(ctx, after, texts)
	case k8s.Refused:
		return v.admitRefused(ctx, texts)
	}
	return v.skip(report.Reason)
}

// skip admits the pod unchanged.
func (v *review) skip(reason string) *admissionv1.AdmissionResponse {
	v.report.Outcome, v.report.Reason = k8s.Skipped, reason
	return &admissionv1.AdmissionResponse{Allowed: true}
}

func (v *review) deny(code int32, reason, message string) *admissionv1.AdmissionResponse {
	v.report.Outcome, v.report.Reason = denied, reason
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: statusReason(code), Message: "wsresilience: " + message,
	}}
}

// statusReason names the codes that deny uses.
func statusReason(code int32) metav1.StatusReason {
	switch code {
	case http.StatusBadRequest:
		return metav1.StatusReasonBadRequest
	case http.StatusForbidden:
		return metav1.StatusReasonForbidden
	case http.StatusUnprocessableEntity:
		return metav1.StatusReasonInvalid
	case http.StatusServiceUnavailable:
		return metav1.StatusReasonServiceUnavailable
	}
	return metav1.StatusReasonInternalError
}

// invalid denies a pod. An InvalidError is its author's to mend, any other error
// a mistake of ours.
func (v *review) invalid(err error) *admissionv1.AdmissionResponse {
	var wrong *k8s.InvalidError
	if errors.As(err, &wrong) {
		return v.deny(http.StatusUnprocessableEntity, reasonInvalid, wrong.Error())
	}
	return v.deny(http.StatusInternalServerError, reasonInternal, err.Error())
}

// admitInjected answers with the patch.
func (v *review) admitInjected(ctx context.Context, after *corev1.Pod, texts []string) *admissionv1.AdmissionResponse {
	patch, err := k8s.Patch(v.pod, after)
	if err != nil {
		return v.deny(http.StatusInternalServerError, reasonInternal, err.Error())
	}
	if denial := v.ensure(ctx); denial != nil {
		return denial
	}
	texts = append(texts, v.bypassing(ctx, after)...)
	response := &admissionv1.AdmissionResponse{Allowed: true, Warnings: warnings(texts)}
	if len(patch) > 0 {
		kind := admissionv1.PatchTypeJSONPatch
		response.PatchType = &kind
		if response.Patch, err = json.Marshal(patch); err != nil {
			return v.deny(http.StatusInternalServerError, reasonInternal, err.Error())
		}
	}
	return response
}

// ensure makes the Secret, or denies the pod: without the Secret it would stay
// in CreateContainerConfigError, which few would notice; a denied one is made
// again by its controller.
func (v *review) ensure(ctx context.Context) *admissionv1.AdmissionResponse {
	if v.dryRun() || v.namespace == nil || v.report.Agent && v.report.Mode == "" { // an agent reads none
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	usable, err := v.Cluster.Ensure(ctx, v.namespace, v.report.SessionTTL)
	if err == nil {
		return nil
	}
	v.clusterFailed("secret", err)
	if usable {
		return nil
	}
	return v.deny(http.StatusServiceUnavailable, reasonSecret,
		"the Secret that the sidecar reads cannot be made: "+err.Error()+"; the pod can be created when that is put right, or without the sidecar by the label "+k8s.LabelInject+"="+k8s.Disabled)
}

// bypassing returns warnings of Services. An error is only counted: the pod
// works without the warnings.
func (v *review) bypassing(ctx context.Context, after *corev1.Pod) []string {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	services, err := v.services.of(ctx, v.request.Namespace, v.Cluster.Services)
	if err != nil {
		v.clusterFailed("services", err)
		return nil
	}
	return k8s.Bypassing(after, services)
}

// admitRefused admits the pod unchanged and says why: by a warning to its
// author, and by an Event, since the author of a controller sees no warning.
func (v *review) admitRefused(ctx context.Context, texts []string) *admissionv1.AdmissionResponse {
	if !v.dryRun() && v.namespace != nil {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		if err := v.Cluster.Warn(ctx, v.regarding(), "InjectionRefused", "Inject", v.report.Message); err != nil {
			v.clusterFailed("event", err)
		}
	}
	texts = append([]string{"wsresilience: the pod runs without the sidecar: " + v.report.Message}, texts...)
	return &admissionv1.AdmissionResponse{Allowed: true, Warnings: warnings(texts)}
}

// regarding is the pod's controller if it has one: the pod does not exist yet,
// and its name may be another one each time.
func (v *review) regarding() corev1.ObjectReference {
	if owner := metav1.GetControllerOfNoCopy(v.pod); owner != nil {
		return corev1.ObjectReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID, Namespace: v.request.Namespace}
	}
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Name: v.name(), Namespace: v.request.Namespace}
}

// clusterFailed counts and logs a call that failed.
func (v *review) clusterFailed(call string, err error) {
	v.Metrics.ClusterError(call)
	v.Log.Warn("call of the API server failed", "call", call, "namespace", v.request.Namespace, "error", err.Error())
}
