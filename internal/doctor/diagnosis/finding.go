package diagnosis

import (
	"slices"
	"strings"
)

// A Severity is how much a finding matters.
type Severity string

// Severities. Notes are no findings: nothing has to be done about them.
const (
	Problem Severity = "problem" // clients fail, or will
	Warning Severity = "warning" // some clients fail, or at times
	Note    Severity = "note"
)

// A Party is who can be to blame.
type Party string

// The parties.
const (
	Client  Party = "client"
	Path    Party = "path" // proxies, load balancers, NAT, firewalls
	Sidecar Party = "sidecar"
	App     Party = "app"
	DNS     Party = "DNS"
)

// A Finding is one thing that is not as it should be.
type Finding struct {
	ID       string   `json:"id"` // stable
	Severity Severity `json:"severity"`
	Blame    []Party  `json:"blame,omitempty"` // the likeliest first
	What     string   `json:"what"`
	Seen     []string `json:"seen,omitempty"` // the evidence
	Do       string   `json:"do,omitempty"`
	Set      []Remedy `json:"set,omitempty"`
}

// A Check is one thing that was looked at.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Said string `json:"said"`
}

// A Report is the whole.
type Report struct {
	URL      string    `json:"url,omitempty"`
	Cut      string    `json:"cut,omitempty"` // why it is not complete
	Behind   []string  `json:"behind"`        // proxies that showed themselves
	Checks   []Check   `json:"checks"`
	Findings []Finding `json:"findings"`
}

// Bad are the findings that are more than notes.
func (r *Report) Bad() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Severity == Note })
}

// findings collects them.
type findings struct {
	list   []Finding
	behind []string
}

// add puts f in, with what to set for a symptom.
func (c *findings) add(f Finding, symptom Symptom) {
	for _, old := range c.list {
		if old.ID == f.ID && old.What == f.What {
			return
		}
	}
	f.Set = remedies(symptom, c.behind)
	f.Seen = slices.DeleteFunc(f.Seen, func(s string) bool { return strings.TrimSpace(s) == "" })
	c.list = append(c.list, f)
}

// Diagnose judges the facts. Problems come first.
func Diagnose(f *Facts) *Report {
	c := &findings{behind: Behind(f)}
	for _, rule := range []func(*Facts, *findings){
		names, addresses, certificates, handshakes, sometimes, negotiation, sidecars, resumes,
		beats, volumes, silences, streams, heads, messages, http2, clocks, comparison,
	} {
		rule(f, c)
	}
	sortFindings(c.list)
	return &Report{URL: f.URL, Behind: c.behind, Checks: checks(f), Findings: c.list}
}

// sortFindings puts the worst first.
func sortFindings(list []Finding) {
	order := map[Severity]int{Problem: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(list, func(a, b Finding) int { return order[a.Severity] - order[b.Severity] })
}
