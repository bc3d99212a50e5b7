package cluster

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/k8s"
)

// annotationKeys, on the Secret, says where the rotation of its keys stands. It
// is ours.
const annotationKeys = "wsresilience.io/token-keys"

// rotationVersion is that of the form of annotationKeys. What another one wrote
// is left alone.
const rotationVersion = 1

// maxKeys is how many keys a sidecar takes.
const maxKeys = 16

// Spread is how long every sidecar has to read the keys again. The kubelet
// brings a changed Secret into the pods within a minute and a half, and sidecars
// look at their file every second; the rest is for nodes with trouble.
const Spread = 10 * time.Minute

// Keep is how long a former key still opens. A session waits for its client for
// a day at most (WSR_SESSION_TTL); clients that are there are asked for a token
// under the new key within minutes; and a day is left for whatever is late.
const Keep = 48 * time.Hour

// MinRotation is the shortest Rotation.Every: a key is used for longer than its
// predecessor is kept.
const MinRotation = 72 * time.Hour

// Rotation is how often token keys change. The zero value is never.
type Rotation struct {
	Every time.Duration // at least MinRotation
}

// A stage of a rotation. Each lasts until all sidecars have read the keys, or
// the former one is in use no more.
type stage string

const (
	// steady: one key seals and opens, or an operator's list. Every after it was
	// promoted a new one is announced.
	steady stage = "steady"

	// announced: the new key is in second place, so that every sidecar can open
	// what others seal with it. After Spread it is promoted.
	announced stage = "announced"

	// promoted: the new key seals, the former ones open, and are dropped after
	// Keep.
	promoted stage = "promoted"
)

// keyState is the JSON in annotationKeys. The zero value is of a Secret that has
// none.
type keyState struct {
	Version int       `json:"version"`
	Stage   stage     `json:"stage"`
	Since   time.Time `json:"since"`  // of the stage; in steady, of the key
	Digest  string    `json:"digest"` // of the list: another one is an operator's
}

// rotate returns the list of keys and the state that follow from those that are
// there, and whether anything changed. fresh makes a key.
func (r Rotation) rotate(now time.Time, keys []string, s keyState, fresh func() string) (next []string, after keyState, changed bool) {
	if r.Every <= 0 || s.Version > rotationVersion || len(keys) == 0 {
		return keys, s, false
	}
	set := func(list []string, to stage, since time.Time) ([]string, keyState, bool) {
		return list, keyState{Version: rotationVersion, Stage: to, Since: since.UTC().Truncate(time.Second), Digest: digest(list)}, true
	}
	age := now.Sub(s.Since)
	switch {
	case s.Version == 0 || s.Digest != digest(keys):
		// Not ours to judge how old it is, nor to interfere with.
		return set(keys, steady, now)
	case s.Stage == steady && age >= r.Every && len(keys) < maxKeys:
		return set(slices.Insert(slices.Clone(keys), 1, fresh()), announced, now)
	case s.Stage == announced && age >= Spread && len(keys) >= 2:
		return set(slices.Concat([]string{keys[1], keys[0]}, keys[2:]), promoted, now)
	case s.Stage == promoted && age >= Keep:
		return set(keys[:1:1], steady, s.Since)
	}
	return keys, s, false
}

// rotateKeys does in the Secret what is due, and reports whether that was
// anything.
func (r Rotation) rotateKeys(now time.Time, secret *corev1.Secret) bool {
	s := readKeyState(secret.Annotations[annotationKeys])
	keys := splitKeys(string(secret.Data[k8s.SecretTokenKeys]))
	next, s, changed := r.rotate(now, keys, s, freshKey)
	if !changed {
		return false
	}
	text, err := json.Marshal(s)
	if err != nil {
		return false // it has a JSON form
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[annotationKeys] = string(text)
	if !slices.Equal(next, keys) {
		secret.Data[k8s.SecretTokenKeys] = []byte(strings.Join(next, ","))
	}
	return true
}

// readKeyState reads the annotation. Of a newer form only the version is read,
// and what cannot be read counts as none: the rotation then begins anew.
func readKeyState(text string) (s keyState) {
	var form struct {
		Version int `json:"version"`
	}
	if json.Unmarshal([]byte(text), &form) != nil || form.Version > rotationVersion {
		return keyState{Version: form.Version}
	}
	if json.Unmarshal([]byte(text), &s) != nil {
		return keyState{}
	}
	return s
}

// freshKey is a key in the form that sidecars read.
func freshKey() string { return base64.StdEncoding.EncodeToString(keyring.Generate()) }

// splitKeys takes a list apart as the sidecar does: by commas and lines.
func splitKeys(text string) (keys []string) {
	for key := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		keys = append(keys, key)
	}
	return keys
}

// digest recognises a list. Of random keys it tells nothing.
func digest(keys []string) string {
	sum := sha256.Sum256([]byte(strings.Join(keys, ",")))
	return hex.EncodeToString(sum[:8])
}
