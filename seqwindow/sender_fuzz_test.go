package seqwindow

import (
	"math/rand/v2"
	"testing"
)

// FuzzSender reads a script: how the window starts and is bounded, then
// operations of two bytes each, done to a Sender and to the naive model.
func FuzzSender(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add([]byte{2, 1, 0, 50, 1, 9, 3, 1, 1, 0, 255, 4, 0, 2, 1, 6, 0})
	rng := rand.New(rand.NewPCG(1, 1982))
	for start := range byte(3) {
		for bounds := range byte(8) {
			script := []byte{start, bounds}
			for range 300 {
				script = append(script, byte(rng.UintN(16)), byte(rng.UintN(256)))
			}
			f.Add(script)
		}
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 2 || len(script) > 700 {
			return
		}
		runScript(t, script)
	})
}

func runScript(t *testing.T, script []byte) {
	limits := Limits{Messages: 1 << 20, Bytes: 1 << 20}
	if script[1]&1 != 0 {
		limits.Messages = 5
	}
	if script[1]&2 != 0 {
		limits.Bytes = 3 * chunkData
	}
	var budget int64
	if script[1]&4 != 0 {
		budget = 6 * chunkSize
	}
	start := [...]Serial{0, 1, 1<<32 - 3}[script[0]%3]
	p := newPair(t, limits, budget, start)
	for script = script[2:]; len(script) >= 2; script = script[2:] {
		step(p, script[0]%16, int(script[1]))
	}
	p.reset()
}

// step does one operation. Appends and writes come more often than the rest, so
// that a random script fills the window; sizes reach over several chunks and
// often leave just less or just more than a header at the end of one.
func step(p *pair, op byte, arg int) {
	at := p.m.acked + arg%8 - 2 // near the window, and sometimes out of it
	switch op {
	case 0, 1, 2:
		p.append(1 + arg)
	case 3, 4:
		p.append(1 + arg*50)
	case 5:
		p.append(chunkData - headerSize - arg%24)
	case 6, 7:
		p.write(arg)
	case 8:
		p.write(arg * 50)
	case 9, 10:
		p.write(1 << 30)
	case 11:
		p.ack(max(0, at))
	case 12:
		p.ack(p.m.sent)
	case 13:
		p.rewind(max(0, at))
		if arg >= 128 {
			p.replace(arg)
		}
	case 14:
		p.markTo(max(0, at))
	case 15:
		if arg < 4 {
			p.reset()
		} else {
			p.skip(arg % 5)
		}
	}
}
