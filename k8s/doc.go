// Package k8s puts the sidecar into pods.
//
// It is pure: a pod and the cluster's settings in, a pod and a report out. It
// does no I/O, keeps no state and reads no clock, so the webhook and the command
// line do the same with the same pod. Talking to a cluster is for the packages
// below this folder.
package k8s
