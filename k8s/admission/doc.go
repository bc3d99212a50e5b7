// Package admission is the HTTP handler of the mutating webhook: it answers the
// API server's AdmissionReviews of pods. Package k8s decides what to do with a
// pod; the cluster is behind an interface.
package admission
