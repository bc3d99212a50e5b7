// Package tenants gives each namespace an account of its own in NATS, so that
// the sidecars of one cannot read, fill or change the journal of another.
//
// NATS servers in operator mode believe what the operator's key has signed. An
// Authority has that key. It makes, without asking anybody, the account of a
// namespace with its quotas, and the credentials of its sidecars; Servers tells
// the NATS servers of the account, and makes the streams in it, which the
// sidecars' user may neither make nor change.
package tenants
