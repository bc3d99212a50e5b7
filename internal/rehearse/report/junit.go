package report

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The parts of JUnit's XML that CI systems read.
type suite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Time     string     `xml:"time,attr"`
	At       string     `xml:"timestamp,attr"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    string   `xml:"time,attr"`
	Failure *failure `xml:"failure,omitempty"`
}

type failure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit is the verdict for CI: a case for each objective, and one for each fault
// that was to be done.
func (r *Run) JUnit() (string, error) {
	s := suite{Name: r.Title, Time: fmt.Sprintf("%.3f", r.End.Seconds()), At: r.Began.UTC().Format("2006-01-02T15:04:05")}
	for _, v := range r.Verdicts {
		c := testCase{Class: "rehearsal.objectives." + v.Side, Name: v.Objective, Time: "0"}
		if !v.Met {
			c.Failure = &failure{Message: "measured " + v.Got}
		}
		s.add(c)
	}
	for i := range r.Faults {
		f := &r.Faults[i]
		c := testCase{Class: "rehearsal.faults", Name: fmt.Sprintf("%d. %s", i+1, f.Text), Time: fmt.Sprintf("%.3f", f.Took.Seconds())}
		if f.Failure != "" {
			c.Failure = &failure{Message: f.Failure, Text: f.Output}
		}
		s.add(c)
	}
	var b strings.Builder
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", "  ")
	err := e.Encode(&s)
	return b.String() + "\n", err
}

func (s *suite) add(c testCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
}
