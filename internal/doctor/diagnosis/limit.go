package diagnosis

import (
	"fmt"
	"strings"
	"time"
)

// What has to pass.
const (
	// resumeHead is the longest line that a resume brings (docs/PROXIES.md).
	resumeHead = 1200

	// maxLead is how long before an echo a pong may come, mostly, that overtook it
	// for an app that answers both in their order. Apps that take longer may work on
	// messages at the side.
	maxLead = 4 * time.Millisecond

	// maxSkew is what clocks may differ by.
	maxSkew = 2 * time.Second
)

// heads judges the length of headers.
func heads(f *Facts, c *findings) {
	if h := f.LongResume; h != nil && !h.OK() && f.Resilient.OK() && !h.crowded() {
		c.add(Finding{ID: "resume-headers", Severity: Problem, Blame: []Party{Path}, What: "A handshake with the longest token does not pass: clients begin sessions and cannot come back to them.",
			Seen: []string{describe(h), answered(h)}}, SmallHeads)
		return
	}
	l := f.Heads
	if l == nil || l.Failed == 0 {
		return
	}
	fi := Finding{ID: "headers-short", Severity: Warning, Blame: []Party{Path, App},
		What: fmt.Sprintf("A header of %d bytes does not pass (%d do): users with many cookies are refused.", l.Failed, l.Passed),
		Seen: []string{describe(l.Handshake), answered(l.Handshake), quote(l.Handshake.Body)}, Do: "Let headers of 8 KiB pass."}
	if l.Failed <= resumeHead {
		fi.Severity, fi.What = Problem, fmt.Sprintf("A header of %d bytes does not pass (%d do): too short for tokens of resumes and for cookies.", l.Failed, l.Passed)
	}
	c.add(fi, SmallHeads)
}

// crowded reports whether an answer is about how many came, and not about what it
// answers.
func (h *Handshake) crowded() bool { return h.Status == 429 || h.Status >= 500 }

// messages judges the size of messages, and what an echo says.
func messages(f *Facts, c *findings) {
	if l := f.Messages; l != nil && l.Failed > 0 {
		fi := Finding{ID: "messages-limited", Severity: Warning, Blame: []Party{Path, App}, What: fmt.Sprintf("A message of %s does not pass; %s does.", size(l.Failed), size(l.Passed)),
			Seen: []string{ended(l.End)}, Do: "Raise the limit of what closes the connection, or send smaller messages."}
		if s := f.Session; s != nil && s.Welcome != nil {
			fi.Seen = append(fi.Seen, "the sidecar takes "+size(int(s.Welcome.MaxMessage))+" (WSR_MAX_MESSAGE)")
		}
		if l.End != nil && l.End.Code == 1009 {
			fi.Seen = append(fi.Seen, "1009 says that a peer found it too large")
		}
		c.add(fi, FrameAware)
	}
	e := f.Echo
	switch {
	case e == nil:
	case e.Changed:
		c.add(Finding{ID: "frames-changed", Severity: Problem, Blame: []Party{Path, App}, What: "A message that the app was to send back came back changed.", Do: "Is it an echo? Otherwise leave -echo out."}, FrameAware)
	case e.Mute:
		c.add(Finding{ID: "no-echo", Severity: Warning, Blame: []Party{App, Client}, What: "The app does not send messages back.", Do: "Leave -echo out, unless it should."}, NoSymptom)
	case e.Tried > 0 && e.Before*2 > e.Tried && f.Session == nil && e.Lead < maxLead:
		pingsAnsweredFor(c)
	case e.Tried > 0 && e.Before*2 > e.Tried && f.Session == nil:
		c.add(Finding{ID: "pings-first", Severity: Note, Blame: []Party{App, Path}, What: fmt.Sprintf("Pings overtake messages by %s: the app works on messages at the side, or something on the way answers pings itself.", short(e.Lead))}, NoSymptom)
	}
}

func size(n int) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	if n >= 1<<10 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// http2 judges what is said to who offers HTTP/2.
func http2(f *Facts, c *findings) {
	h := f.HTTP2
	switch {
	case h == nil:
	case h.Connect && h.Status != 0 && (h.Status < 200 || h.Status > 299) && f.Plain.OK():
		c.add(Finding{ID: "http2-connect", Severity: Problem, Blame: []Party{Path}, What: "The server says that WebSockets may come over HTTP/2 (RFC 8441), and refuses them: browsers that believe it fail.",
			Seen: []string{fmt.Sprintf("SETTINGS_ENABLE_CONNECT_PROTOCOL=1, and %d to an extended CONNECT", h.Status)}, Do: "Switch it off, or make it work."}, HTTP1Missing)
	}
}

// clocks judges clocks.
func clocks(f *Facts, c *findings) {
	for _, k := range f.Clocks {
		if k.Low <= maxSkew && k.High >= -maxSkew {
			continue
		}
		off, way := k.Low, "ahead of"
		if k.High < 0 {
			off, way = -k.High, "behind"
		}
		c.add(Finding{ID: "clock", Severity: Warning, Blame: []Party{Client, Path, Sidecar}, What: fmt.Sprintf("The clock of %s is at least %s %s this machine's.", k.Of, short(off), way),
			Do: "See which is wrong (chronyc tracking, timedatectl). Certificates, logins and logs depend on it; sidecars should agree to within a minute."}, NoSymptom)
		return
	}
}

// comparison judges what differs from the same at the app's own address.
func comparison(f *Facts, c *findings) {
	d := f.Direct
	if d == nil {
		return
	}
	blame := func(id, what string, here, there *Handshake, symptom Symptom) {
		c.list = without(c.list, id)
		c.add(Finding{ID: id, Severity: Problem, Blame: []Party{Path}, What: what, Seen: []string{"through the path: " + describe(here), "directly: " + describe(there)}}, symptom)
	}
	switch {
	case !d.Plain.OK() && !f.Plain.OK():
		c.add(Finding{ID: "direct-fails-too", Severity: Note, Blame: []Party{App, Sidecar}, What: "The handshake fails directly too: it is not the path.", Seen: []string{"directly: " + describe(d.first())}}, NoSymptom)
	case d.Plain.OK() && !f.Plain.OK():
		c.add(Finding{ID: "direct-works", Severity: Note, Blame: []Party{Path}, What: "The handshake succeeds directly: it is the path.", Seen: []string{"directly: " + describe(d.Plain)}}, NoSymptom)
	case d.Plain.OK():
		if d.Plain.Deflate && !f.Plain.Deflate {
			blame("compression-lost", "Compression is agreed upon directly, and not through the path.", f.Plain, d.Plain, NoProtocols)
		}
		if d.Plain.Protocol != f.Plain.Protocol {
			blame("subprotocol-lost", "Another subprotocol is chosen directly than through the path.", f.Plain, d.Plain, NoProtocols)
		}
		if d.Resilient.OK() && f.Resilient.OK() && d.Resilient.Protocol != f.Resilient.Protocol {
			blame("offer-stripped", "The sidecar answers wsr.v1 directly, and not through the path.", f.Resilient, d.Resilient, NoProtocols)
		}
	}
}

// first is the handshake that says most.
func (f *Facts) first() *Handshake {
	if f.Plain != nil {
		return f.Plain
	}
	if len(f.Addresses) > 0 {
		return &f.Addresses[0]
	}
	return &Handshake{Cause: Other, Err: f.LookupErr}
}

func without(list []Finding, id string) []Finding {
	kept := list[:0]
	for _, f := range list {
		if f.ID != id && !(id == "offer-stripped" && f.ID == "no-sidecar") {
			kept = append(kept, f)
		}
	}
	return kept
}

// checks lists what was looked at, in a line each.
func checks(f *Facts) []Check {
	var list []Check
	say := func(name string, ok bool, format string, args ...any) {
		list = append(list, Check{name, ok, fmt.Sprintf(format, args...)})
	}
	if f.LookupErr != "" {
		say("name", false, "%s", f.LookupErr)
	}
	for i := range f.Addresses {
		a := &f.Addresses[i]
		say("address", a.Stage >= Asking && a.Cause == None, "%s: connected after %s, %s", a.Address, short(a.DialTook), describe(a))
	}
	if h := f.first(); h.TLS != nil {
		say("TLS", h.TLS.Wrong == "", "%s, %s, from %s, until %s", h.TLS.Version, or(h.TLS.Subject, strings.Join(h.TLS.Names, ", ")), or(first(h.TLS.Issuers), "nobody"), h.TLS.NotAfter.UTC().Format(time.DateOnly))
	}
	if f.Plain != nil {
		say("handshake", f.Plain.OK(), "%s", describe(f.Plain))
	}
	if f.Resilient != nil {
		say("wsr.v1", f.Resilient.OK(), "%s", describe(f.Resilient))
	}
	list = append(list, linkChecks(f)...)
	return list
}

// linkChecks are those of connections that were open.
func linkChecks(f *Facts) []Check {
	var list []Check
	say := func(name string, ok bool, format string, args ...any) {
		list = append(list, Check{name, ok, fmt.Sprintf(format, args...)})
	}
	if s := f.Session; s != nil && s.Welcome != nil {
		w := s.Welcome
		say("sidecar", true, "protocol wsr.v1, heartbeat %s, sessions kept for %s, messages up to %s, window %s", millis(w.HeartbeatMillis), millis(w.TTLMillis), size(int(w.MaxMessage)), size(int(w.Window)))
	} else if how, _ := there(f); how != "" {
		say("sidecar", false, "%s", how)
	}
	if n := len(f.Resumes); n > 0 {
		good, slowest := 0, time.Duration(0)
		for i := range f.Resumes {
			if f.Resumes[i].fault() == "" {
				good++
			}
			slowest = max(slowest, f.Resumes[i].Took)
		}
		say("resume", good == n, "%d of %d, %s at most", good, n, short(slowest))
	}
	if b := f.Beats; b != nil {
		said := fmt.Sprintf("%d of %d answered", b.Got, b.Sent)
		median, deviation, sent, late := b.Measure()
		if sent > 0 {
			said += fmt.Sprintf(", round trip %s, deviation %s", short(median), short(deviation))
		}
		if late > MaxLate {
			said += fmt.Sprintf(", while this machine was late itself by %s", short(late))
		}
		say("pings", b.Got == b.Sent && b.Changed == 0, "%s", said)
	}
	if v := f.Volume; v != nil {
		say("bytes", v.End == nil, "%s each way", size(v.Passed))
	}
	if l := f.Heads; l != nil {
		say("headers", l.Failed == 0, "%d bytes in a line", l.Passed)
	}
	if l := f.Messages; l != nil {
		say("messages", l.Failed == 0, "up to %s", size(l.Passed))
	}
	if e := f.Echo; e != nil {
		say("echo", !e.Mute && !e.Changed, "round trip %s", short(e.RTT))
	}
	if s := f.Stream; s != nil {
		say("stream", s.Bytes > 0, "%d, first byte after %s, bytes at %d times in %s", s.Status, short(s.First), s.Times, short(s.Took))
	}
	if h := f.HTTP2; h != nil {
		say("HTTP/2", true, "%s", map[bool]string{true: "offered", false: "not offered"}[h.Chosen]+map[bool]string{true: ", with WebSockets (RFC 8441)"}[h.Connect])
	}
	for _, k := range f.Clocks {
		say("clock", k.Low <= maxSkew && k.High >= -maxSkew, "of %s: between %s and %s from ours", k.Of, short(k.Low), short(k.High))
	}
	return append(list, silenceChecks(f)...)
}

func silenceChecks(f *Facts) []Check {
	longest, dead, heard := time.Duration(0), 0, 0
	for _, s := range f.Silences {
		if s.Alive {
			longest = max(longest, s.For)
		} else if s.End != nil || s.Mute {
			dead++
		}
		heard += s.Heard
	}
	if len(f.Silences) == 0 {
		return nil
	}
	said := "survived for " + short(longest)
	if heard > 0 {
		said += ", with pings of the other end in between"
	}
	return []Check{{"silence", dead == 0, said}}
}

func millis(n uint32) string { return short(time.Duration(n) * time.Millisecond) }

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
