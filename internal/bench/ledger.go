package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
)

// journalStreams is how the names of the journal's streams begin.
const journalStreams = "WSR_LOG_"

// A ledger reads what was written from both sides: what JetStream stored, and
// what the sidecar counts.
type ledger struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	admin string
}

// A balance is what was ever written. Deletions and what outgrew a limit are
// still counted.
type balance struct {
	stored, leases  int64 // messages in JetStream: the journal's, all others
	appends, frames int64 // records that the sidecar wrote or tried to, and the messages in them
}

func openLedger(p *rig.Pods) (*ledger, error) {
	nc, err := nats.Connect(p.Nats.URL())
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &ledger{nc: nc, js: js, admin: p.Sidecars[0].Admin}, nil
}

func (l *ledger) close() { l.nc.Close() }

func (l *ledger) read(ctx context.Context) (b balance, err error) {
	streams := l.js.ListStreams(ctx)
	for info := range streams.Info() {
		// The last sequence counts every message that was ever stored.
		if n := int64(info.State.LastSeq); strings.HasPrefix(info.Config.Name, journalStreams) {
			b.stored += n
		} else {
			b.leases += n
		}
	}
	if err := streams.Err(); err != nil {
		return b, fmt.Errorf("bench: streams: %w", err)
	}
	text, err := measure.ReadMetrics(l.admin)
	if err != nil {
		return b, err
	}
	if b.appends, err = parseMetric(text, "wsr_journal_appends_total"); err != nil {
		return b, err
	}
	b.frames, err = parseMetric(text, "wsr_journal_frames_total")
	return b, err
}

// parseMetric returns the sum of a counter's series in Prometheus's text form.
func parseMetric(text []byte, name string) (sum int64, err error) {
	found := false
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok || len(rest) == 0 || rest[0] != '{' && rest[0] != ' ' {
			continue // another metric, perhaps one whose name goes on
		}
		value := bytes.TrimSpace(rest[bytes.LastIndexByte(rest, ' ')+1:])
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil || !(f >= 0 && f < 1<<53) {
			return 0, fmt.Errorf("bench: metric %s: %q is no count", name, value)
		}
		sum, found = sum+int64(f), true
	}
	if !found {
		return 0, fmt.Errorf("bench: metric %s is missing", name)
	}
	return sum, nil
}
