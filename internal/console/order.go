package console

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/wire"
)

// An order is what comes first in a list: a number that each session has, the
// larger the earlier. Sessions with the same are ordered by id.
type order struct {
	name string
	of   func(*proxy.SessionView) int64
}

var orders = []order{
	{"id", func(*proxy.SessionView) int64 { return 0 }},
	{"newest", func(v *proxy.SessionView) int64 { return v.Began.UnixNano() }},
	{"oldest", func(v *proxy.SessionView) int64 { return -v.Began.UnixNano() }},
	{"held", func(v *proxy.SessionView) int64 { return int64(v.ToClient.Bytes + v.ToApp.Bytes) }},
	{"rtt", func(v *proxy.SessionView) int64 { return int64(v.Link.RTT) }},
	{"deviation", func(v *proxy.SessionView) int64 { return int64(v.Link.Deviation) }},
	{"loss", func(v *proxy.SessionView) int64 { return int64(v.Link.Loss * 1e6) }},
	{"away", func(v *proxy.SessionView) int64 { return int64(v.Away) }},
	{"expires", func(v *proxy.SessionView) int64 { // those that end soonest
		if v.ExpiresIn == 0 {
			return -1 << 62
		}
		return -int64(v.ExpiresIn)
	}},
	{"journal", func(v *proxy.SessionView) int64 { return int64(v.Journal.Lacks) }},
}

func orderNamed(name string) (order, error) {
	for _, o := range orders {
		if o.name == cmp.Or(name, "id") {
			return o, nil
		}
	}
	return order{}, fmt.Errorf("sort=%s: allowed are %s", name, strings.Join(Orders(), ", "))
}

// A place is where a session stands in a list. What a number of it says may change
// while one goes through the list: only in the order of ids, and of ages, each
// session comes exactly once.
type place struct {
	given  bool
	number int64
	id     wire.SessionID
}

func (p place) String() string { return strconv.FormatInt(p.number, 10) + "_" + p.id.String() }

func parsePlace(s string) (p place, err error) {
	if s == "" {
		return p, nil
	}
	number, id, _ := strings.Cut(s, "_")
	p.given = true
	if p.number, err = strconv.ParseInt(number, 10, 64); err == nil {
		p.id, err = parseID(id)
	}
	if err != nil {
		return p, fmt.Errorf("cursor=%s is none that an answer had as next", s)
	}
	return p, nil
}

func parseID(s string) (id wire.SessionID, err error) {
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("%q is no session's id: it has %d digits from 0 to f", s, 2*len(id))
	}
	_, err = hex.Decode(id[:], []byte(s))
	return id, err
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(q.number, p.number), bytes.Compare(p.id[:], q.id[:]))
}

// A placed session is one that may be among those that are answered.
type placed struct {
	place
	view proxy.SessionView
}

// best keeps those that come first, the last of them on top.
type best []placed

func (b best) Len() int           { return len(b) }
func (b best) Less(i, j int) bool { return b[i].compare(b[j].place) > 0 }
func (b best) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *best) Push(x any)        { *b = append(*b, x.(placed)) }
func (b *best) Pop() any          { panic("console: nothing is popped") }

// list picks the sessions that are asked for. Whatever number there is, no more of
// them are held than are answered. When whoever asked is gone, so are the rest.
func (l *listing) list(all iter.Seq[proxy.SessionView], look *look) (found []placed, matched, lives int, more bool) {
	var first best
	for v := range all {
		if !look.at() {
			break
		}
		lives++
		if !l.filter.inState(v.Phase.String()) || !l.filter.about(v.ID, v.Kind, v.Subject) {
			continue
		}
		matched++
		p := placed{place{true, l.order.of(&v), v.ID}, v}
		switch {
		case l.after.given && p.compare(l.after) <= 0:
		case len(first) < l.limit:
			heap.Push(&first, p)
		default:
			more = true
			if p.compare(first[0].place) < 0 {
				first[0] = p
				heap.Fix(&first, 0)
			}
		}
	}
	slices.SortFunc(first, func(a, b placed) int { return a.compare(b.place) })
	return first, matched, lives, more
}

// Orders are the values of the parameter sort.
func Orders() (names []string) {
	for _, o := range orders {
		names = append(names, o.name)
	}
	return names
}
