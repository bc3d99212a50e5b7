package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// Columns of the text.
const (
	markWidth = 8
	nameWidth = 11
	textWidth = 100
)

// WriteText writes a report for people.
func WriteText(w io.Writer, r *diagnosis.Report) {
	if r.URL != "" {
		fmt.Fprintln(w, r.URL)
	}
	if len(r.Behind) > 0 {
		fmt.Fprintf(w, "what showed itself on the way: %s\n", strings.Join(r.Behind, ", "))
	}
	if r.URL != "" {
		fmt.Fprintln(w)
	}
	for _, c := range r.Checks {
		mark := "ok"
		if !c.OK {
			mark = "-"
		}
		fmt.Fprintf(w, "%-*s%-*s%s\n", markWidth, mark, nameWidth, c.Name, c.Said)
	}
	for _, f := range r.Findings {
		fmt.Fprintln(w)
		writeFinding(w, &f)
	}
	fmt.Fprintln(w)
	if r.Cut != "" {
		fmt.Fprintln(w, r.Cut)
	}
	switch n := len(r.Bad()); n {
	case 0:
		fmt.Fprintln(w, "Nothing is wrong, as far as this can see.")
	case 1:
		fmt.Fprintln(w, "1 finding.")
	default:
		fmt.Fprintf(w, "%d findings, the worst first.\n", n)
	}
}

func writeFinding(w io.Writer, f *diagnosis.Finding) {
	wrap(w, fmt.Sprintf("%-*s", markWidth, strings.ToUpper(string(f.Severity))), f.What+" ["+f.ID+"]")
	if len(f.Blame) > 0 {
		parties := make([]string, 0, len(f.Blame))
		for _, p := range f.Blame {
			parties = append(parties, string(p))
		}
		wrap(w, "  who     ", strings.Join(parties, ", or "))
	}
	for _, s := range f.Seen {
		wrap(w, "  seen    ", s)
	}
	if f.Do != "" {
		wrap(w, "  do      ", f.Do)
	}
	if f.Severity == diagnosis.Note {
		return
	}
	for _, s := range f.Set {
		if strings.HasPrefix(s.Set, "nothing") && len(f.Set) > 2 {
			continue // it is for who knows what is there
		}
		text := s.Proxy + ": " + s.Set
		if s.Note != "" {
			text += " (" + s.Note + ")"
		}
		wrap(w, "  set     ", text)
	}
}

// wrap writes text in lines, the first behind head and the others below it.
func wrap(w io.Writer, head, text string) {
	line := head
	for i, word := range strings.Fields(text) {
		if len(line)+1+len(word) > textWidth && i > 0 {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line = strings.Repeat(" ", len(head))
		}
		if strings.TrimSpace(line) != "" && i > 0 && !strings.HasSuffix(line, " ") {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, line)
}

// WriteJSON writes a report for programs.
func WriteJSON(w io.Writer, r *diagnosis.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
