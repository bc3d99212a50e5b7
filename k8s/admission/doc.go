// Package admission answers the API server's question about each pod: the HTTP
// handler of the mutating webhook. What to do with a pod is decided by package
// k8s; what is needed of the cluster comes through an interface.
package admission
