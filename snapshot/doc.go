// Package snapshot keeps what a fresh app socket must hear to be useful: the
// login and the subscriptions of the client whose old socket is gone
// (docs/SNAPSHOT.md). It also keeps an app content while its client is away, by
// answering the pings of the app's own protocol.
//
// What matters is said by rules, which an operator writes for a protocol of
// his own, or by a preset, which knows a common one. Each preset is a package
// of its own below this one; snapshot/presets is their table. Here are the
// rules, the tracker that follows a session, and its saved form.
//
// The package is pure: no I/O, no goroutine, no lock, no clock. Messages are
// handed in with the time, and what the app must hear is taken out.
package snapshot
