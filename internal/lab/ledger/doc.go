// Package ledger is the account that every experiment keeps of its messages,
// and the one judge of what was lost, doubled or reordered. It does no I/O
// except for its files of records, and reads no clock.
//
// A client's messages are numbered from 1 over its whole session. Each app
// socket numbers its own from 1: an app knows nothing of what another one, or
// an earlier socket, has said. Apps write a Record of all that they do; a Book
// puts the records of all app sockets of a session beside what its client sent
// and heard.
package ledger
