package console

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// Limits of what is answered at once.
const (
	defaultListed = 100
	maxListed     = 1000
)

// A filter says which sessions are meant. The zero value means all.
type filter struct {
	id     string // what the id begins with
	path   string // what the path contains
	client netip.Prefix
	states []string
	kind   string // "": both
}

// A listing is what one asks of /sessions.
type listing struct {
	filter filter
	order  order
	limit  int
	after  place // where the answer before this one ended
}

// parseFilter reads the parameters that a list of sessions, of events and of ends
// have in common. Its error is for whoever asked.
// They may come with others.
func parseFilter(q url.Values, others ...string) (f filter, err error) {
	if err = knows(q, append([]string{"id", "path", "client"}, others...)...); err != nil {
		return f, err
	}
	f.id = strings.ToLower(q.Get("id"))
	if f.id != "" && !beginsID(f.id) {
		return f, fmt.Errorf("id=%s is no beginning of a session's id: up to 32 digits from 0 to f", q.Get("id"))
	}
	f.path = q.Get("path")
	if f.client, err = parseClient(q.Get("client")); err != nil {
		return f, err
	}
	if list := q.Get("state"); list != "" {
		for state := range strings.SplitSeq(list, ",") {
			if !slices.Contains(States(), state) {
				return f, fmt.Errorf("state=%s: allowed are %s, or several with commas", list, strings.Join(States(), ", "))
			}
			f.states = append(f.states, state)
		}
	}
	switch f.kind = q.Get("kind"); f.kind {
	case "", event.Plain.String(), event.Resilient.String():
	default:
		return f, fmt.Errorf("kind=%s: allowed are plain and resilient", f.kind)
	}
	return f, nil
}

// States are the values of the parameter state: those of sessions that live.
func States() (list []string) {
	for p := session.PhaseAttached; p < session.PhaseEnded; p++ {
		list = append(list, p.String())
	}
	return list
}

// parseClient reads an address, a network, or the beginning of an address of IPv4.
func parseClient(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
	}
	parts := strings.Split(strings.TrimSuffix(s, "."), ".")
	if n := len(parts); n < 4 {
		if a, err := netip.ParseAddr(strings.Join(append(parts, slices.Repeat([]string{"0"}, 4-n)...), ".")); err == nil {
			return netip.PrefixFrom(a, 8*n), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("client=%s is no address: an address such as 203.0.113.7 or 2001:db8::1, a network such as 203.0.113.0/24, or the beginning of an IPv4 address such as 203.0", s)
}

// beginsID reports whether s can be the beginning of an id.
func beginsID(s string) bool {
	return s != "" && len(s) <= 2*len(wire.SessionID{}) && strings.Trim(s, "0123456789abcdef") == ""
}

// about reports whether a subject, and an id, are meant.
func (f *filter) about(id wire.SessionID, kind event.ClientKind, who *event.Subject) bool {
	return (f.id == "" || strings.HasPrefix(id.String(), f.id)) && (f.kind == "" || kind.String() == f.kind) &&
		(f.path == "" || strings.Contains(who.Path(), f.path)) && f.from(who)
}

// from reports whether a client is in the network that is meant, as far as is
// known of it: of one of which only its network is told, that it may be.
func (f *filter) from(who *event.Subject) bool {
	if !f.client.IsValid() {
		return true
	}
	known := who.ClientPrefix()
	return known.IsValid() && known.Overlaps(f.client)
}

func (f *filter) inState(state string) bool {
	return len(f.states) == 0 || slices.Contains(f.states, state)
}

func parseListing(q url.Values) (l listing, err error) {
	if l.filter, err = parseFilter(q, "state", "kind", "sort", "limit", "cursor"); err != nil {
		return l, err
	}
	if l.limit, err = parseLimit(q, "limit", defaultListed); err != nil {
		return l, err
	}
	if l.order, err = orderNamed(q.Get("sort")); err != nil {
		return l, err
	}
	l.after, err = parsePlace(q.Get("cursor"))
	return l, err
}

// parseLimit reads how much is asked for.
func parseLimit(q url.Values, name string, unsaid int) (int, error) {
	s := q.Get(name)
	if s == "" {
		return unsaid, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxListed {
		return 0, fmt.Errorf("%s=%s: allowed is 1 to %d", name, s, maxListed)
	}
	return n, nil
}

// knows refuses parameters that are not there: a filter with a slip in it would
// show everything.
func knows(q url.Values, names ...string) error {
	for name, values := range q {
		switch {
		case len(names) == 0:
			return fmt.Errorf("there is no parameter %q, nor any other", name)
		case !slices.Contains(names, name):
			return fmt.Errorf("there is no parameter %q: allowed are %s", name, strings.Join(names, ", "))
		}
		if len(values) > 1 {
			return fmt.Errorf("%s is given %d times", name, len(values))
		}
	}
	return nil
}
