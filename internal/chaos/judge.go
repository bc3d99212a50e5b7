package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

// zombieSlack is how late an app may read what reached it before its
// session's next socket was opened: its process competes with all others.
const zombieSlack = 250 * time.Millisecond

// A life is one app socket.
type life struct {
	sock   uint32
	opened int64
	wrote  uint32
	shut   bool
	last   int64 // the latest that it read, Unix ns
}

// A trail is what all app sockets of one session did.
type trail struct {
	in    inbound
	lives []*life // in the order of their opening
	alien int
}

// trails sorts the apps' records by session. They are put in the order of
// time first: apps on one machine share its clock.
func trails(records []record) map[uint32]*trail {
	slices.SortStableFunc(records, func(a, b record) int { return cmp.Compare(a.at, b.at) })
	all := map[uint32]*trail{}
	lives := map[uint32]*life{}
	for _, r := range records {
		t := all[r.key]
		if t == nil {
			t = &trail{}
			all[r.key] = t
		}
		l := lives[r.sock]
		if l == nil {
			l = &life{sock: r.sock, opened: r.at}
			lives[r.sock] = l
			t.lives = append(t.lives, l)
		}
		switch r.kind {
		case wrote:
			l.wrote = max(l.wrote, r.n)
		case got:
			t.in.take(r.sock, r.n)
			l.last = r.at
		case shut:
			l.shut = true
		case alien:
			t.alien++
		}
	}
	return all
}

// zombies counts the sockets that were spoken to although their successor
// had been opened: two owners at once (I5).
func (t *trail) zombies() int {
	n := 0
	for i, l := range t.lives[:max(0, len(t.lives)-1)] {
		if l.last > t.lives[i+1].opened+int64(zombieSlack) {
			n++
		}
	}
	return n
}

// judge compares what was sent with what arrived.
func (s *stage) judge(r *result) error {
	s.mu.Lock()
	files := slices.Clone(s.records)
	s.mu.Unlock()
	records, err := readRecords(files)
	if err != nil {
		return err
	}
	all := trails(records)
	r.Sessions = len(s.people.all)
	r.In = s.extra
	var resumes, gaps []time.Duration
	for _, p := range s.people.all {
		p.mu.Lock()
		t := all[p.key]
		if t == nil {
			t = &trail{}
		}
		r.session(p, t)
		p.people.window.Add(1)
		p.turn()
		resumes, gaps = slices.Concat(resumes, p.resumes), slices.Concat(gaps, p.gaps)
		p.mu.Unlock()
	}
	r.Resume, r.Gap = spreadOf(resumes), spreadOf(gaps)
	return nil
}

// session adds one session to the account.
func (r *result) session(p *person, t *trail) {
	told := false
	if p.ended != nil {
		told = true
		reason := "other"
		if lost, ok := errors.AsType[*client.SessionLostError](p.ended); ok {
			reason = string(lost.Reason)
		} else if code := client.CloseStatus(p.ended); code >= 0 {
			reason = fmt.Sprint("closed ", code)
		}
		r.Resets[reason]++
	}
	r.outbound(p, t, told)
	r.In.add(t, p.sent)
	if lost := t.in.lost(p.sent); told {
		r.In.Told += lost
		r.In.Lost -= lost
	}
	r.Zombies += t.zombies()
	r.Alien += p.bad + t.alien
	r.Resumed += p.resumed
	r.Moves += p.moves
	for reason, n := range maps.All(p.adopted) {
		r.Adopted[reason] += n
	}
	for _, l := range t.lives {
		if !l.shut {
			r.OpenSockets++
		}
	}
}

// add adds what arrived of sent inbound messages.
func (f *flow) add(t *trail, sent uint32) {
	f.Sent += int(sent)
	f.Got += t.in.got
	f.Lost += t.in.lost(sent)
	f.Doubled += t.in.doubled
	f.Again += t.in.again
	f.Reordered += t.in.reordered
}

// outbound: what the session's last app socket wrote must have come to the
// last message; what one before it wrote last may have gone down with it.
func (r *result) outbound(p *person, t *trail, told bool) {
	o := &p.out
	r.Out.Got += o.got
	r.Out.Doubled += o.doubled
	r.Out.Reordered += o.reordered + o.stale
	lost, tail := len(o.missing), 0
	for i, l := range t.lives {
		r.Out.Sent += int(l.wrote)
		missed := max(0, int(l.wrote)-int(o.highest(l.sock)))
		if i == len(t.lives)-1 {
			lost += missed
		} else {
			tail += missed
		}
	}
	r.Out.Tail += tail
	if told {
		r.Out.Told += lost
	} else {
		r.Out.Lost += lost
	}
}
