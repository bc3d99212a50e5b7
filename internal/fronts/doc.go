// Package fronts holds tests of what docs/PROXIES.md says: the configuration
// that the page shows is taken from it and run, by a real nginx, in front of
// a sidecar. They have the build tag nginx, since everything else needs Go
// alone: `make test-nginx`.
package fronts
