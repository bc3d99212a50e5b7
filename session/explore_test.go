package session

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
	"testing"
)

var exploreDepth = flag.Int("explore", 3, "how many things happen in an exploration, one behind the other")

// A move is one thing that may happen in an exploration.
type move struct {
	name    string
	op, arg byte
}

// moves are small: one message, one answer of the journal, one end of an owner.
var moves = []move{
	{"the client says a message", 0, 0},
	{"the client acknowledges", 2, 0},
	{"the app says a message", 3, 0},
	{"what the client sent arrives", 5, 255},
	{"a part of it arrives", 5, 9},
	{"what the app said arrives", 6, 255},
	{"the client's socket takes all", 7, 127},
	{"it takes a part", 7, 6},
	{"the app's socket takes all", 8, 127},
	{"it takes a part", 8, 3},
	{"the connection breaks", 9, 0},
	{"the client comes back", 10, 0},
	{"time passes, and the journal takes the record", 11, 64},
	{"the record is refused for now", 11, 70},
	{"the record is taken, and the answer is lost", 11, 78},
	{"the journal has lost all", 11, 7},
	{"the app's fresh socket is there", 19, 0},
	{"the app's socket ends", 20, 1},
	{"the app's connection breaks", 20, 2},
	{"the session is handed over", 21, 1},
	{"the owner dies, and the record is in the journal", 22, 0},
	{"the owner dies, and the record is not", 22, 1},
	{"the process was stopped", 23, 0},
}

// Every order in which a few things can happen, between a session, its client, its app,
// its journal and its next owner, keeps every promise; and from wherever that leads,
// everything arrives once nothing is broken any more. States that have been seen are
// not gone on from.
func TestExplore(t *testing.T) {
	guide := simGuide(t)
	var path []int
	defer func() {
		if t.Failed() {
			var names []string
			for _, i := range path {
				names = append(names, moves[i].name)
			}
			t.Logf("after: %s", strings.Join(names, "; "))
		}
	}()
	replay := func(mode byte) *sim {
		m := newSim(t, guide, mode)
		for _, i := range path {
			m.step(moves[i].op, moves[i].arg)
		}
		return m
	}
	states, steps := 0, 0
	for _, mode := range []byte{0, simWaits, simRules} {
		seen := map[uint64]bool{}
		frontier := [][]int{nil}
		for range *exploreDepth {
			var next [][]int
			for _, from := range frontier {
				for i := range moves {
					path = append(append([]int(nil), from...), i)
					m := replay(mode)
					steps++
					d := digest(m)
					if seen[d] {
						continue
					}
					seen[d] = true
					if !m.over {
						next = append(next, path)
					}
					m.heal()
				}
			}
			frontier = next
		}
		states += len(seen)
	}
	t.Logf("%d states by %d steps, %d deep", states, steps, *exploreDepth)
	if states < 1000 {
		t.Errorf("only %d states", states)
	}
}

// digest tells states apart: all that the session and those around it hold.
func digest(m *sim) uint64 {
	h := fnv.New64a()
	var b [8]byte
	word := func(n uint64) {
		binary.LittleEndian.PutUint64(b[:], n)
		h.Write(b[:])
	}
	var walk func(v reflect.Value, depth int)
	walk = func(v reflect.Value, depth int) {
		if depth > 40 {
			panic("a state is deeper than that")
		}
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if v.IsNil() {
				word(0)
				return
			}
			switch v.Type().String() {
			case "*testing.T", "*session.Config", "*snapshot.Policy", "*seqwindow.Pool", "*frame.Buffers", "*heartbeat.Config":
				return // the same for all
			}
			walk(v.Elem(), depth+1)
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[Output]() || v.Type() == reflect.TypeFor[Counters]() {
				return // what was said of it, not what it is
			}
			for i := range v.NumField() {
				walk(v.Field(i), depth+1)
			}
		case reflect.Slice:
			word(uint64(v.Len()))
			if v.Type().Elem().Kind() == reflect.Uint8 {
				h.Write(v.Bytes())
				return
			}
			for i := range v.Len() {
				walk(v.Index(i), depth+1)
			}
		case reflect.Array:
			if v.Len() > 1024 {
				return // a chunk of a window: what is in it is counted beside it
			}
			for i := range v.Len() {
				walk(v.Index(i), depth+1)
			}
		case reflect.Func, reflect.Map, reflect.Chan, reflect.UnsafePointer:
		case reflect.Bool:
			if v.Bool() {
				word(1)
			} else {
				word(0)
			}
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			word(uint64(v.Int()))
		case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
			word(v.Uint())
		default:
			fmt.Fprintf(h, "%v ", v)
		}
	}
	walk(reflect.ValueOf(m).Elem(), 0)
	return h.Sum64()
}
