package diagnosis

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
)

// Bounds of what a path may add to a round trip.
const (
	// maxHeld is how much longer than a handshake, which goes all the way, a
	// ping may take.
	maxHeld = 100 * time.Millisecond

	// MaxLate is how late this machine may be for what it measured to be its peer's.
	MaxLate = 25 * time.Millisecond

	// age is how much the ends of connections may differ that end at one age.
	age = 1500 * time.Millisecond
)

// beats judges pings.
func beats(f *Facts, c *findings) {
	b := f.Beats
	if b == nil {
		return
	}
	switch {
	case f.compressedUnasked(): // negotiation says it
	case b.End != nil && b.End.Cause == BadFrame || b.Changed > 0:
		c.add(Finding{ID: "frames-changed", Severity: Problem, Blame: []Party{Path}, What: "What arrives is not what was sent: something changes frames.",
			Seen: []string{ended(b.End), fmt.Sprintf("%d of %d pongs have another payload than their ping", b.Changed, b.Got)}}, FrameAware)
	case b.Got == 0 && b.End == nil:
		c.add(Finding{ID: "pings-unanswered", Severity: Warning, Blame: []Party{Path, App},
			What: fmt.Sprintf("None of %d pings was answered, and the connection stays: nobody notices when it is dead.", b.Sent),
			Do:   "RFC 6455 §5.5.3 asks for an answer. Something drops pings or holds frames back, or the app does not answer them."}, FrameAware)
	case b.End != nil:
		endsAtOnce(f, b, c)
	case b.Held != HeldNowhere:
		c.add(Finding{ID: "held-back", Severity: Problem, Blame: []Party{Path}, What: "Small frames are held back " + string(b.Held) + " until more follow.",
			Seen: []string{"a ping alone was not answered, and was when more had been sent"}, Do: "Something on the way fills a buffer before it passes bytes on."}, Holding)
	default:
		slow(f, b, c)
	}
}

// endsAtOnce is a connection that does not live long enough for a few pings.
func endsAtOnce(f *Facts, b *Beats, c *findings) {
	fi := Finding{ID: "ends-early", Severity: Problem, Blame: []Party{Path, App}, Seen: []string{ended(b.End), fmt.Sprintf("%d of %d pings were answered", b.Got, b.Sent)}}
	switch {
	case b.End.Cause == None && appsOwn(b.End.Code):
		fi.Severity, fi.Blame, fi.What = Note, []Party{App}, "The app closes the connection, as apps do that want a login or a subprotocol first."
		fi.Do = "Give doctor what clients send: -cookie, -H, -subprotocol."
		c.add(fi, NoSymptom)
	case b.End.Cause == None && (b.End.Code == 1002 || b.End.Code == 1007):
		fi.ID, fi.Blame, fi.What = "frames-changed", []Party{Path}, "The other end says that frames are broken which are not when they are sent: something changes them."
		c.add(fi, FrameAware)
	case b.End.Cause == None:
		fi.What = "The connection is closed soon after it was opened."
		c.add(fi, NoSymptom)
	case f.aged():
		return // silences says it
	default:
		fi.What = "The connection is cut soon after it was opened, without a close frame."
		fi.Do = "A limit on time or bytes that does not know WebSockets, or a firewall that dislikes their frames."
		c.add(fi, AgeCut)
	}
}

// appsOwn reports whether a close code says that an app has meant it.
func appsOwn(code int) bool {
	return code == 1000 || code == 1003 || code == 1005 || code == 1007 || code == 1008 || code == 1010 || code >= 3000
}

// slow judges round trips.
func slow(f *Facts, b *Beats, c *findings) {
	median, deviation, sent, late := b.Measure()
	least := b.fastest()
	seen := []string{fmt.Sprintf("round trip %s, the fastest %s, deviation %s; fastest handshake %s", short(median), short(least), short(deviation), short(f.FastestAnswer))}
	switch {
	case f.FastestAnswer > 0 && (least > f.FastestAnswer+maxHeld || median > f.FastestAnswer+maxHeld+late):
		c.add(Finding{ID: "frames-delayed", Severity: Warning, Blame: []Party{Path, App},
			What: "Frames take much longer than the handshake, which went the same way: something holds them back for a time.",
			Seen: seen, Do: "Look for what buffers, inspects or gathers small packets (Nagle, TCP coalescing, response buffering). Or the app answers pings late: it is busy."}, Holding)
	case sent == 0:
	case b.gathered():
		c.add(Finding{ID: "frames-gathered", Severity: Warning, Blame: []Party{Path}, What: "Frames that were sent apart arrive together: something gathers small ones.",
			Seen: append(seen, "most answers came together with the one before"), Do: "Look for what buffers, or delays small packets."}, Holding)
	case deviation > heartbeat.SuspiciousDeviation+late:
		c.add(Finding{ID: "jitter", Severity: Warning, Blame: []Party{Path}, What: "Round trips differ by more than 40 ms: an intermediary that buffers or inspects is likely, or a network with losses.",
			Seen: seen, Do: "Measure from elsewhere, and with -direct: what remains is this machine's own network."}, Holding)
	}
}

// gathered reports whether three of five answers came together with the one before,
// in each round in which this machine was not late itself.
func (b *Beats) gathered() bool {
	clean := 0
	for _, r := range b.Rounds {
		if len(r.RTTs) < 3 || r.Late > MaxLate {
			continue
		}
		if clean++; r.Bursts*5 < r.Sent*3 {
			return false
		}
	}
	return clean > 0
}

// Measure returns the best of the rounds in which this machine was not late
// itself, or that in which it was late the least: median, standard deviation, how
// many pings that round had, and how late this machine was. Without any it had
// none.
func (b *Beats) Measure() (median, deviation time.Duration, sent int, late time.Duration) {
	best := -1
	for i, r := range b.Rounds {
		if len(r.RTTs) < 3 {
			continue
		}
		_, d := spread(r.RTTs)
		switch {
		case best < 0, r.Late > MaxLate && r.Late < b.Rounds[best].Late, r.Late <= MaxLate && (b.Rounds[best].Late > MaxLate || d < deviation):
			best, deviation = i, d
		}
	}
	if best < 0 {
		return 0, 0, 0, 0
	}
	r := b.Rounds[best]
	median, deviation = spread(r.RTTs)
	return median, deviation, r.Sent, r.Late
}

// fastest is the least round trip, which no lateness of this machine's makes
// smaller; 0: there is none.
func (b *Beats) fastest() (least time.Duration) {
	for _, r := range b.Rounds {
		for _, d := range r.RTTs {
			if least == 0 || d < least {
				least = d
			}
		}
	}
	return least
}

// spread is the median and the standard deviation.
func spread(list []time.Duration) (median, deviation time.Duration) {
	sorted := slices.Sorted(slices.Values(list))
	var sum, squares float64
	for _, d := range sorted {
		sum += float64(d)
	}
	mean := sum / float64(len(sorted))
	for _, d := range sorted {
		squares += (float64(d) - mean) * (float64(d) - mean)
	}
	return sorted[len(sorted)/2], time.Duration(math.Sqrt(squares / float64(len(sorted))))
}

// volumes judges how many bytes pass.
func volumes(f *Facts, c *findings) {
	v := f.Volume
	switch {
	case v == nil, f.compressedUnasked():
	case v.Changed > 0 || v.End != nil && v.End.Cause == BadFrame:
		c.add(Finding{ID: "frames-changed", Severity: Problem, Blame: []Party{Path}, What: "What arrives is not what was sent: something changes frames.",
			Seen: []string{fmt.Sprintf("after %d bytes", v.Passed), ended(v.End)}}, FrameAware)
	case v.End == nil || v.Passed >= v.Wanted:
	case v.End.Cause == None && appsOwn(v.End.Code), f.aged():
	case v.Repeated != nil && v.RepeatedAt*2 > v.Passed && v.Passed*2 > v.RepeatedAt:
		c.add(Finding{ID: "bytes-limited", Severity: Problem, Blame: []Party{Path}, What: fmt.Sprintf("Connections are cut after about %d KiB.", max(1, v.Passed>>10)),
			Seen: []string{fmt.Sprintf("after %d bytes each way: %s", v.Passed, ended(v.End)), fmt.Sprintf("again after %d: %s", v.RepeatedAt, ended(v.Repeated))},
			Do:   "A limit on the size of requests or answers that does not know WebSockets (a WAF, a body limit): exempt the path."}, FrameAware)
	default:
		c.add(Finding{ID: "cut-under-load", Severity: Warning, Blame: []Party{Path, App}, What: "A connection was cut while many small frames passed.",
			Seen: []string{fmt.Sprintf("after %d bytes each way: %s", v.Passed, ended(v.End))}, Do: "Run doctor again: it may be a limit on rates, or an accident."}, FrameAware)
	}
}

// aged reports whether the connection that was never silent was cut at an age.
func (f *Facts) aged() bool {
	return f.Busy != nil && (f.Busy.End != nil && !(f.Busy.End.Cause == None && appsOwn(f.Busy.End.Code)) || f.Busy.Mute)
}

// silences judges quiet connections beside the one that was never quiet.
func silences(f *Facts, c *findings) {
	var dead []Silence
	longest := time.Duration(0)
	for _, s := range f.Silences {
		switch {
		case s.Alive:
			longest = max(longest, s.For)
		case s.End != nil || s.Mute:
			dead = append(dead, s)
		}
	}
	if f.compressedUnasked() {
		return
	}
	if len(dead) == 0 {
		if f.aged() && f.Busy.End != nil && f.Beats != nil && f.Beats.End == nil {
			c.add(Finding{ID: "busy-cut", Severity: Warning, Blame: []Party{Path, App}, What: "A connection that was in use was cut, and quiet ones were not.",
				Seen: []string{ended(f.Busy.End)}, Do: "Run doctor again: it may be a limit on bytes or rates, or an accident."}, FrameAware)
		}
		return
	}
	first := dead[0]
	for _, s := range dead[1:] {
		if s.at() < first.at() {
			first = s
		}
	}
	seen := []string{fmt.Sprintf("%d of %d quiet connections died", len(dead), len(f.Silences)), first.describe()}
	if longest > 0 {
		seen = append(seen, "longest silence that was survived: "+short(longest))
	}
	switch e := first.End; {
	case e != nil && e.Cause == None && appsOwn(e.Code):
		c.add(Finding{ID: "app-closes-idle", Severity: Note, Blame: []Party{App}, What: "The app closes connections on which it hears nothing, as those do that want a login first.",
			Seen: seen, Do: "Longer silences could not be tried. Give doctor what clients send: -cookie, -H, -subprotocol, -message."}, NoSymptom)
	case f.aged() && (f.Busy.Mute || f.Busy.Lasted < first.at()+age):
		c.add(Finding{ID: "age-limit", Severity: Problem, Blame: []Party{Path, App},
			What: fmt.Sprintf("Connections are cut after about %s, busy or not: a limit on their age.", short(f.Busy.Lasted)),
			Seen: append(seen, "a connection with two pings a second: "+or(ended(f.Busy.End), "answers stopped, without an end")),
			Do:   "Heartbeats do not help against it. Resilient clients survive it; plain ones do not."}, AgeCut)
	case first.Mute:
		c.add(Finding{ID: "idle-dropped", Severity: Problem, Blame: []Party{Path},
			What: fmt.Sprintf("A connection that is quiet for %s is dropped silently: neither end is told, and what is sent later goes nowhere.", short(first.For)),
			Seen: seen, Do: f.oftener(first.For)}, IdleCut)
	default:
		c.add(Finding{ID: "idle-cut", Severity: Problem, Blame: []Party{Path, App},
			What: fmt.Sprintf("A connection that is quiet is cut after about %s.", short(first.quiet())), Seen: seen, Do: f.oftener(first.quiet())}, IdleCut)
	}
}

// streams judges an answer that the user says comes bit by bit.
func streams(f *Facts, c *findings) {
	s := f.Stream
	if s == nil {
		return
	}
	fi := Finding{ID: "stream-held", Severity: Problem, Blame: []Party{Path, App}, Do: "With -direct, or by asking the app itself, see whether it says anything in that time. If it does, something on the way gathers answers: switch that off, or let the app send X-Accel-Buffering: no (nginx)."}
	switch {
	case s.Status >= 300:
		fi.ID, fi.Severity, fi.Blame = "stream-refused", Warning, []Party{Client, App}
		fi.What, fi.Do = fmt.Sprintf("%d for -stream.", s.Status), "Check the path, and what clients send with it."
		c.add(fi, NoSymptom)
		return
	case s.Status == 0:
		fi.What = fmt.Sprintf("No head of the answer to -stream within %s.", short(s.Limit))
	case s.Bytes == 0 && !s.Ended:
		fi.What = fmt.Sprintf("Nothing of the answer to -stream within %s but its head.", short(s.Limit))
	case s.Times <= 1 && s.Ended && s.Took > time.Second:
		fi.What = fmt.Sprintf("All of the answer to -stream came at once, after %s.", short(s.First))
	default:
		return
	}
	c.add(fi, Holding)
}

// oftener says how often something has to be said.
func (f *Facts) oftener(limit time.Duration) string {
	how := "Raise the idle timeout of what is in between above 60 s"
	if limit < time.Minute {
		how += ", which is above three heartbeats of 15 s"
	}
	if name, _ := there(f); name == "" {
		return how + ", or let app or client send something more often. A sidecar would, every 5 to 15 s."
	}
	return how + fmt.Sprintf(", or let the sidecar send more often: WSR_HEARTBEAT_MAX, WSR_HEARTBEAT_BASE and WSR_HEARTBEAT_MIN below %s.", short(limit))
}

// at is when a connection died, as far as is known.
func (s *Silence) at() time.Duration {
	if s.End != nil {
		return s.End.After
	}
	return s.For
}

// quiet is how long it had been quiet when it died.
func (s *Silence) quiet() time.Duration {
	if s.Quiet > 0 {
		return s.Quiet
	}
	return s.at()
}

func (s *Silence) describe() string {
	if s.Mute {
		return "after " + short(s.For) + " a ping was not answered, and nothing said that the connection is over"
	}
	return "the first one " + ended(s.End)
}
