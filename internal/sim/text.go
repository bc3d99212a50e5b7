package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var habitNames = [...]string{Echoes: "echoes", Thinks: "thinks", Ticks: "ticks", Answers: "answers", Listens: "listens"}

// Text is a plan as a file of testdata has it. Parse reads it.
func (p *Plan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\npods %d\napps", p.Seed, p.Pods)
	for _, h := range p.Habits {
		fmt.Fprint(&b, " ", habitNames[h])
	}
	fmt.Fprintf(&b, "\nlength %v\nwrites every %v\n", p.Length, p.Every)
	if p.Skew != 0 {
		fmt.Fprintf(&b, "clocks differ by steps of %v\n", p.Skew)
	}
	for i := range p.Faults {
		fmt.Fprintln(&b, &p.Faults[i])
	}
	return b.String()
}

// Parse reads what Text has written. Lines that begin with # are for readers.
func Parse(text string) (*Plan, error) {
	p := &Plan{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.parse(line); err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", n, line, err)
		}
	}
	if p.Pods < 1 || p.Clients < 1 || p.Length <= 0 || p.Every <= 0 {
		return nil, fmt.Errorf("a history needs the lines pods, apps, length and writes every")
	}
	return p, nil
}

func (p *Plan) parse(line string) (err error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "seed":
		_, err = fmt.Sscanf(rest, "%d", &p.Seed)
	case "pods":
		_, err = fmt.Sscanf(rest, "%d", &p.Pods)
	case "apps":
		for _, name := range strings.Fields(rest) {
			h := slices.Index(habitNames[:], name)
			if h < 0 {
				return fmt.Errorf("%q is none of %s", name, strings.Join(habitNames[:], ", "))
			}
			p.Habits = append(p.Habits, Habit(h))
		}
		p.Clients = len(p.Habits)
	case "length":
		p.Length, err = time.ParseDuration(rest)
	case "writes":
		p.Every, err = time.ParseDuration(strings.TrimPrefix(rest, "every "))
	case "clocks":
		p.Skew, err = time.ParseDuration(strings.TrimPrefix(rest, "differ by steps of "))
	case "at":
		return p.parseFault(rest)
	default:
		return fmt.Errorf("%q is none of seed, pods, apps, length, writes, clocks, at", word)
	}
	return err
}

func (p *Plan) parseFault(rest string) error {
	words := strings.Fields(rest)
	if len(words) != 5 {
		return fmt.Errorf("want: at TIME FAULT client=N or pod=N how=N for=TIME")
	}
	var f Fault
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return err
	}
	kind := slices.Index(kindNames[:], words[1])
	if kind < 0 {
		return fmt.Errorf("%q is none of %s", words[1], strings.Join(kindNames[:], ", "))
	}
	f.At, f.Kind = at, Kind(kind)
	who := "pod"
	if f.Kind.ofClient() {
		who = "client"
	}
	if _, err := fmt.Sscanf(words[2]+" "+words[3], who+"=%d how=%d", &f.Who, &f.How); err != nil {
		return fmt.Errorf("want %s=N how=N: %w", who, err)
	}
	if f.For, err = time.ParseDuration(strings.TrimPrefix(words[4], "for=")); err != nil {
		return err
	}
	if most := map[bool]int{true: p.Clients, false: p.Pods}[f.Kind.ofClient()]; f.Who < 0 || f.Who >= most || f.How < 0 || f.Kind == Partition && f.How >= p.Pods {
		return fmt.Errorf("there are %d of those", most)
	}
	p.Faults = append(p.Faults, f)
	return nil
}
