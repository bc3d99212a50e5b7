// Package k8s puts the sidecar into pods.
//
// It is pure: a pod and the cluster's settings in, a pod and a report out. It
// asks nobody, keeps nothing and reads no clock, so the webhook and the command
// line say the same of the same pod. Talking to a cluster is for the packages
// below this folder.
package k8s
