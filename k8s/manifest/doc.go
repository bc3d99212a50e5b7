// Package manifest puts the sidecar into manifests: streams of YAML or JSON
// with the objects of Kubernetes. What is not concerned comes out as it went
// in, byte for byte.
package manifest
