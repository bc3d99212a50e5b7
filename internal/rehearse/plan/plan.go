// Package plan says what breaks when in a rehearsal.
package plan

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
)

// A Kind is a kind of fault.
type Kind string

const (
	Cut     Kind = "cut"     // connections end, in one of the ways of faultlink.Kind
	Silence Kind = "silence" // nothing passes for a while, and then it goes on
	Offline Kind = "offline" // clients are without network for a while
	Delay   Kind = "delay"   // the way takes longer for a while
	Loss    Kind = "loss"    // packets are lost for a while, and the way takes longer
	Slow    Kind = "slow"    // clients read slowly for a while
	Storm   Kind = "storm"   // all connections are reset, and all clients come back at once
	Hook    Kind = "hook"    // a command of the user
	Do      Kind = "do"      // something that the program around the rehearsal does
)

var kinds = []Kind{Cut, Silence, Offline, Delay, Loss, Slow, Storm, Hook, Do}

// A Fault is one thing that breaks.
type Fault struct {
	At      time.Duration // since the first moment of the faults
	Kind    Kind
	How     faultlink.Kind // of Cut
	Share   float64        // of the clients; 1 by default
	For     time.Duration  // until it is over
	Latency time.Duration  // of Delay and Loss, one way
	Jitter  time.Duration
	Percent float64       // of Loss: packets of each direction
	Rate    int           // of Slow: bytes a second
	Command []string      // of Hook
	Action  string        // of Do
	Timeout time.Duration // of Hook and Do
	Text    string        // as it was written
}

// End is when the fault is over.
func (f *Fault) End() time.Duration { return f.At + f.For }

// Default is the plan of a run that names none.
const Default = `# at   what
0s     cut rst share=50%
8s     cut fin
16s    silence for=4s
26s    cut drop-target share=50%
38s    cut drop-client
46s    offline for=10s share=30%
62s    delay for=8s latency=200ms jitter=50ms
74s    slow for=6s rate=2000 share=20%
84s    storm
`

// Load reads a plan from a file; "default" and "none" are known without.
func Load(file string) ([]Fault, error) {
	switch file {
	case "default":
		return Parse(Default)
	case "none":
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	list, err := Parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("faults: %s: %w", file, err)
	}
	return list, nil
}

// Parse reads a plan: a fault a line, "#" begins a comment. "every 30s until=5m
// cut rst" repeats one.
func Parse(text string) ([]Fault, error) {
	var list []Fault
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		some, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		list = append(list, some...)
	}
	slices.SortStableFunc(list, func(a, b Fault) int { return int(a.At - b.At) })
	return list, overlap(list)
}

// groups are kinds of which one at a time makes sense: the end of one would be the
// end of both. Clients may be offline for two reasons.
var groups = map[Kind]string{Delay: "delay or loss", Loss: "delay or loss", Silence: "silence", Slow: "slow"}

// overlap reports two faults that would undo each other.
func overlap(list []Fault) error {
	last := map[string]*Fault{}
	for i := range list {
		f := &list[i]
		group := groups[f.Kind]
		if group == "" {
			continue
		}
		if before := last[group]; before != nil && f.At < before.End() {
			return fmt.Errorf("%q at %v begins before %q is over: one %s at a time", f.Text, f.At, before.Text, group)
		}
		last[group] = f
	}
	return nil
}

// maxRepeats bounds what one line may mean.
const maxRepeats = 10000

func parseLine(line string) ([]Fault, error) {
	words, command, _ := strings.Cut(line, " -- ")
	fields := strings.Fields(words)
	if fields[0] != "every" {
		f, err := parseFault(fields, command, line)
		return []Fault{f}, err
	}
	if len(fields) < 4 {
		return nil, fmt.Errorf("%q: want every TIME until=TIME FAULT", line)
	}
	every, err := parseTime(fields[1])
	if err != nil || every <= 0 {
		return nil, fmt.Errorf("%q: every %s: want a time such as 30s", line, fields[1])
	}
	text, ok := strings.CutPrefix(fields[2], "until=")
	until, err := parseTime(text)
	if !ok || err != nil || until/every > maxRepeats {
		return nil, fmt.Errorf("%q: %s: want until=TIME, for at most %d faults", line, fields[2], maxRepeats)
	}
	var list []Fault
	for at := every; at <= until; at += every {
		f, err := parseFault(append([]string{at.String()}, fields[3:]...), command, line)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q: want a time such as 30s", text)
	}
	return d, nil
}

// cuts are the ways in which a connection may end.
var cuts = map[string]faultlink.Kind{
	"rst": faultlink.RST, "fin": faultlink.FIN, "drop-target": faultlink.DropTarget, "drop-client": faultlink.DropClient, "mute": faultlink.Mute,
}

func parseFault(fields []string, command, line string) (Fault, error) {
	f := Fault{Share: 1, Timeout: time.Minute, Text: line}
	var err error
	if f.At, err = parseTime(fields[0]); err != nil {
		return f, err
	}
	if len(fields) < 2 {
		return f, fmt.Errorf("%q: what happens at %s?", line, fields[0])
	}
	f.Kind = Kind(fields[1])
	if !slices.Contains(kinds, f.Kind) {
		return f, fmt.Errorf("%q: there is no fault %q; allowed are cut, silence, offline, delay, loss, slow, storm, hook", line, f.Kind)
	}
	rest := fields[2:]
	if f.Kind == Cut && len(rest) > 0 && !strings.Contains(rest[0], "=") {
		how, ok := cuts[rest[0]]
		if !ok {
			return f, fmt.Errorf("%q: cut %s: allowed are rst, fin, drop-target, drop-client, mute", line, rest[0])
		}
		f.How, rest = how, rest[1:]
	}
	if f.Kind == Do && len(rest) > 0 {
		f.Action, rest = rest[0], rest[1:]
	}
	for _, option := range rest {
		name, value, _ := strings.Cut(option, "=")
		if err := f.set(name, value); err != nil {
			return f, fmt.Errorf("%q: %s: %w", line, option, err)
		}
	}
	f.Text = strings.Join(fields[1:], " ")
	if command != "" {
		f.Command = []string{"sh", "-c", command}
		f.Text += " -- " + command
	}
	return f, f.check(line)
}

func (f *Fault) set(name, value string) (err error) {
	switch name {
	case "share":
		f.Share, err = parseShare(value)
	case "percent":
		f.Percent, err = parseShare(value)
		f.Percent *= 100
	case "for":
		f.For, err = parseTime(value)
	case "latency":
		f.Latency, err = parseTime(value)
	case "jitter":
		f.Jitter, err = parseTime(value)
	case "timeout":
		f.Timeout, err = parseTime(value)
	case "rate":
		f.Rate, err = strconv.Atoi(value)
	default:
		return fmt.Errorf("allowed are share= for= latency= jitter= percent= rate= timeout=")
	}
	return err
}

func parseShare(text string) (float64, error) {
	number, isPercent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if isPercent {
		v /= 100
	}
	if err != nil || !(v > 0 && v <= 1) {
		return 0, fmt.Errorf("want a share such as 50%% or 0.5")
	}
	return v, nil
}

func (f *Fault) check(line string) error {
	lasts := f.Kind == Silence || f.Kind == Offline || f.Kind == Delay || f.Kind == Loss || f.Kind == Slow
	switch {
	case lasts && f.For == 0:
		return fmt.Errorf("%q: for how long? Want for=TIME", line)
	case !lasts && f.For != 0:
		return fmt.Errorf("%q: %s does not last: for= means nothing", line, f.Kind)
	case f.Kind == Delay && f.Latency == 0:
		return fmt.Errorf("%q: want latency=TIME", line)
	case f.Kind == Loss && f.Percent == 0:
		return fmt.Errorf("%q: want percent=5%%", line)
	case f.Kind == Slow && f.Rate <= 0:
		return fmt.Errorf("%q: want rate=BYTES, a second", line)
	case (f.Kind == Hook) != (len(f.Command) > 0):
		return fmt.Errorf("%q: want hook -- COMMAND", line)
	case f.Kind == Do && f.Action == "":
		return fmt.Errorf("%q: do what?", line)
	case (f.Kind == Delay || f.Kind == Loss) && f.Share != 1:
		return fmt.Errorf("%q: %s is for all: share= means nothing", line, f.Kind)
	}
	return nil
}

// NeedsPackets reports whether a plan has faults of single packets.
func NeedsPackets(list []Fault) bool {
	return slices.ContainsFunc(list, func(f Fault) bool { return f.Kind == Loss })
}

// Length is when the last fault is over.
func Length(list []Fault) (end time.Duration) {
	for i := range list {
		end = max(end, list[i].End())
	}
	return end
}
