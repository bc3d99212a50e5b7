package event

import (
	"errors"
	"iter"

	"github.com/wsresilience/wsresilience/store"
)

// A Label is a value that an event and a metric have in common. Each type of
// labels counts from 0 or 1 without a gap, and its names stand beside it.
type Label interface {
	~uint8
	String() string
}

// names are the names of a type's values.
type names []string

func (n names) of(i uint8) string {
	if int(i) < len(n) && n[i] != "" {
		return n[i]
	}
	return "unknown"
}

// Values yields all values of a type of labels: those that have a name.
func Values[T Label]() iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := range 256 {
			switch v := T(i); {
			case v.String() != T(255).String():
				if !yield(v) {
					return
				}
			case i > 0:
				return
			}
		}
	}
}

// A ClientKind is whether a client speaks wsr.v1.
type ClientKind uint8

const (
	Plain ClientKind = iota
	Resilient
)

var clientNames = names{"plain", "resilient"}

func (k ClientKind) String() string { return clientNames.of(uint8(k)) }

// A Refusal is why a request got no further.
type Refusal uint8

const (
	RefusedBody            Refusal = 1 + iota // a body that is framed badly, or where none may be
	RefusedConnect                            // CONNECT
	RefusedDescriptors                        // no descriptors for another client
	RefusedDraining                           // this sidecar is about to stop
	RefusedEarly                              // bytes before the answer to the upgrade
	RefusedExpect                             // an upgrade with Expect
	RefusedFields                             // too many header fields
	RefusedHandshakes                         // too many under way
	RefusedHost                               // no Host
	RefusedJournal                            // no journal, and WSR_STORE_POLICY=strict
	RefusedKey                                // Sec-WebSocket-Key
	RefusedMemory                             // no memory for another session
	RefusedMethod                             // an upgrade that is no GET
	RefusedMisdirected                        // another sidecar's client whose session is not here
	RefusedOffer                              // the wsr entries of Sec-WebSocket-Protocol
	RefusedOrigin                             // more than one Origin
	RefusedProof                              // a peer without a valid proof
	RefusedProto                              // an upgrade by another version of HTTP than 1.1
	RefusedProtocols                          // Sec-WebSocket-Protocol
	RefusedResume                             // the app does not allow a plain client's resume
	RefusedSessions                           // too many, in all or of this client
	RefusedTarget                             // a request target that is no path
	RefusedUpstream                           // the app cannot be reached
	RefusedUpstreamTimeout                    // the app did not answer in time
	RefusedVersion                            // Sec-WebSocket-Version
)

var refusalNames = names{
	RefusedBody: "body", RefusedConnect: "connect", RefusedDescriptors: "descriptors", RefusedDraining: "draining", RefusedEarly: "early", RefusedExpect: "expect",
	RefusedFields: "fields", RefusedHandshakes: "handshakes", RefusedHost: "host", RefusedJournal: "journal", RefusedKey: "key", RefusedMemory: "memory",
	RefusedMethod: "method", RefusedMisdirected: "misdirected", RefusedOffer: "offer", RefusedOrigin: "origin",
	RefusedProof: "proof", RefusedProto: "proto", RefusedProtocols: "protocols", RefusedResume: "resume",
	RefusedSessions: "sessions", RefusedTarget: "target", RefusedUpstream: "upstream", RefusedUpstreamTimeout: "upstream_timeout", RefusedVersion: "version",
}

func (r Refusal) String() string { return refusalNames.of(uint8(r)) }

// A DetachCause is why a resilient session lost its connection.
type DetachCause uint8

const (
	DetachedClient       DetachCause = iota // the client sent a close frame
	DetachedClosed                          // the session was closed
	DetachedGone                            // the connection broke
	DetachedHeartbeat                       // no answer to heartbeats
	DetachedInternal                        // the session ended for want of memory, or of time
	DetachedProtocol                        // the client violated the protocol
	DetachedShutdown                        // this sidecar stops
	DetachedSuperseded                      // a newer connection came
	DetachedUnauthorized                    // the app refuses the client, and it did not come with a new handshake
)

var detachNames = names{
	DetachedClient: "client", DetachedClosed: "closed", DetachedGone: "gone", DetachedHeartbeat: "heartbeat",
	DetachedInternal: "internal", DetachedProtocol: "protocol", DetachedShutdown: "shutdown", DetachedSuperseded: "superseded",
	DetachedUnauthorized: "unauthorised",
}

func (c DetachCause) String() string { return detachNames.of(uint8(c)) }

// A ResumeOutcome is how a resume ended.
type ResumeOutcome uint8

const (
	ResumeResumed ResumeOutcome = iota // at this sidecar, which had the session
	ResumeAdopted                      // with a session from the journal
	ResumeReset                        // the client does not have it back
)

var resumeNames = names{"resumed", "adopted", "reset"}

func (o ResumeOutcome) String() string { return resumeNames.of(uint8(o)) }

// A ForwardOutcome is what came of passing a client on to the owner of its
// session.
type ForwardOutcome uint8

const (
	ForwardServed      ForwardOutcome = iota // the client has the owner's answer, or is gone
	ForwardNotOwner                          // the owner does not have the session
	ForwardRefused                           // no process listens there
	ForwardUnreachable                       // no answer in time, no route, no TLS, or no sidecar
)

var forwardNames = names{"served", "not_owner", "refused", "unreachable"}

func (o ForwardOutcome) String() string { return forwardNames.of(uint8(o)) }

// An AppAnswer is what came of asking the app for something.
type AppAnswer uint8

const (
	AppOK AppAnswer = iota
	AppRefused
	AppFailed
)

var answerNames = names{"ok", "refused", "failed"}

func (a AppAnswer) String() string { return answerNames.of(uint8(a)) }

// A HandOverCause is why a session was given up for another owner just then.
type HandOverCause uint8

const (
	HandOverMoved    HandOverCause = iota // its client came by another sidecar
	HandOverDetached                      // it had no client
	HandOverDeadline                      // the time of the drain was up
)

var handOverNames = names{"moved", "detached", "deadline"}

func (c HandOverCause) String() string { return handOverNames.of(uint8(c)) }

// A RestartOutcome is whether the app was back in time, or had not gone.
type RestartOutcome uint8

const (
	RestartOK RestartOutcome = iota
	RestartGaveUp
	RestartClosed // it lives, and has ended this one socket
)

var restartNames = names{"ok", "gave_up", "closed"}

func (o RestartOutcome) String() string { return restartNames.of(uint8(o)) }

// A StreamOutcome is what became of a stream that was not as it has to be.
type StreamOutcome uint8

const (
	StreamRepaired StreamOutcome = iota
	StreamMade                   // it was missing
	StreamWrong                  // it stays so until an operator acts
)

var streamNames = names{"repaired", "made", "wrong"}

func (o StreamOutcome) String() string { return streamNames.of(uint8(o)) }

// An OwnershipOutcome is whether a session was still ours.
type OwnershipOutcome uint8

const (
	OwnershipConfirmed OwnershipOutcome = iota
	OwnershipFenced
)

var ownershipNames = names{"confirmed", "fenced"}

func (o OwnershipOutcome) String() string { return ownershipNames.of(uint8(o)) }

// A Resource is what a system gives out only so much of.
type Resource uint8

const (
	ResourceDescriptors Resource = iota // of files and sockets
	ResourcePorts                       // local ports towards the app
)

var resourceNames = names{"descriptors", "ports"}

func (r Resource) String() string { return resourceNames.of(uint8(r)) }

// An AppendResult is what came of an append to the journal.
type AppendResult uint8

const (
	AppendOK AppendResult = iota
	AppendBusy
	AppendCorrupt
	AppendEnded
	AppendFenced
	AppendFull
	AppendLost
	AppendTooLarge
	AppendUnavailable
	AppendOther
)

var appendNames = names{"ok", "busy", "corrupt", "ended", "fenced", "full", "lost", "too_large", "unavailable", "other"}

func (r AppendResult) String() string { return appendNames.of(uint8(r)) }

// ResultOf is the result that an append's error stands for. The order counts:
// an error may wrap several.
func ResultOf(err error) AppendResult {
	switch {
	case err == nil:
		return AppendOK
	case errors.Is(err, store.ErrBusy):
		return AppendBusy
	case errors.Is(err, store.ErrFenced):
		return AppendFenced
	case errors.Is(err, store.ErrEnded):
		return AppendEnded
	case errors.Is(err, store.ErrLost):
		return AppendLost
	case errors.Is(err, store.ErrFull):
		return AppendFull
	case errors.Is(err, store.ErrTooLarge):
		return AppendTooLarge
	case errors.Is(err, store.ErrCorrupt):
		return AppendCorrupt
	case errors.Is(err, store.ErrUnavailable):
		return AppendUnavailable
	}
	return AppendOther
}
