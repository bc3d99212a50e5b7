// Package certs keeps the certificate that the webhook shows to the API server:
// an authority and a certificate of our own, stored in a Secret and renewed in
// time, or files that another program renews, such as cert-manager.
//
// A pure function of the Secret's contents and the time plans what is to be done;
// a Rotator does it.
package certs
