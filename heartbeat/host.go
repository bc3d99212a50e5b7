package heartbeat

import "time"

// How often in a row a peer's TCP does not answer when its host is not there any
// more, and how long that lasts.
const (
	hostGoneUnanswered = 3
	hostGoneAfter      = time.Minute
)

// HostGone reports whether a peer's host is not there any more, by how many
// retransmissions and probes in a row its TCP has not answered, and for how long it
// has said nothing. A program that does not read leaves its TCP answering.
func HostGone(unanswered int, quiet time.Duration) bool {
	return unanswered >= hostGoneUnanswered && quiet >= hostGoneAfter
}
