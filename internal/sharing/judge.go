package sharing

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/internal/merge"
)

// A Judge decides which of the clients' messages about a state the app gets, by what
// the state is at the end of the log. It is not safe for concurrent use.
type Judge struct {
	*State // of all that the app has said

	writes   merge.Registers
	versions merge.Versions
	came     merge.Vector
	told     map[string]uint32 // by register: number in the log of what the app said first after its last write
	untold   map[string]bool   // registers of which it has not said anything since
	unsaved  map[string]bool   // registers that the journal does not know
}

// Judge returns that of a session on path; nil if no rule is about what clients say
// there.
func (p *Policy) Judge(path string) *Judge {
	s := p.State(path)
	if s == nil {
		return nil
	}
	for _, r := range s.rules {
		if r.change != nil {
			return &Judge{State: s, told: map[string]uint32{}, untold: map[string]bool{}, unsaved: map[string]bool{}}
		}
	}
	return nil
}

// A Write is a message of a client.
type Write struct {
	Device uint16
	N      uint32    // number of the message among those of the device
	Has    uint32    // the last message of the log that the device has
	Now    time.Time // when it came

	// Behind is by how much the device's clock is behind; 0 if that is not known.
	Behind time.Duration
}

// A Refusal is why the app does not get a message.
type Refusal struct {
	Key     string
	Present []byte // the frame of the app's message that is the state; nil: there is none
	Say     []byte // the client hears this instead
}

// Said shows a message of the app, number seq in the log.
func (j *Judge) Said(seq uint32, payload, frame []byte) {
	j.State.Said(payload, frame)
	if len(j.untold) == 0 {
		return
	}
	if n, ok := j.State.nameOf(payload); ok {
		if r := n.register(); j.untold[r] {
			delete(j.untold, r)
			j.told[r] = seq
		}
	}
}

// register names a state.
func (n name) register() string { return strconv.Itoa(n.rule) + " " + n.key }

// Judge decides about a message; nil: the app gets it. A message that comes again is
// refused without a Refusal to tell: again is true.
func (j *Judge) Judge(w Write, payload []byte) (refusal *Refusal, again bool) {
	for _, r := range j.rules {
		c := r.change
		if c == nil || c.selects.Look(payload) != jsonpointer.Present {
			continue
		}
		key, ok := keyAt(c.key, c.selects, payload)
		if !ok {
			continue
		}
		if !j.came.Fresh(w.Device, w.N) {
			return nil, true
		}
		n := name{r.number, key}
		if c.mode == keepsAll || c.mode == lastWins && j.lastWins(&w, c, n, payload) || c.mode == sameVersion && j.onPresent(&w, c, n, payload) {
			return nil, false
		}
		return j.refuse(c, n), false
	}
	return nil, false
}

// lastWins reports whether a write was made after the last one that counted.
func (j *Judge) lastWins(w *Write, c *change, n name, payload []byte) bool {
	register := n.register()
	var seen merge.Stamp
	last := j.writes.Last(register)
	at, told := j.told[register]
	if last.Device == w.Device || told && int32(w.Has-at) >= 0 {
		seen = last // its device knew of it
	}
	made := w.Now
	if t, ok := timeAt(payload, c.time); ok {
		if t = t.Add(w.Behind); t.Before(made) { // nobody writes in the future
			made = t
		}
	}
	if !j.writes.Put(register, merge.Next(w.Device, made.UnixMilli(), seen)) {
		return false
	}
	delete(j.told, register)
	j.untold[register], j.unsaved[register] = true, true
	if len(j.told) > merge.MaxRegisters || len(j.untold) > merge.MaxRegisters {
		clear(j.told) // a write is then judged by its time alone
		clear(j.untold)
	}
	return true
}

// onPresent reports whether a write was made on the present version.
func (j *Judge) onPresent(w *Write, c *change, n name, payload []byte) bool {
	present := version("")
	if e := j.entries[n]; e != nil {
		present = e.version
	}
	saw := versionAt(payload, c.version)
	if saw.compare(present) == 0 {
		saw = present // however it is written
	}
	return j.versions.Put(w.Now.UnixMilli(), n.register(), w.Device, string(saw), string(present))
}

func (j *Judge) refuse(c *change, n name) *Refusal {
	r := &Refusal{Key: n.key}
	if e := j.entries[n]; e != nil {
		r.Present = e.frame
	}
	if c.refuse != nil {
		key, _ := json.Marshal(n.key)
		r.Say = c.refuse.Fill(key)
	}
	return r
}

// timeAt returns the time that a message has at a pointer: ms since 1970, or a text as
// of RFC 3339.
func timeAt(payload []byte, pointer []string) (time.Time, bool) {
	if pointer == nil {
		return time.Time{}, false
	}
	raw, found := jsonpointer.Lookup(payload, pointer...)
	if found != jsonpointer.Present {
		return time.Time{}, false
	}
	if raw[0] == '"' {
		t, err := time.Parse(time.RFC3339, jsonpointer.Text(raw))
		return t, err == nil
	}
	ms, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || ms < 0 || ms > 1e15 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(ms)), true
}

// registerFixed precedes the name of a register: time i64 | count u32 | device u16.
const registerFixed = 8 + 4 + 2

// Unsaved returns what the journal has to know of the writes that counted since it was
// called last, or all of it.
func (j *Judge) Unsaved(all bool) (list [][]byte) {
	j.writes.All(func(register string, s merge.Stamp) {
		if !all && !j.unsaved[register] {
			return
		}
		b := binary.BigEndian.AppendUint64(nil, uint64(s.Time))
		b = binary.BigEndian.AppendUint32(b, s.Count)
		list = append(list, append(binary.BigEndian.AppendUint16(b, s.Device), register...))
	})
	clear(j.unsaved)
	return list
}

// Load takes what Unsaved returned. What cannot be read is left out.
func (j *Judge) Load(b []byte) {
	if len(b) <= registerFixed {
		return
	}
	j.writes.Put(string(b[registerFixed:]), merge.Stamp{
		Time: int64(binary.BigEndian.Uint64(b)), Count: binary.BigEndian.Uint32(b[8:]), Device: binary.BigEndian.Uint16(b[12:]),
	})
}

// Cost is about what the Judge holds, in bytes.
func (j *Judge) Cost() int {
	if j == nil {
		return 0
	}
	const each = 128 + maxKey/2
	return j.size + each*(len(j.told)+len(j.untold)+len(j.unsaved)) + j.writes.Len()*each
}
