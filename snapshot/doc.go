// Package snapshot knows what a fresh app socket must hear to be useful: the
// login and the subscriptions of the client whose old socket is gone (DESIGN
// §5). It also keeps an app content while its client is away, by
// answering the pings of the app's own protocol.
//
// What matters is told by rules, which an operator writes for a protocol of
// his own, or by a preset, which knows a common one. docs/SNAPSHOT.md has both.
//
// The package is pure: no I/O, no goroutine, no lock, no clock. Messages are
// handed in with the time, and what the app must hear is taken out.
package snapshot
