package rehearse

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/report"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

func (r *run) result(calm, end time.Duration) *report.Run {
	clients := r.load.Accounts()
	out := &report.Run{
		Title: r.Title, Command: r.Command, Target: shown(r.Target), Profile: r.Profile.Name, Began: time.Now().Add(-r.load.Now()), Seed: r.Seed,
		Calm: calm, End: end, Late: time.Duration(r.Profile.Late), Notes: r.Notes, Faults: r.faults, Environment: r.environment(),
	}
	frame := tally.Frame{Calm: calm, End: end, Late: out.Late}
	for side := range tally.Sides {
		s := tally.Summarise(side, clients, frame)
		if s.Clients == 0 {
			continue
		}
		out.Sides = append(out.Sides, s)
		out.Series = append(out.Series, tally.Series(side, clients, end))
		out.Oddities = append(out.Oddities, tally.Oddities(side, clients, out.Late))
		for i := range out.Faults {
			until := end + r.Settle
			if i+1 < len(out.Faults) {
				until = out.Faults[i+1].At
			}
			out.Faults[i].Effects = append(out.Faults[i].Effects, tally.EffectOf(side, clients, out.Faults[i].At, until))
		}
	}
	if n := r.network; n.path != nil {
		carried, lost := n.path.Packets()
		out.Notes = append(slices.Clone(out.Notes), fmt.Sprintf("Of %d packets between the clients and the link %d were lost.", carried+lost, lost))
	}
	out.Reasons = r.why
	out.Verdicts = tally.Judge(r.Objectives, out.Sides)
	return out
}

// shown is a URL without what may be secret: user and query.
func shown(u *url.URL) string {
	v := *u
	v.User, v.Fragment = nil, ""
	if v.RawQuery != "" {
		v.RawQuery = "…"
	}
	return v.String()
}
