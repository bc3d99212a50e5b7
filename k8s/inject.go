package k8s

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
)

// Inject returns pod with the sidecar in it, and a report. It does not change
// the pod that is given, and returns the same one if there is nothing to do.
// defaults are the annotations of its namespace. Whether the label LabelInject
// selects the pod is for the caller to decide, who knows the namespace;
// Disabled on the pod itself is honoured.
//
// An earlier injection is undone first, so that Inject(Inject(pod)) is
// Inject(pod).
//
// The error is an *InvalidError: an annotation or a setting has a value that
// cannot be used.
func Inject(pod *corev1.Pod, defaults map[string]string, s Settings) (*corev1.Pod, Report, error) {
	if pod.Labels[LabelInject] == Disabled {
		return pod, Report{Outcome: Skipped, Reason: "Disabled", Message: "The label " + LabelInject + " of the pod is " + Disabled + "."}, nil
	}
	base, _, err := uninject(pod)
	var newer *newerStatusError
	switch {
	case errors.As(err, &newer) && hasOurs(pod):
		// Two releases of the injector run next to each other, and the API server
		// asks again (reinvocationPolicy): the pod has its sidecar.
		return pod, Report{Outcome: Skipped, Reason: "NewerStatus", Message: "The status annotation: " + newer.Error() + "."}, nil
	case err != nil:
		return pod, Report{}, &InvalidError{Name: AnnotationStatus, Why: err.Error()}
	}
	request := readRequest(base, defaults, s)
	var app appPort
	var refusal *Report
	if request.serves {
		app, refusal = request.findApp(base)
	}
	if refusal == nil {
		refusal = request.unsupported(base)
	}
	c := request.sidecarConfig(s, app.number)
	if len(request.invalid) > 0 {
		return pod, Report{}, joinInvalid(request.invalid)
	}
	if refusal != nil {
		return base, *refusal, nil
	}

	out := base.DeepCopy()
	original := originalFields{Grace: base.Spec.TerminationGracePeriodSeconds}
	report := Report{Outcome: Injected, Agent: request.agent != "", SessionTTL: c.SessionTTL}
	if request.serves {
		report.Mode, report.Port = request.mode, app.number
		original.takeOver(out, app, request.mode)
		report.Warnings = original.extendShutdown(out, int64(c.DrainSeconds), s.Cluster)
	}
	digest := request.addContainers(out, app, s)
	original.letEvict(out)
	original.addPullSecrets(out, s.PullSecrets)
	st := status{Version: firstStatus, Mode: report.Mode, Port: report.Port, Agent: report.Agent, Digest: digest, Undo: original}
	switch {
	case len(original.Pull) > 0:
		st.Version = statusVersion
	case st.Agent || original.Evict != nil:
		st.Version = secondStatus
	}
	if err := setStatus(out, st); err != nil {
		return pod, Report{}, &InvalidError{Name: AnnotationStatus, Why: err.Error()}
	}
	if out.Annotations[AnnotationStatus] == pod.Annotations[AnnotationStatus] {
		// The sidecar is there already. Other webhooks may have added to its
		// container since, such as the defaults of a LimitRange: that stays.
		return pod, report, nil
	}
	return out, report, nil
}
