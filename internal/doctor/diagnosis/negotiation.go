package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wsresilience/wsresilience/wire"
)

// negotiation judges what was chosen of what was offered.
func negotiation(f *Facts, c *findings) {
	h := f.Plain
	if !h.OK() {
		return
	}
	wanted := f.Expect.Subprotocols
	chosen := h.Protocol
	if s := f.Session; s != nil && s.Welcome != nil && chosen == "" {
		chosen = s.Welcome.Subprotocol
	}
	switch {
	case len(wanted) > 0 && !slices.Contains(wanted, chosen):
		c.add(Finding{ID: "subprotocol-lost", Severity: Problem, Blame: []Party{Path, App},
			What: fmt.Sprintf("None of the subprotocols %s was chosen.", strings.Join(wanted, ", ")),
			Seen: []string{describe(h)},
			Do:   "Either the app does not know them, or something on the way drops Sec-WebSocket-Protocol. With -direct and the app's own address doctor tells which."}, NoProtocols)
	case len(wanted) == 0 && chosen != "":
		c.add(Finding{ID: "subprotocol-unasked", Severity: Problem, Blame: []Party{Path, App},
			What: fmt.Sprintf("The answer chooses the subprotocol %s, which was not offered: browsers end such a connection.", chosen)}, NoProtocols)
	}
	if f.Expect.Compression && !h.Deflate {
		c.add(Finding{ID: "compression-lost", Severity: Problem, Blame: []Party{Path, App},
			What: "Compression was offered, and the answer does not take it.", Seen: []string{describe(h)},
			Do: "Either the app has it switched off, or something on the way drops Sec-WebSocket-Extensions. With -direct and the app's own address doctor tells which."}, NoProtocols)
	}
	if !f.Expect.Compression && !h.Deflate {
		c.add(Finding{ID: "no-compression", Severity: Note, Blame: []Party{App, Path}, What: "Compression was offered, and not agreed upon: the app has it off, or something on the way drops Sec-WebSocket-Extensions.",
			Do: "If it should be there: -compression makes this a finding, and -direct tells who."}, NoProtocols)
	}
	if f.compressedUnasked() {
		c.add(Finding{ID: "compression-broken", Severity: Problem, Blame: []Party{Path}, What: "Frames come compressed, and the answer to the handshake did not agree to that: something on the way dropped Sec-WebSocket-Extensions from it. Browsers end such a connection.",
			Seen: []string{describe(h)}}, NoProtocols)
	}
}

// compressedUnasked reports whether a frame had the bit of compression where none
// was agreed upon.
func (f *Facts) compressedUnasked() bool {
	ends := []*End{}
	if f.Beats != nil {
		ends = append(ends, f.Beats.End)
	}
	if f.Messages != nil {
		ends = append(ends, f.Messages.End)
	}
	if f.Echo != nil {
		ends = append(ends, f.Echo.End)
	}
	return slices.ContainsFunc(ends, func(e *End) bool {
		return e != nil && e.Cause == BadFrame && strings.Contains(e.Reason, "reserved bit")
	})
}

// there reports whether a sidecar showed itself, and how.
func there(f *Facts) (how string, marked bool) {
	for _, h := range []*Handshake{f.Marker, f.Plain, f.Resilient} {
		if h != nil && h.Stage == Answered && h.Header.Get("Wsr-Refused") != "" {
			return "it refuses what only a sidecar refuses (Wsr-Refused: " + h.Header.Get("Wsr-Refused") + ")", true
		}
	}
	if f.Session != nil && (f.Session.Welcome != nil || f.Session.Reset != 0) {
		return "it said WELCOME", true
	}
	if f.Beats != nil && f.Beats.Beacon {
		return "its heartbeats come as pings", false
	}
	for _, s := range f.Silences {
		if s.Beacon {
			return "its heartbeats come as pings", false
		}
	}
	return "", false
}

// sidecars judges whether there is one, and what it says.
func sidecars(f *Facts, c *findings) {
	if !f.Plain.OK() && !f.Resilient.OK() {
		return
	}
	s := f.Session
	how, marked := there(f)
	switch {
	case s != nil && s.Strange:
		c.add(Finding{ID: "welcome-broken", Severity: Problem, Blame: []Party{Path}, What: "The first message of the sidecar arrives changed: something rewrites frames.",
			Seen: []string{s.Got}}, FrameAware)
	case s != nil && s.Hidden:
		c.add(Finding{ID: "answer-stripped", Severity: Problem, Blame: []Party{Path},
			What: "The sidecar chose wsr.v1, and something on the way took that out of the answer: no client can use it.",
			Seen: []string{describe(f.Resilient), "the first message is a WELCOME"}, Do: "Let Sec-WebSocket-Protocol of the answer pass."}, NoProtocols)
	case f.Resilient.OK() && f.Resilient.Protocol == wire.Subprotocol && s != nil && s.Welcome == nil:
		noWelcome(f, c)
	case f.Resilient.OK() && f.Resilient.Protocol != wire.Subprotocol && marked:
		c.add(Finding{ID: "path-without-sessions", Severity: Warning, Blame: []Party{Sidecar},
			What: "There is a sidecar, and it offers no sessions at this path: clients are plain ones here.",
			Seen: []string{how, "with wsr.v1: " + describe(f.Resilient)}, Do: "Add the path to WSR_RESILIENT_PATHS (annotation config.wsresilience.io/resilient-paths), or correct the path in the URL."}, NoSymptom)
	case f.Resilient.OK() && f.Resilient.Protocol != wire.Subprotocol && how != "":
		c.add(Finding{ID: "offer-stripped", Severity: Problem, Blame: []Party{Path},
			What: "There is a sidecar, and it never sees that wsr.v1 is offered: something on the way drops Sec-WebSocket-Protocol from requests.",
			Seen: []string{how, "with wsr.v1: " + describe(f.Resilient)}}, NoProtocols)
	case f.Resilient.OK() && f.Resilient.Protocol != wire.Subprotocol:
		fi := Finding{ID: "no-sidecar", Severity: Note, Blame: []Party{Sidecar, Path}, What: "No sidecar showed itself: clients are plain ones.",
			Do: "If there should be one: is the pod injected (wsresilience-injector check -pod NAMESPACE/NAME tells why not), does the Service lead to its port, and does Sec-WebSocket-Protocol pass?"}
		if f.Expect.Sidecar {
			fi.Severity = Problem
		}
		c.add(fi, NoProtocols)
	}
	if f.AfterClose || s != nil && s.Tried && s.Judged && s.Answered {
		pingsAnsweredFor(c)
	}
	if s != nil && s.Judged && s.Code != int(wire.CodeViolation) {
		seen := "the connection ended without a close frame"
		if s.Code != 0 {
			seen = fmt.Sprintf("%d arrived", s.Code)
		}
		c.add(Finding{ID: "close-codes-lost", Severity: Warning, Blame: []Party{Path}, What: "The sidecar closed with 4400, and that did not arrive: something on the way ends WebSockets itself, and hides why they end.",
			Seen: []string{seen}, Do: "Clients cannot tell a login that ran out from a network that broke. Let a proxy pass frames as they are."}, FrameAware)
	}
}

// pingsAnsweredFor is something in between that speaks for the other end.
func pingsAnsweredFor(c *findings) {
	c.add(Finding{ID: "pings-answered", Severity: Warning, Blame: []Party{Path},
		What: "Something on the way answers pings itself: a ping that the other end never read was answered.",
		Seen: []string{"pings show that the gateway lives, and nothing of what is behind it"},
		Do:   "Heartbeats of wsr.v1 are messages, and see through that. Plain clients and apps need messages of their own to notice a dead peer."}, FrameAware)
}

// noWelcome is wsr.v1 without a WELCOME.
func noWelcome(f *Facts, c *findings) {
	s := f.Session
	fi := Finding{ID: "no-welcome", Severity: Problem, Blame: []Party{Path, App}, Seen: []string{describe(f.Resilient), s.Got, ended(s.End)}}
	switch {
	case s.Got != "":
		fi.What = "The answer chooses wsr.v1, and what follows is no WELCOME: an app that echoes what it is offered, without a sidecar."
		fi.Do = "Clients find out by themselves. If there should be a sidecar, the pod has none."
		fi.Blame, fi.Severity = []Party{App}, Warning
	case s.End != nil && s.End.Code == int(wire.CodeTryLater):
		fi.ID, fi.Blame, fi.What, fi.Do = "resilient-refused", []Party{Sidecar}, "The sidecar refuses new sessions while the journal is away (WSR_STORE_POLICY=strict).", refusals["journal"]
		c.add(fi, NoSymptom)
		return
	default:
		fi.What = "The answer chooses wsr.v1, and no WELCOME comes: something holds back small frames, or there is no sidecar and the app echoes what it is offered."
		fi.Do = "Look for what buffers."
	}
	c.add(fi, Holding)
}

// resumes judges what came of coming back.
func resumes(f *Facts, c *findings) {
	if f.Session == nil || f.Session.Welcome == nil {
		return
	}
	failed := map[string][]string{}
	for _, r := range f.Resumes {
		if id := r.fault(); id != "" {
			failed[id] = append(failed[id], r.describe())
		}
	}
	for _, id := range []string{"resume-unknown", "resume-token", "resume-lost", "resume-refused", "resume-later", "resume-plain", "resume-adopted", "resume-failed"} {
		seen := failed[id]
		if len(seen) == 0 {
			continue
		}
		seen = append(seen, fmt.Sprintf("%d of %d attempts", len(seen), len(f.Resumes)))
		fi := Finding{ID: id, Severity: Problem, Blame: []Party{Sidecar}, Seen: seen}
		symptom := NoSymptom
		switch id {
		case "resume-unknown":
			fi.What = "A session that lived a moment ago is unknown where its client comes back."
			fi.Do = "Several pods without a common journal: give all the same WSR_NATS_URL and WSR_TOKEN_KEYS. With an embedded journal there can be one pod."
		case "resume-token":
			fi.What = "The token of a moment ago is not valid where its client comes back."
			fi.Do = "Pods with different WSR_TOKEN_KEYS; or something on the way changes Host, path or Origin differently each time, to which tokens are bound (WSR_TOKEN_BIND=any-host, any-path)."
			fi.Blame, symptom = []Party{Sidecar, Path}, HostChanged
		case "resume-lost":
			fi.What = "The sidecar cannot replay from where the client was."
			fi.Do = "Clients lose messages on this path: look at wsr_resumes_total by reason."
		case "resume-refused":
			fi.Blame, fi.What = []Party{App, Client}, "The app does not allow the resume (WSR_RESUME_AUTH)."
			fi.Do = "Give doctor the cookie or header that clients have, or correct what is asked."
		case "resume-later":
			fi.What = "The sidecar cannot tell yet whether the session lives."
			fi.Do = "Pods do not reach each other (WSR_ADVERTISE, NetworkPolicy on the proxy port), or NATS is out of reach: wsresilience-sidecar doctor in each pod says which."
		case "resume-plain":
			fi.Blame, fi.What = []Party{Path, Sidecar}, "Coming back reached a server without a sidecar."
			fi.Do = "Some pods are not injected, or a proxy drops Sec-WebSocket-Protocol when it is longer."
			symptom = NoProtocols
		case "resume-adopted":
			fi.Severity, fi.What = Warning, "A session was adopted by another pod although its owner had it a moment ago: the app's socket was replaced."
			fi.Do = "Pods do not reach each other: WSR_ADVERTISE, NetworkPolicy on the proxy port."
		default:
			fi.Blame, fi.What = []Party{Path}, "The handshake with which a client comes back fails, and the first one did not."
			fi.Do = "It differs by a longer Sec-WebSocket-Protocol and by coming soon after the first: header limits, rate limits."
			symptom = SmallHeads
		}
		c.add(fi, symptom)
	}
}

// fault names what is wrong with a resume.
func (r *Resume) fault() string {
	switch {
	case !r.Handshake.OK():
		return "resume-failed"
	case r.Plain:
		return "resume-plain"
	case r.Reset == wire.ResetUnknown:
		return "resume-unknown"
	case r.Reset == wire.ResetToken:
		return "resume-token"
	case r.Reset == wire.ResetLost:
		return "resume-lost"
	case r.Reset == wire.ResetUnauthorized:
		return "resume-refused"
	case r.Reset != 0:
		return "resume-later"
	case !r.Welcomed:
		return "resume-failed"
	case r.Status == wire.StatusAdopted && r.Adopted != wire.AdoptDrained && r.Adopted != wire.AdoptOwed && r.Adopted != wire.AdoptAppRestarted:
		return "resume-adopted"
	}
	return ""
}

func (r *Resume) describe() string {
	switch {
	case !r.Handshake.OK():
		return describe(&r.Handshake)
	case r.Plain:
		return "101 without wsr.v1"
	case r.Reset != 0:
		return "RESET: " + r.Reset.String()
	case !r.Welcomed:
		return "101, and neither WELCOME nor RESET"
	}
	return r.Status.String() + " " + r.Adopted.String()
}

// ended says how a connection ended.
func ended(e *End) string {
	if e == nil {
		return ""
	}
	switch e.Cause {
	case None:
		s := fmt.Sprintf("closed after %s with %d", short(e.After), e.Code)
		if e.Reason != "" {
			s += " " + fmt.Sprintf("%q", e.Reason)
		}
		return s
	case BadFrame:
		return fmt.Sprintf("after %s came what is no frame: %s", short(e.After), e.Reason)
	case Ended:
		return fmt.Sprintf("ended after %s without a close frame (FIN)", short(e.After))
	case Reset:
		return fmt.Sprintf("reset after %s (RST)", short(e.After))
	}
	return fmt.Sprintf("broken after %s: %s", short(e.After), e.Cause)
}
