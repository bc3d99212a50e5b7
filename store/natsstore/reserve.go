package natsstore

import "cmp"

// LeaseBytes is what the bucket of a journal reserves beside its streams, in
// each copy.
const LeaseBytes = maxLeaseBytes

// Streams is how many streams a journal with so many shards has, its bucket's
// among them; 0: DefaultShards.
func Streams(shards int) int { return cmp.Or(shards, DefaultShards) + 1 }
