package drain

import (
	"testing"
	"time"
)

// Every number of a drain follows from one.
func TestPlan(t *testing.T) {
	for total, want := range map[time.Duration]Schedule{
		time.Second:      {200 * time.Millisecond, 800*time.Millisecond - time.Second/3, time.Second / 3},
		25 * time.Second: {5 * time.Second, 17500 * time.Millisecond, 2500 * time.Millisecond},
		time.Hour:        {maxNotice, time.Hour - maxNotice - 6*time.Minute, 6 * time.Minute},
	} {
		got := Plan(total)
		if got != want {
			t.Errorf("%v: %+v, want %+v", total, got, want)
		}
		if sum := got.Notice + got.Move + got.Stragglers; sum != total {
			t.Errorf("%v: it takes %v", total, sum)
		}
	}
}

// What an app owes is waited for as long as the drain allows, and its client.
func TestPatience(t *testing.T) {
	for total, want := range map[time.Duration]time.Duration{
		time.Second: 200 * time.Millisecond, 25 * time.Second: 5 * time.Second, time.Hour: maxPatience,
	} {
		if got := Patience(total); got != want {
			t.Errorf("%v in a drain of %v, want %v", got, total, want)
		}
	}
	f := Facts{Schedule: Plan(25 * time.Second), Began: began}
	for passed, want := range map[time.Duration]time.Duration{
		0: 23500 * time.Millisecond, 22500 * time.Millisecond: time.Second, 24 * time.Second: 0, 26 * time.Second: 0,
	} {
		if f.Now = at(passed); f.Patience() != want {
			t.Errorf("%v after %v, want %v", f.Patience(), passed, want)
		}
	}
}

// The last client is asked when its app still has all of its patience, where
// the drain is long enough for that.
func TestLastAsked(t *testing.T) {
	for _, total := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 15 * time.Second, 25 * time.Second, time.Minute, time.Hour} {
		f := Facts{Schedule: Plan(total), Began: began}
		last := f.lastAsked()
		f.Now = last.Add(MoveDelay) // the client has come elsewhere
		if total >= 10*time.Second && f.Patience() < Patience(total) {
			t.Errorf("%v: %v are left of %v", total, f.Patience(), Patience(total))
		}
		if asking := last.Sub(began) - f.Schedule.Notice + MoveDelay; asking < f.Schedule.Move/2 || asking > f.Schedule.Move {
			t.Errorf("%v: clients are asked during %v of %v", total, asking, f.Schedule.Move)
		}
	}
}

// Apps that answer soon leave more time for moves.
func TestLastAskedOfQuickApps(t *testing.T) {
	for answers, want := range map[time.Duration]time.Duration{
		0:                      18 * time.Second, // as if they took all of their patience
		time.Minute:            18 * time.Second,
		2 * time.Second:        19 * time.Second,
		time.Second:            21 * time.Second,
		100 * time.Millisecond: 22 * time.Second, // the end of the time for moves
	} {
		f := Facts{Schedule: Plan(25 * time.Second), Began: began, Answers: answers}
		if last := f.lastAsked().Sub(began); last != want {
			t.Errorf("apps that answer in %v: the last is asked after %v, want %v", answers, last, want)
		}
	}
}

// Clients are asked at an even rate: one at once, all by the end, and never
// more than their share.
func TestShare(t *testing.T) {
	const span = 10 * time.Second
	for _, n := range []int{0, 1, 2, 7, 1000} {
		before := 0
		for passed := time.Duration(0); passed <= span; passed += 20 * time.Millisecond {
			due := share(n, passed, span)
			fair := int(float64(n)*float64(passed)/float64(span)) + 1
			if due < before || due > n || due > fair && passed < span {
				t.Errorf("%d of %d are due after %v, %d before that", due, n, passed, before)
			}
			before = due
		}
		if before != n {
			t.Errorf("%d of %d were asked", before, n)
		}
		if due := share(n, 0, -time.Second); due != n {
			t.Errorf("without time, %d of %d are due", due, n)
		}
		if due := share(n, 0, span); due != min(n, 1) {
			t.Errorf("%d of %d are due at once", due, n)
		}
	}
}

var began = time.Unix(1_800_000_000, 0)

// at is a moment of a drain with 5 s of notice, 10.5 s for moving and 2 s for
// stragglers.
func at(passed time.Duration) time.Time { return began.Add(passed) }

func facts(passed time.Duration) *Facts {
	return &Facts{
		Schedule: Schedule{5 * time.Second, 10500 * time.Millisecond, 2 * time.Second},
		Peers:    true, Began: began, Now: at(passed), Resilient: 10, Plain: 2, Created: 12,
	}
}

// moving is the moving part, from its first moment, with all that was there in
// the list.
func moving(passed time.Duration, moved int) *Facts {
	f := facts(5*time.Second + passed)
	f.Refusing, f.Listed, f.Clients, f.Moved = true, at(5*time.Second), 10, moved
	return f
}

func TestNext(t *testing.T) {
	last, end := at(15500*time.Millisecond), at(17500*time.Millisecond)
	for _, tt := range []struct {
		name  string
		facts *Facts
		given func(*Facts)
		want  Step
	}{
		{"notice", facts(0), nil, Wait{at(5 * time.Second)}},
		{"notice, although nobody is here", facts(time.Second), func(f *Facts) { f.Resilient, f.Plain = 0, 0 }, Wait{at(5 * time.Second)}},
		{"notice is over", facts(5 * time.Second), nil, Refuse{}},
		{"new clients are refused", facts(5 * time.Second), func(f *Facts) { f.Refusing = true }, List{}},
		{"no peers", facts(6 * time.Second), func(f *Facts) { f.Refusing, f.Peers, f.Attached = true, false, 1 }, Wait{at(6500 * time.Millisecond)}},
		{"no peers, and nearly over", facts(15400 * time.Millisecond), func(f *Facts) { f.Refusing, f.Peers, f.Attached = true, false, 1 }, Wait{last}},
		{"no peers, and nobody is here", facts(5 * time.Second), func(f *Facts) { f.Refusing, f.Peers, f.Resilient, f.Plain = true, false, 0, 0 }, Done{}},
		{"no peers, and all clients are away", facts(5 * time.Second), func(f *Facts) { f.Refusing, f.Peers, f.Plain = true, false, 0 }, HandOver{}},
		{"the first moves at once", moving(0, 0), nil, Move{1}},
		{"the second moves after its share", moving(0, 1), nil, Wait{at(5700 * time.Millisecond)}},
		{"the second moves", moving(time.Second, 1), nil, Move{1}},
		{"those that are late move together", moving(4500*time.Millisecond, 4), nil, Move{3}},
		{"not more often than the pace", moving(0, 1), func(f *Facts) { f.Clients = 10_000 }, Wait{at(5*time.Second + pace)}},
		{"all have moved", moving(10*time.Second, 9), nil, Move{1}},
		{"those still here are asked again", moving(10*time.Second, 10), nil, Remind{}},
		{"but not before their time", moving(10*time.Second, 10), func(f *Facts) { f.NextAsk = at(15200 * time.Millisecond) }, Wait{at(15200 * time.Millisecond)}},
		{"nor behind the end", moving(10*time.Second, 10), func(f *Facts) { f.NextAsk = at(time.Minute) }, Wait{last}},
		{"only tunnels are left", moving(10*time.Second, 10), func(f *Facts) { f.Resilient, f.Tunnels, f.NextAsk = 0, 1, last }, Wait{at(15*time.Second + pace)}},
		{"only plain ones are left", moving(time.Second, 1), func(f *Facts) { f.Resilient = 0 }, Wait{last}},
		{"nobody is left", moving(time.Second, 1), func(f *Facts) { f.Resilient, f.Plain = 0, 0 }, Done{}},
		{"the time for moving is over", moving(10500*time.Millisecond, 3), nil, HandOver{}},
		{"all are on their way", moving(11*time.Second, 3), func(f *Facts) { f.HandedOver = 12 }, Wait{end}},
		{"one came late", moving(11*time.Second, 3), func(f *Facts) { f.HandedOver, f.Created = 12, 13 }, HandOver{}},
		{"all are handed over", moving(11*time.Second, 3), func(f *Facts) { f.HandedOver, f.Resilient, f.Plain = 12, 0, 0 }, Done{}},
		{"the time is up", moving(12500*time.Millisecond, 3), func(f *Facts) { f.HandedOver = 12 }, Done{12}},
		{"no time at all", facts(0), func(f *Facts) { f.Schedule = Schedule{}; f.Refusing = true }, Done{12}},
	} {
		if tt.given != nil {
			tt.given(tt.facts)
		}
		if got := Next(tt.facts); got != tt.want {
			t.Errorf("%s: %T%+v, want %T%+v", tt.name, got, got, tt.want, tt.want)
		}
	}
}

// TestPlay plays drains with sessions that never leave: every wait ends later
// than it began, everybody is moved within the time, and the drain ends with
// its schedule.
func TestPlay(t *testing.T) {
	for _, clients := range []int{0, 1, 3, 999, 100_000} {
		for _, total := range []time.Duration{0, time.Second, 25 * time.Second, time.Hour} {
			f := &Facts{Schedule: Plan(total), Peers: true, Began: began, Now: began, Resilient: clients, Created: clients}
			var step Step
			steps := 0
			for done := false; !done; steps++ {
				switch step = Next(f); step := step.(type) {
				case Wait:
					if !step.Until.After(f.Now) || step.Until.After(f.End()) {
						t.Fatalf("%d clients in %v: at %v it waits until %v", clients, total, f.Now.Sub(began), step.Until.Sub(began))
					}
					f.Now = step.Until
				case Refuse:
					f.Refusing = true
				case List:
					f.Listed, f.Clients = f.Now, clients
				case Move:
					f.Moved += step.N
				case Remind:
					f.NextAsk = f.Now.Add(AskAgain)
				case HandOver:
					f.HandedOver = f.Created
				case Done:
					done = true
				}
			}
			if step != (Done{clients}) || clients > 0 && !f.Now.Equal(f.End()) || total > 0 && f.Moved != clients {
				t.Errorf("%d clients in %v: %+v after %v and %d moves", clients, total, step, f.Now.Sub(began), f.Moved)
			}
			if most := 20 + 2*min(clients, int(total/pace)) + 2*int(total/AskAgain); steps > most {
				t.Errorf("%d clients in %v: %d steps, want at most %d", clients, total, steps, most)
			}
		}
	}
}
