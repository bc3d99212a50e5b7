package natsstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// An ask is what a read requests of a replica.
type ask struct {
	Seq   uint64 `json:"seq"`
	Batch int    `json:"batch"`
}

// A replica answers direct gets as a test tells it to.
type replica struct {
	t     *testing.T
	nc    *nats.Conn
	asked chan ask
}

// startReplica returns a log whose direct gets are answered by answers, one
// each, in order. A server never says so little by itself when one wants it
// to, so this one has no JetStream and the test stands in for it.
func startReplica(t *testing.T, timeout time.Duration, answers ...func(reply func(prev, seq, pending uint64), end func(string))) (*backend, *replica) {
	t.Helper()
	s := startServer(t, server.RANDOM_PORT, func(o *server.Options) { o.JetStream = false })
	cfg := externalConfig(t, s.ClientURL())
	cfg.Shards, cfg.Timeout = 1, 10*time.Millisecond
	l := mustOpenBackend(t, cfg)
	l.cfg.Timeout = timeout
	l.setUp.Store(true)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	r := &replica{t: t, nc: nc, asked: make(chan ask, 100)}
	_, err = nc.Subscribe("$JS.API.DIRECT.GET."+streamName(0), func(m *nats.Msg) {
		var a ask
		if err := json.Unmarshal(m.Data, &a); err != nil {
			t.Error(err)
		}
		r.asked <- a
		if len(answers) == 0 {
			return
		}
		answer := answers[0]
		answers = answers[1:]
		answer(func(prev, seq, pending uint64) { r.message(m.Reply, prev, seq, pending) },
			func(status string) { r.status(m.Reply, status) })
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return l, r
}

func (r *replica) message(to string, prev, seq, pending uint64) {
	m := nats.NewMsg(to)
	m.Header.Set("Nats-Stream", streamName(0))
	m.Header.Set("Nats-Subject", "wsr.log.0.x")
	m.Header.Set("Nats-Sequence", fmt.Sprint(seq))
	m.Header.Set("Nats-Time-Stamp", "2026-01-02T03:04:05Z")
	m.Header.Set(pendingHeader, fmt.Sprint(pending))
	m.Header.Set(previousHeader, fmt.Sprint(prev))
	m.Data = fmt.Append(nil, seq)
	r.send(m)
}

// status is an answer without a message, as the server writes it.
func (r *replica) status(to, status string) {
	m := nats.NewMsg(to)
	code, text, _ := strings.Cut(status, " ")
	m.Header.Set("Status", code)
	m.Header.Set("Description", text)
	r.send(m)
}

// send ignores a closed connection: the reader had what it wanted, and the
// test is over.
func (r *replica) send(m *nats.Msg) {
	if err := r.nc.PublishMsg(m); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		r.t.Error(err)
	}
}

// seqs are the requests so far.
func (r *replica) seqs() (seqs []uint64) {
	for len(r.asked) > 0 {
		seqs = append(seqs, (<-r.asked).Seq)
	}
	return seqs
}

type (
	send = func(prev, seq, pending uint64)
	stop = func(status string)
)

// TestReadAgain: whatever part of an answer is lost, the read goes on from
// the last message that it has, and returns all of them once.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	silent := func(send, stop) {}
	one := func(reply send, _ stop) { reply(0, 3, 2) }
	all := func(reply send, end stop) { reply(0, 3, 2); reply(3, 5, 1); reply(5, 9, 0); end("204 EOB") }
	rest := func(reply send, end stop) { reply(0, 5, 1); reply(5, 9, 0); end("204 EOB") }
	for name, tc := range map[string]struct {
		answers []func(send, stop)
		asked   []uint64
	}{
		"whole":             {[]func(send, stop){all}, []uint64{1}},
		"end mark lost":     {[]func(send, stop){func(reply send, _ stop) { reply(0, 3, 2); reply(3, 5, 1); reply(5, 9, 0) }}, []uint64{1}},
		"no answer":         {[]func(send, stop){silent, silent, all}, []uint64{1, 1, 1}},
		"breaks off":        {[]func(send, stop){one, rest}, []uint64{1, 4}},
		"ends short":        {[]func(send, stop){func(reply send, end stop) { reply(0, 3, 2); end("204 EOB") }, rest}, []uint64{1, 4}},
		"hole":              {[]func(send, stop){func(reply send, _ stop) { reply(0, 3, 2); reply(5, 9, 0) }, rest}, []uint64{1, 4}},
		"beginning lost":    {[]func(send, stop){func(reply send, _ stop) { reply(3, 5, 1); reply(5, 9, 0) }, all}, []uint64{1, 1}},
		"only an end":       {[]func(send, stop){func(_ send, end stop) { end("204 EOB") }, all}, []uint64{1, 1}},
		"progress each":     {[]func(send, stop){silent, one, silent, rest}, []uint64{1, 1, 4, 4}},
		"trimmed meanwhile": {[]func(send, stop){func(reply send, end stop) { reply(0, 3, 5); reply(3, 5, 4); reply(5, 9, 3); end("204 EOB") }, func(_ send, end stop) { end("404 Message Not Found") }}, []uint64{1, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, r := startReplica(t, 3*time.Second, tc.answers...)
			got, err := l.Read(t.Context(), storetest.NewID(), 0, 128)
			var revs []store.Revision
			for _, m := range got {
				revs = append(revs, m.Revision)
			}
			if err != nil || !slices.Equal(revs, []store.Revision{3, 5, 9}) {
				t.Errorf("read %v, %v", revs, err)
			}
			if asked := r.seqs(); !slices.Equal(asked, tc.asked) {
				t.Errorf("asked from %v, want %v", asked, tc.asked)
			}
		})
	}
}

// TestReadGivesUp: a journal that stays silent or broken is unavailable after
// a few requests, and the error tells which of the two.
func TestReadGivesUp(t *testing.T) {
	l, r := startReplica(t, 300*time.Millisecond)
	began := time.Now()
	_, err := l.Read(t.Context(), storetest.NewID(), 0, 128)
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, errSilent) || len(r.seqs()) != maxFruitless {
		t.Errorf("silence: %v", err)
	}
	if d := time.Since(began); d < 300*time.Millisecond {
		t.Errorf("gave up after %v", d)
	}
	hole := func(reply send, _ stop) { reply(4, 5, 1) }
	l, r = startReplica(t, time.Minute, hole, hole, hole, hole)
	_, err = l.Read(t.Context(), storetest.NewID(), 0, 128)
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, errIncomplete) || len(r.seqs()) != maxFruitless {
		t.Errorf("holes: %v", err)
	}
}

// TestReadSlowly: an answer that keeps coming is read to its end, though it
// takes longer than a request may be silent.
func TestReadSlowly(t *testing.T) {
	t.Parallel()
	const total = 20
	slow := func(reply send, _ stop) {
		for seq := uint64(1); seq <= total; seq++ {
			time.Sleep(100 * time.Millisecond) // the slowness is the input
			reply(seq-1, seq, total-seq)
		}
	}
	l, r := startReplica(t, 1500*time.Millisecond, slow)
	got, err := l.Read(t.Context(), storetest.NewID(), 0, 128)
	if err != nil || len(got) != total || len(r.seqs()) != 1 {
		t.Errorf("%d messages, %v", len(got), err)
	}
}
