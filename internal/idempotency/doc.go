// Package idempotency decides what becomes of a message that has a key, so that
// it acts once: it is claimed before the app gets it, and done afterwards, in a
// store that all sidecars share. The rules say which messages have a key; the
// store and the sockets are others' (docs/DEVICES.md).
package idempotency
