// Package manifest puts the sidecar into manifests: streams of YAML or JSON
// of Kubernetes objects. Documents that do not change come out as they went in,
// byte for byte.
package manifest
