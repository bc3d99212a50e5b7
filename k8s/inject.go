package k8s

import corev1 "k8s.io/api/core/v1"

// Inject returns pod with the sidecar in it, and what was done. The pod that is
// given stays as it is; where nothing is to be done the same one comes back.
// defaults are the annotations of its namespace. Whether the pod was meant at
// all (LabelInject) is for the caller, who knows the namespace, but Disabled on
// the pod is honoured.
//
// A pod that was injected before comes out as if it never had been:
// Inject(Inject(pod)) is Inject(pod).
//
// The error is an *InvalidError: somebody wrote something that cannot be meant.
func Inject(pod *corev1.Pod, defaults map[string]string, s Settings) (*corev1.Pod, Report, error) {
	if pod.Labels[LabelInject] == Disabled {
		return pod, Report{Outcome: Skipped, Reason: "Disabled", Message: "The label " + LabelInject + " of the pod is " + Disabled + "."}, nil
	}
	base, _, err := uninject(pod)
	if err != nil {
		return pod, Report{}, &InvalidError{Name: AnnotationStatus, Why: err.Error()}
	}
	w := readWish(base, defaults, s)
	app, refusal := w.findApp(base)
	if refusal == nil {
		refusal = w.refuse(base)
	}
	c := w.judge(s, app.number)
	if len(w.invalid) > 0 {
		return pod, Report{}, joinInvalid(w.invalid)
	}
	if refusal != nil {
		return base, *refusal, nil
	}

	out := base.DeepCopy()
	undo := undoing{Grace: base.Spec.TerminationGracePeriodSeconds}
	report := Report{Outcome: Injected, Mode: w.mode, Port: app.number}
	undo.takeOver(out, app, w.mode)
	report.Warnings = undo.outlive(out, int64(c.DrainSeconds), s.Cluster)
	added := w.add(out, app, s)
	if err := record(out, status{Version: statusVersion, Mode: w.mode, Port: app.number, Digest: added, Undo: undo}); err != nil {
		return pod, Report{}, &InvalidError{Name: AnnotationStatus, Why: err.Error()}
	}
	if out.Annotations[AnnotationStatus] == pod.Annotations[AnnotationStatus] {
		// Others may have added to our container meanwhile, such as defaults
		// of a LimitRange: they stay.
		return pod, report, nil
	}
	return out, report, nil
}
