package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// soon is how long before its end a certificate is told of.
const soon = 7 * 24 * time.Hour

// names judges the lookup.
func names(f *Facts, c *findings) {
	if f.EnvProxy != "" {
		c.add(Finding{ID: "environment-proxy", Severity: Note, Blame: []Party{Client}, What: "The environment here names a proxy, " + f.EnvProxy + ", by which browsers may go. doctor does not.",
			Do: "If only clients behind it have trouble, it has to let CONNECT and long connections pass."}, NoSymptom)
	}
	if f.LookupErr != "" {
		c.add(Finding{ID: "name-unknown", Severity: Problem, Blame: []Party{DNS, Client}, What: "The name has no address.",
			Seen: []string{f.LookupErr}, Do: "Check the name in the URL, its A and AAAA records, and the resolver of this machine."}, NoSymptom)
	}
}

// key tells failures apart that have different causes.
func (h *Handshake) key() string {
	return fmt.Sprint(h.Stage, h.Cause, h.Status)
}

// addresses judges each address alone.
func addresses(f *Facts, c *findings) {
	var good, bad []*Handshake
	for i := range f.Addresses {
		a := &f.Addresses[i]
		switch {
		case a.Stage >= Asking && a.Cause != TimedOut && a.Cause != Reset:
			good = append(good, a)
		default:
			bad = append(bad, a)
		}
	}
	if len(good) == 0 {
		if len(bad) > 0 {
			unreachable(f, bad, c)
		}
		return
	}
	for _, a := range bad {
		severity, do := Problem, "Take the address out of DNS, or mend what is behind it. Clients that meet it first fail, or wait."
		if a.Cause == Unreachable && a.Stage == Dialling || f.LocalName {
			severity, do = Note, "This machine may have no route for that kind of address; clients that have one meet it."
		}
		c.add(Finding{ID: "address-dead", Severity: severity, Blame: []Party{DNS, Path},
			What: fmt.Sprintf("One address of the name does not work, and others do: %s.", a.Address),
			Seen: []string{a.Address + ": " + describe(a), good[0].Address + ": " + describe(good[0])}, Do: do}, NoBackend)
	}
	differing(good, c)
}

// differing compares what the addresses say.
func differing(good []*Handshake, c *findings) {
	for _, a := range good[1:] {
		if a.key() != good[0].key() {
			c.add(Finding{ID: "addresses-differ", Severity: Problem, Blame: []Party{Path, DNS},
				What: "The addresses of the name answer differently: clients succeed or fail by chance.",
				Seen: []string{good[0].Address + ": " + describe(good[0]), a.Address + ": " + describe(a)},
				Do:   "Give all of them the same configuration."}, NoSymptom)
			return
		}
		if a.TLS != nil && good[0].TLS != nil && a.TLS.Fingerprint != good[0].TLS.Fingerprint && a.TLS.Wrong != good[0].TLS.Wrong {
			c.add(Finding{ID: "certificates-differ", Severity: Problem, Blame: []Party{Path},
				What: "The addresses of the name show different certificates, and not all are good.",
				Seen: []string{good[0].Address + ": " + good[0].TLS.Subject, a.Address + ": " + a.TLS.Subject}}, NoSymptom)
			return
		}
	}
}

// unreachable is when no address takes a connection or TLS.
func unreachable(f *Facts, bad []*Handshake, c *findings) {
	h := bad[0]
	seen := make([]string, 0, len(bad))
	for _, a := range bad {
		seen = append(seen, a.Address+": "+describe(a))
	}
	fi := Finding{Severity: Problem, Blame: []Party{Path}, Seen: seen}
	switch {
	case h.TLS != nil && h.TLS.Wrong != "":
		return // certificates says it
	case h.Stage >= Asking && h.Cause == TimedOut:
		fi.ID, fi.Blame = "no-answer", []Party{Path, Sidecar, App}
		fi.What = "The connection is taken, and nobody answers the handshake."
		fi.Do = "A proxy waits for an app or a sidecar that does not answer, or a firewall drops what follows the connection."
		c.add(fi, NoBackend)
		return
	case h.Stage >= Asking && (h.Cause == Reset || h.Cause == Ended):
		cutAtHandshake(f, fi, c)
		return
	case h.Cause == Refused:
		fi.ID, fi.What, fi.Do = "refused", "Nothing listens at this address and port.", "Start the proxy or the load balancer's listener, or correct the port in the URL."
	case h.Cause == TimedOut && h.Stage == Dialling:
		fi.ID, fi.What = "dial-timeout", "No answer to a connection: something drops it silently."
		fi.Do = "Open the port in firewall, security group or NetworkPolicy. A firewall that refuses (RST, ICMP) tells clients sooner than one that drops."
	case h.Cause == Unreachable:
		fi.ID, fi.What, fi.Do = "unreachable", "There is no route to the address.", "Check this machine's network and routes, VPN included."
		fi.Blame = []Party{Client, Path}
	case h.Stage == Securing:
		noTLS(h, &fi)
		c.add(fi, map[bool]Symptom{true: HTTP1Missing}[h.Cause == NoHTTP1])
		return
	default:
		fi.ID, fi.What = "unreachable", "There is no connection."
	}
	c.add(fi, NoSymptom)
}

// noTLS is when TCP works and TLS does not.
func noTLS(h *Handshake, fi *Finding) {
	switch h.Cause {
	case NotTLS:
		fi.ID, fi.What, fi.Do = "not-tls", "The port does not speak TLS, and the URL says wss.", "Dial ws, or give the listener a certificate."
	case NoHTTP1:
		fi.ID, fi.What, fi.Do = "http2-only", "The server speaks HTTP/2 only, and WebSockets are of HTTP/1.1.", "Offer http/1.1 beside h2 (ALPN)."
	case TLSAlert:
		fi.ID, fi.What = "tls-refused", "The server ends the TLS handshake with an alert."
		fi.Do = "It may want a client certificate, know no certificate for this name (SNI), or speak other versions of TLS."
	case TimedOut:
		fi.ID, fi.What, fi.Do = "tls-timeout", "The port takes connections and does not answer a TLS handshake.", "A proxy that waits for plain HTTP or a PROXY line, or a firewall that inspects TLS."
	default:
		fi.ID, fi.What, fi.Do = "tls-cut", "The connection is cut during the TLS handshake.", "Firewalls that filter by server name (SNI) do so; so does a listener without a certificate."
	}
}

// certificates judges what TLS showed.
func certificates(f *Facts, c *findings) {
	var t *TLS
	for _, h := range append([]*Handshake{f.Plain}, pointers(f.Addresses)...) {
		if h != nil && h.TLS != nil && (t == nil || t.Wrong == "") {
			t = h.TLS
		}
	}
	if t == nil {
		return
	}
	seen := []string{"certificate of " + or(t.Subject, "nobody") + " for " + or(strings.Join(t.Names, ", "), "no name"),
		"issued by " + or(strings.Join(t.Issuers, ", above it "), "nobody"),
		"valid from " + t.NotBefore.UTC().Format(time.RFC3339) + " to " + t.NotAfter.UTC().Format(time.RFC3339), t.Err}
	severity := Problem
	if f.Expect.Insecure { // the user knows
		severity = Note
	}
	fi := Finding{Severity: severity, Blame: []Party{Path}, Seen: seen}
	symptom := NoSymptom
	issuers := strings.ToLower(strings.Join(t.Issuers, " "))
	spy := interceptor(issuers)
	switch {
	case spy != "":
		fi.ID, fi.What = "intercepted", "TLS is intercepted by "+spy+": what answers is not the server."
		fi.Do = "Exempt the host from TLS inspection there; such proxies often break WebSockets, and see all that is said."
	case f.Expect.Issuer != "" && !strings.Contains(issuers, strings.ToLower(f.Expect.Issuer)):
		fi.ID, fi.What = "issuer", "The certificate is not from the issuer that is expected: "+f.Expect.Issuer+"."
		fi.Do = "Something in between may intercept TLS (a corporate proxy, a virus scanner), or DNS leads elsewhere."
	case t.Wrong == WrongExpired:
		fi.ID, fi.What, fi.Do = "certificate-expired", "The certificate has expired.", "Renew it, and reload the proxy: a renewed file alone is not read by all. Or this machine's clock is wrong."
	case t.Wrong == WrongNotYet:
		fi.ID, fi.What, fi.Do = "certificate-early", "The certificate is not valid yet.", "This machine's clock may be behind."
		fi.Blame = []Party{Client, Path}
	case t.Wrong == WrongName:
		fi.ID, fi.What = "certificate-name", "The certificate is for another name than "+f.Host+"."
		fi.Do = "The proxy shows its default certificate when it has none for this name (SNI): add one, or correct the URL."
	case t.Wrong == WrongAuthority && t.SelfSigned:
		fi.ID, fi.What = "certificate-self-signed", "The certificate is self-signed: nobody vouches for it."
		fi.Do = "Get one from an authority, or give its own with -ca. Ingress controllers show such a one when they have none for the host."
	case t.Wrong == WrongAuthority:
		fi.ID, fi.What = "certificate-authority", "The certificate is from an authority that this machine does not know."
		fi.Do = "A private authority: give it with -ca. Or TLS is intercepted in between."
		if t.Sent == 1 {
			fi.Do = "The server sent no intermediate certificate: send the whole chain. Or a private authority: give it with -ca. Or TLS is intercepted in between."
			symptom = ShortChain
		}
	case t.Wrong != "":
		fi.ID, fi.What = "certificate", "The certificate cannot be used."
	case t.NotAfter.Sub(f.Now) < soon && t.NotAfter.Sub(t.NotBefore) > 2*soon:
		fi.ID, fi.Severity, fi.What, fi.Do = "certificate-soon", Note, "The certificate expires within a week.", "See why it was not renewed."
	default:
		return
	}
	c.add(fi, symptom)
}

// interceptors are names in the issuers of what opens TLS in between.
var interceptors = []string{
	"zscaler", "netskope", "fortinet", "fortigate", "palo alto", "blue coat", "bluecoat", "symantec proxy", "sophos", "checkpoint", "check point",
	"forcepoint", "websense", "barracuda", "mcafee web gateway", "skyhigh", "cisco umbrella", "sonicwall", "watchguard", "untangle", "mitmproxy",
	"charles proxy", "fiddler", "portswigger", "burp", "kaspersky", "eset ssl filter", "avast", "avg technologies", "bitdefender", "squid", "proxyman", "cato networks", "iboss", "lightspeed",
}

func interceptor(issuers string) string {
	if i := slices.IndexFunc(interceptors, func(n string) bool { return strings.Contains(issuers, n) }); i >= 0 {
		return interceptors[i]
	}
	return ""
}

func pointers(list []Handshake) []*Handshake {
	all := make([]*Handshake, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// describe says in a line what became of a handshake.
func describe(h *Handshake) string {
	why := string(h.Cause)
	if h.Err != "" {
		why += " (" + h.Err + ")"
	}
	switch h.Stage {
	case Dialling:
		return "no connection: " + why
	case Securing:
		return "no TLS: " + why
	case Asking:
		return "no answer to the handshake: " + why
	case Answered:
		return fmt.Sprintf("%s %d after %s", h.Proto, h.Status, short(h.AnswerTook))
	case Switching:
		return "101, and " + strings.Join(h.Flaws, ", and ")
	}
	s := "101 after " + short(h.AnswerTook)
	if h.Protocol != "" {
		s += ", subprotocol " + h.Protocol
	}
	if h.Deflate {
		s += ", compressed"
	}
	return s
}

// short rounds a time for reading.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
