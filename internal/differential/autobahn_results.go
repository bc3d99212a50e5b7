package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A verdict is what Autobahn makes of one case: of the messages, of the close, and
// of the close code that it got.
type verdict struct {
	Behavior        string `json:"behavior"`
	BehaviorClose   string `json:"behaviorClose"`
	RemoteCloseCode *int   `json:"remoteCloseCode"` // nil: none came
}

func (v verdict) String() string {
	code := "no code"
	if v.RemoteCloseCode != nil {
		code = strconv.Itoa(*v.RemoteCloseCode)
	}
	return fmt.Sprintf("%s, close %s, %s", v.Behavior, v.BehaviorClose, code)
}

// results are the verdicts on one agent, by case.
type results map[string]verdict

// readResults reads an index.json: results by agent.
func readResults(r io.Reader) (map[string]results, error) {
	var all map[string]results
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return nil, fmt.Errorf("results of Autobahn: %w", err)
	}
	return all, nil
}

// compareResults tells in which cases an agent behaves in another way through the
// sidecar, in the order of the cases. No results are no comparison.
func compareResults(direct, through results) (differences []string, err error) {
	if len(direct) == 0 || len(through) == 0 {
		return nil, errors.New("no case was run")
	}
	cases := maps.Clone(direct)
	maps.Copy(cases, through)
	for _, name := range slices.SortedFunc(maps.Keys(cases), compareCases) {
		d, here := direct[name]
		t, there := through[name]
		switch {
		case !there:
			differences = append(differences, name+": only directly")
		case !here:
			differences = append(differences, name+": only through the sidecar")
		case d.String() != t.String():
			differences = append(differences, fmt.Sprintf("%s: directly %v; through %v", name, d, t))
		}
	}
	return differences, nil
}

// compareCases compares names as 7.1.6 and 10.1.1 part by part.
func compareCases(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(a, b string) int {
		m, err := strconv.Atoi(a)
		n, err2 := strconv.Atoi(b)
		if err != nil || err2 != nil {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(m, n)
	})
}
