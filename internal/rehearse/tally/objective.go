package tally

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Objective is a bound that a run has to keep.
type Objective struct {
	Side  string // "": the resilient clients, or the plain ones if there are no others
	Name  string
	Least bool // the value must reach the bound; otherwise it must not exceed it
	Bound float64
	text  string
}

// Defaults are the objectives of a run that names none.
var Defaults = []string{"lost<=0", "doubled<=0", "reordered<=0", "retention>=99%", "errors<=0", "baseline.p99<=900ms", "back.p99<=30s"}

// A unit says how the values of an objective are written.
type unit int

const (
	count   unit = iota
	share        // of 1; written in per cent
	elapsed      // ms; written as a duration
)

var values = map[string]struct {
	unit unit
	of   func(*Summary) float64
}{
	"lost":          {count, func(s *Summary) float64 { return float64(s.Lost) + float64(s.Pushes.Lost) }},
	"lost.share":    {share, func(s *Summary) float64 { return ratio(s.Lost, s.Judged) }},
	"doubled":       {count, func(s *Summary) float64 { return float64(s.Doubled) + float64(s.Pushes.Doubled) }},
	"reordered":     {count, func(s *Summary) float64 { return float64(s.Reordered) + float64(s.Pushes.Reordered) }},
	"foreign":       {count, func(s *Summary) float64 { return float64(s.Foreign) }},
	"late":          {share, func(s *Summary) float64 { return ratio(s.Late, s.Judged) }},
	"errors":        {count, func(s *Summary) float64 { return float64(s.Errors) }},
	"errors.share":  {share, func(s *Summary) float64 { return ratio(s.Errors, s.Due) }},
	"retention":     {share, func(s *Summary) float64 { return s.Retention }},
	"connected":     {share, func(s *Summary) float64 { return s.Connected }},
	"sessions.lost": {count, func(s *Summary) float64 { return float64(s.SessionsLost) }},
	"refused":       {count, func(s *Summary) float64 { return float64(s.Refused) }},
	"throughput":    {count, func(s *Summary) float64 { return s.Throughput }},
	"p50":           {elapsed, func(s *Summary) float64 { return s.Whole.P50 }},
	"p99":           {elapsed, func(s *Summary) float64 { return s.Whole.P99 }},
	"p99.9":         {elapsed, func(s *Summary) float64 { return s.Whole.P999 }},
	"baseline.p50":  {elapsed, func(s *Summary) float64 { return s.Baseline.P50 }},
	"baseline.p99":  {elapsed, func(s *Summary) float64 { return s.Baseline.P99 }},
	"back.mean":     {elapsed, func(s *Summary) float64 { return s.Away.Mean }},
	"back.p50":      {elapsed, func(s *Summary) float64 { return s.Away.P50 }},
	"back.p99":      {elapsed, func(s *Summary) float64 { return s.Away.P99 }},
	"back.max":      {elapsed, func(s *Summary) float64 { return s.Away.Max }},
}

func ratio(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// Names lists what an objective may be about.
func Names() string { return strings.Join(slices.Sorted(maps.Keys(values)), " ") }

// ParseObjective reads one such as "lost<=0", "retention>=99%", "p99<=900ms" or
// "plain.connected>=95%".
func ParseObjective(text string) (Objective, error) {
	o := Objective{text: text}
	name, bound, found := strings.Cut(text, "<=")
	if !found {
		if name, bound, found = strings.Cut(text, ">="); !found {
			return o, fmt.Errorf("objective %q: want NAME<=BOUND or NAME>=BOUND, such as lost<=0, retention>=99%%, p99<=900ms", text)
		}
		o.Least = true
	}
	o.Name, bound = strings.TrimSpace(name), strings.TrimSpace(bound)
	for s := range Sides {
		if rest, ok := strings.CutPrefix(o.Name, s.String()+"."); ok {
			o.Side, o.Name = s.String(), rest
		}
	}
	v, ok := values[o.Name]
	if !ok {
		return o, fmt.Errorf("objective %q: there is no %q; allowed are, also with plain. or resilient. before them: %s", text, o.Name, Names())
	}
	var err error
	if o.Bound, err = v.unit.parse(bound); err != nil || !(o.Bound >= 0) {
		return o, fmt.Errorf("objective %q: the bound is %q; allowed is %s", text, bound, v.unit.form())
	}
	return o, nil
}

// ParseObjectives reads a list of them.
func ParseObjectives(texts []string) ([]Objective, error) {
	var list []Objective
	for _, text := range texts {
		o, err := ParseObjective(text)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

func (u unit) form() string {
	return [...]string{"a number from 0", "a share such as 99% or 0.99", "a time such as 900ms or 2s"}[u]
}

func (u unit) parse(text string) (float64, error) {
	switch percent, isPercent := strings.CutSuffix(text, "%"); {
	case u == elapsed:
		d, err := time.ParseDuration(text)
		return float64(d) / float64(time.Millisecond), err
	case u == share && isPercent:
		f, err := strconv.ParseFloat(percent, 64)
		return f / 100, err
	}
	return strconv.ParseFloat(text, 64)
}

// write formats a value for people.
func (u unit) write(v float64) string {
	switch u {
	case share:
		return strconv.FormatFloat(float64(int64(v*100000+0.5))/1000, 'f', -1, 64) + " %"
	case elapsed:
		return Millis(v)
	}
	return strconv.FormatFloat(float64(int64(v*10+0.5))/10, 'f', -1, 64)
}

// Millis writes a time given in milliseconds with three digits or so.
func Millis(ms float64) string {
	switch {
	case ms >= 10000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// A Verdict is what became of an objective.
type Verdict struct {
	Objective string
	Side      string
	Got       string
	Met       bool
}

// Judge holds each objective against the sides that ran.
func Judge(list []Objective, sides []Summary) []Verdict {
	var verdicts []Verdict
	for i := range list {
		verdicts = append(verdicts, list[i].judge(sides))
	}
	return verdicts
}

func (o *Objective) judge(sides []Summary) Verdict {
	v := Verdict{Objective: o.text, Side: o.Side, Got: "no such clients"}
	for i := range sides {
		s := &sides[i]
		if s.Clients == 0 || o.Side != "" && o.Side != s.Side {
			continue
		}
		// The resilient clients are the last, and count if no side is named.
		value := values[o.Name]
		got := value.of(s)
		v.Side, v.Got = s.Side, value.unit.write(got)
		v.Met = got <= o.Bound
		if o.Least {
			v.Met = got >= o.Bound
		}
	}
	return v
}

// Met reports whether all objectives are.
func Met(list []Verdict) bool {
	return !slices.ContainsFunc(list, func(v Verdict) bool { return !v.Met })
}
