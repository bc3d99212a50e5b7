package natsstore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
)

// A Layout says which streams a journal has, and how large. Sidecars that share
// a journal have the same one, but for SessionTTL.
type Layout struct {
	Replicas   int           // of each stream; 0: DefaultReplicas
	Shards     int           // streams for records; 0: DefaultShards
	SessionTTL time.Duration // the longest; 0: DefaultSessionTTL; records live RefreshSlack longer
	MaxBytes   int64         // of all streams for records; 0: DefaultMaxBytes
	KeyBytes   int64         // of the bucket of keys; 0: there is none
}

// streams returns the specification of each stream.
func (l *Layout) streams() []jetstream.StreamConfig {
	list := l.journal()
	if l.KeyBytes > 0 {
		list = append(list, l.keys())
	}
	return list
}

// journal returns the specification of each stream of the journal, the bucket of
// leases first: the others may reserve all that the servers have.
func (l *Layout) journal() []jetstream.StreamConfig {
	list := []jetstream.StreamConfig{l.leases()}
	for shard := range l.Shards {
		list = append(list, l.records(shard))
	}
	return list
}

// records is the specification of the stream with records number shard.
func (l *Layout) records(shard int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName(shard),
		Description:       "wsresilience: unacknowledged messages of sessions",
		Subjects:          []string{fmt.Sprint(subjectPrefix, shard, ".*")},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          l.Replicas,
		MaxAge:            l.SessionTTL + store.RefreshSlack,
		MaxMsgsPerSubject: store.Ring,
		MaxMsgs:           -1,
		MaxMsgSize:        -1,
		MaxBytes:          l.MaxBytes / int64(l.Shards),
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicateWindow,
		AllowDirect:       true,
		DenyDelete:        true, // a chain from which a record was taken is an old one
		DenyPurge:         true,
		MaxConsumers:      maxConsumers,
	}
}

// leases is the specification of the bucket's stream, as JetStream's key-value
// clients expect it.
func (l *Layout) leases() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                   leaseStream,
		Description:            "wsresilience: sidecars that live",
		Subjects:               []string{leasePrefix + ">"},
		Retention:              jetstream.LimitsPolicy,
		Storage:                jetstream.FileStorage,
		Replicas:               l.Replicas,
		MaxMsgsPerSubject:      1,
		MaxMsgs:                -1,
		MaxMsgSize:             maxLeaseValue,
		MaxBytes:               maxLeaseBytes,
		Discard:                jetstream.DiscardNew,
		Duplicates:             2 * time.Minute,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowDirect:            true,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: markerTTL,
		MaxConsumers:           -1,
	}
}

// compare returns found with all that the journal cannot rely on as want has
// it, and what that is, in words; "" if nothing.
func compare(want, found *jetstream.StreamConfig) (repaired jetstream.StreamConfig, wrong string) {
	expected := tolerate(want, found)
	repaired = *found
	var list []string
	for i, field := range reflect.VisibleFields(reflect.TypeFor[jetstream.StreamConfig]()) {
		is := reflect.ValueOf(&repaired).Elem().Field(i)
		should := reflect.ValueOf(&expected).Elem().Field(i)
		if reflect.DeepEqual(is.Interface(), should.Interface()) || isEmpty(is) && isEmpty(should) {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		list = append(list, fmt.Sprintf("%s is %s, wanted %s", name, inWords(is), inWords(should)))
		is.Set(should)
	}
	return repaired, strings.Join(list, "; ")
}

// tolerate returns want, with found's values where they do no harm: more than is
// wanted, what is the operator's to choose, and what a server does not take back
// and only concerns who makes use of it.
func tolerate(want, found *jetstream.StreamConfig) jetstream.StreamConfig {
	t := *want
	t.Description, t.Metadata, t.Template = found.Description, found.Metadata, found.Template
	t.Storage, t.Placement, t.Compression = found.Storage, found.Placement, found.Compression
	t.FirstSeq, t.Duplicates, t.MirrorDirect = found.FirstSeq, found.Duplicates, found.MirrorDirect
	t.MaxConsumers, t.ConsumerLimits = found.MaxConsumers, found.ConsumerLimits
	t.AllowAtomicPublish, t.AllowBatchPublish, t.AllowMsgSchedules = found.AllowAtomicPublish, found.AllowBatchPublish, found.AllowMsgSchedules
	t.AllowMsgTTL = t.AllowMsgTTL || found.AllowMsgTTL
	t.Replicas = max(t.Replicas, found.Replicas)
	t.MaxMsgs = atLeast(t.MaxMsgs, found.MaxMsgs)
	t.MaxBytes = atLeast(t.MaxBytes, found.MaxBytes)
	t.MaxMsgSize = atLeast(t.MaxMsgSize, found.MaxMsgSize)
	if t.MaxMsgsPerSubject > 1 { // a ring may be longer, a key has one value
		t.MaxMsgsPerSubject = max(t.MaxMsgsPerSubject, found.MaxMsgsPerSubject)
	}
	if t.MaxAge > 0 {
		t.MaxAge = atLeast(t.MaxAge, found.MaxAge)
	}
	if t.SubjectDeleteMarkerTTL > 0 && found.SubjectDeleteMarkerTTL > 0 {
		t.SubjectDeleteMarkerTTL = found.SubjectDeleteMarkerTTL
	}
	return t
}

// atLeast returns found if it is no lower limit than want. 0 and below are no
// limit.
func atLeast[T int32 | int64 | time.Duration](want, found T) T {
	if found <= 0 || want > 0 && found >= want {
		return found
	}
	return want
}

func isEmpty(v reflect.Value) bool {
	return slices.Contains([]reflect.Kind{reflect.Slice, reflect.Map}, v.Kind()) && v.Len() == 0
}

// inWords returns a field's value for an operator.
func inWords(v reflect.Value) string {
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Pointer {
		if v.IsZero() {
			return "none"
		}
		return "set"
	}
	return fmt.Sprint(v.Interface())
}
