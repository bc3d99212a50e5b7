// Package certs keeps the certificate that the API server finds at the webhook:
// an authority and a certificate of our own, kept in a Secret and made anew in
// time, or files that somebody else renews.
//
// What is to be done is planned by a function of the Secret's contents and the
// time; a Keeper does it.
package certs
