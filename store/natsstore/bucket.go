package natsstore

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
)

const (
	// leaseBucket holds one key per sidecar.
	leaseBucket = "WSR_LEASE"
	leaseStream = "KV_" + leaseBucket
	leasePrefix = "$KV." + leaseBucket + "."

	// leaseBytes is room for ten thousand sidecars, and what an embedded
	// server has left beside its stream.
	leaseBytes = 4 << 20

	// leaseValue is the largest notice: an owner's address of MaxOwner bytes,
	// each escaped, and the rest of the JSON.
	leaseValue = 2048

	// markerTTL is how long the server keeps the mark of an expired key for
	// those who were not looking; who comes later finds nothing there.
	markerTTL = time.Minute
)

// A notice is what a sidecar says of itself.
type notice struct {
	Owner    string    `json:"owner"`
	Instance string    `json:"instance"` // random: tells two processes of one address apart
	Since    time.Time `json:"since"`    // when the process announced itself first; for people
	Draining bool      `json:"draining,omitempty"`
}

// leaseKey makes a key of an address: of legal characters and one token.
func leaseKey(owner string) string { return base64.RawURLEncoding.EncodeToString([]byte(owner)) }

// leaseOwner is the way back. The decoder steps over line ends, which no key
// has.
func leaseOwner(key string) (string, error) {
	owner, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil || len(owner) == 0 || len(owner) > store.MaxOwner || leaseKey(string(owner)) != key {
		return "", fmt.Errorf("natsstore: lease key of %d bytes: no address", len(key))
	}
	return string(owner), nil
}

// parseNotice reads the value of owner's key.
func parseNotice(owner string, value []byte) (n notice, err error) {
	if len(value) > leaseValue {
		return n, fmt.Errorf("natsstore: lease of %q: %d bytes, at most %d", owner, len(value), leaseValue)
	}
	if err := json.Unmarshal(value, &n); err != nil {
		return n, fmt.Errorf("natsstore: lease of %q: %w", owner, err)
	}
	if n.Owner != owner || n.Instance == "" {
		return n, fmt.Errorf("natsstore: lease of %q: names %q, instance %q", owner, n.Owner, n.Instance)
	}
	return n, nil
}

// openBucket makes the bucket if it is missing, and looks at one that is there
// as ensureStream does.
func (l *log) openBucket(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, done, err := l.denials.call(ctx, l.cfg.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()
	if !l.nc.IsConnected() {
		return nil, unavailable(l.why())
	}
	kv, err := l.js.KeyValue(ctx, leaseBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = l.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:         leaseBucket,
			Description:    "wsresilience: sidecars that live",
			MaxValueSize:   leaseValue,
			History:        1,
			MaxBytes:       leaseBytes,
			Storage:        jetstream.FileStorage,
			Replicas:       l.cfg.Replicas,
			LimitMarkerTTL: markerTTL,
		})
	}
	if errors.Is(err, jetstream.ErrBucketExists) {
		kv, err = l.js.KeyValue(ctx, leaseBucket) // another sidecar was faster
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("bucket %s: %w", leaseBucket, because(ctx, err)))
	}
	stream, err := l.js.Stream(ctx, leaseStream)
	if err != nil {
		return nil, unavailable(fmt.Errorf("bucket %s: %w", leaseBucket, because(ctx, err)))
	}
	return kv, verifyBucket(&stream.CachedInfo().Config, l.cfg.Replicas)
}

// verifyBucket compares what leases rest on.
func verifyBucket(found *jetstream.StreamConfig, replicas int) error {
	var why string
	switch {
	case found.MaxMsgsPerSubject != 1:
		why = fmt.Sprintf("history is %d, wanted 1", found.MaxMsgsPerSubject)
	case !found.AllowMsgTTL || found.SubjectDeleteMarkerTTL <= 0:
		why = "no limit markers: keys never expire"
	case found.Replicas < replicas:
		why = fmt.Sprintf("replicas is %d, wanted at least %d", found.Replicas, replicas)
	default:
		return nil
	}
	return fmt.Errorf("natsstore: bucket %s: %s; delete it, and it is made anew", leaseBucket, why)
}
