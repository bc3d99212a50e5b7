// Package sim runs whole fleets (clients, sidecars, a journal, apps, and the
// networks between them) as one deterministic program: one seed makes one history.
// What decides is the real code: session.Session, package client's machine,
// admission's policy, store.SealedStore and its chains, drain, redial and heartbeat.
// What moves bytes is modelled here: sockets, processes that pause and die, a
// journal with every answer that a cluster gives, and apps.
//
// Time is virtual, and nothing runs at the same time as anything else: an event is
// taken from a queue and runs to its end. What has to wait in the middle, such as an
// append, is a task, which is a coroutine.
//
// A history is a Plan: what goes wrong, and when. Run plays one and returns the
// promise that was broken, if any; Shrink makes the plan of one that fails small. The
// parts of a fleet are not safe for concurrent use, but fleets share nothing.
package sim
