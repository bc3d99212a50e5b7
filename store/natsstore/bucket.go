package natsstore

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/store"
)

const (
	// leaseBucket holds one key per process.
	leaseBucket = "WSR_LEASE"
	leaseStream = "KV_" + leaseBucket
	leasePrefix = "$KV." + leaseBucket + "."

	// maxLeaseBytes has room for ten thousand sidecars, and fits beside the
	// stream of an embedded server.
	maxLeaseBytes = 4 << 20

	// maxLeaseValue is the largest announcement: an owner of MaxOwner bytes,
	// each escaped, and the rest of the JSON.
	maxLeaseValue = 2048

	// markerTTL is how long the server keeps the delete marker of an expired
	// key, for watches that were interrupted.
	markerTTL = time.Minute
)

// leaseVersion is that of announcements. What one has in this version stays in
// later ones, so that a reader takes from a newer one what it knows.
const leaseVersion = 1

// An announcement is the value of a lease: what a sidecar says of itself.
type announcement struct {
	Version  uint8     `json:"version"`
	Owner    string    `json:"owner"`
	Since    time.Time `json:"since"` // when the process announced itself first; for operators
	Draining bool      `json:"draining,omitempty"`
	Released bool      `json:"released,omitempty"` // the owner is gone
	At       int64     `json:"at,omitempty"`       // unix ms when it was written, later each time

	// Reads is what the process reads, by format (docs/COMPATIBILITY.md).
	Reads map[string]formats.Range `json:"reads,omitempty"`
}

// leaseKey encodes an owner as a key: legal characters only, one token.
func leaseKey(owner string) string { return base64.RawURLEncoding.EncodeToString([]byte(owner)) }

// leaseOwner decodes a key. It encodes the result again since the decoder
// ignores line ends, which no key has.
func leaseOwner(key string) (string, error) {
	owner, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil || len(owner) == 0 || len(owner) > store.MaxOwner || leaseKey(string(owner)) != key {
		return "", fmt.Errorf("natsstore: lease key of %d bytes: no owner", len(key))
	}
	return string(owner), nil
}

// leaseAAD keeps the proof of a lease from passing for anything else that is
// sealed with the same keys.
const leaseAAD = "wsr lease"

// errForeignLease is a value that no sidecar with our keys wrote for its key.
var errForeignLease = errors.New("natsstore: lease that no sidecar with our keys wrote")

// sealLease returns an announcement as it is stored: what it says in the clear,
// for operators, and behind a line end the proof that a sidecar with our keys
// says it of that owner. Without it whoever may write to the bucket could declare
// an owner gone that lives.
func sealLease(ring *keyring.Ring, a *announcement) []byte {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // a struct of strings
	}
	proof := ring.Seal(nil, nil, leaseData(a.Owner, text))
	return base64.RawStdEncoding.AppendEncode(append(text, '\n'), proof)
}

// openLease returns what sealLease was given, or errForeignLease.
func openLease(ring *keyring.Ring, owner string, value []byte) (text []byte, err error) {
	if len(value) > maxLeaseValue {
		return nil, errForeignLease
	}
	text, proof, _ := bytes.Cut(value, []byte{'\n'})
	sealed, err := base64.RawStdEncoding.AppendDecode(nil, proof)
	if err == nil {
		_, err = ring.Open(nil, sealed, leaseData(owner, text))
	}
	if err != nil {
		return nil, errForeignLease
	}
	return text, nil
}

func leaseData(owner string, text []byte) []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s", leaseAAD, leaseKey(owner), text)
}

// parseAnnouncement reads the value of owner's key.
func parseAnnouncement(owner string, value []byte) (a announcement, err error) {
	if len(value) > maxLeaseValue {
		return a, fmt.Errorf("natsstore: lease of %q: %d bytes, at most %d", owner, len(value), maxLeaseValue)
	}
	if err := json.Unmarshal(value, &a); err != nil {
		return a, fmt.Errorf("natsstore: lease of %q: %w", owner, err)
	}
	if a.Owner != owner || a.Version < 1 {
		return a, fmt.Errorf("natsstore: lease of %q: names %q, version %d", owner, a.Owner, a.Version)
	}
	return a, nil
}

// openBucket makes the bucket if it is missing. One that is wrong is used all the
// same: who lives is judged by renewals.
func (b *backend) openBucket(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, done, err := b.denials.call(ctx, b.cfg.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()
	if !b.nc.IsConnected() {
		return nil, unavailable(b.disconnectReason())
	}
	want := b.keeper.layout.leases()
	err = b.keeper.keep(ctx, &want)
	var wrong *wrongStreamError
	if err != nil && !errors.As(err, &wrong) {
		return nil, err
	}
	kv, err := b.js.KeyValue(ctx, leaseBucket)
	if err != nil {
		return nil, unavailable(fmt.Errorf("bucket %s: %w", leaseBucket, cause(ctx, err)))
	}
	return kv, nil
}
