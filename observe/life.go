package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/rate"
)

// maxLines is how many lines of one kind a second has, and as many at once after
// a pause: some hundred bytes each, so that a storm of reconnects does not fill a
// disk, nor push out of the log's buffer what else happens.
var maxLines = rate.Limit{N: 50, Per: time.Second}

// leftOutAfter is how long lines are counted before a line tells how many were
// left out.
const leftOutAfter = 5 * time.Second

// Life writes the life of sessions to a log, a line for an event, in the words of
// event.Line. It is an event.Observer. Lines of one kind, which is what an event
// says of itself in short, are bounded, and what is left out is counted.
type Life struct {
	log *slog.Logger

	mu      sync.Mutex
	kinds   map[string]*lineKind
	leftOut uint64
}

// A lineKind is what is known of one kind of lines.
type lineKind struct {
	bucket  rate.Bucket
	leftOut int // since the last line that told
	level   event.Level
	text    string
}

// NewLife returns a Life that writes to log, which must not block.
func NewLife(log *slog.Logger) *Life {
	return &Life{log: log, kinds: map[string]*lineKind{}}
}

// Observe implements event.Observer.
func (l *Life) Observe(e event.Event) {
	plain := e.Client == event.Plain && (e.Kind == event.Began || e.Kind == event.Ended)
	if plain && !l.log.Enabled(context.Background(), slog.LevelDebug) {
		return // there may be thousands a second
	}
	line, ok := e.Line()
	if !ok || line.Elsewhere || !l.log.Enabled(context.Background(), slog.Level(line.Level)) {
		return
	}
	if !l.admit(e.String(), &line) {
		return
	}
	attrs := make([]slog.Attr, 0, len(line.Attrs))
	for _, a := range line.Attrs {
		if d, ok := a.Value.(time.Duration); ok {
			a.Value = readable(d)
		}
		attrs = append(attrs, slog.Any(a.Name, a.Value))
	}
	l.log.LogAttrs(context.Background(), slog.Level(line.Level), line.Text, attrs...)
}

// admit reports whether there may be another line of a kind, and otherwise counts
// it.
func (l *Life) admit(kind string, line *event.Line) bool {
	now := monotime.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[kind]
	if k == nil {
		k = &lineKind{level: line.Level, text: line.Text}
		l.kinds[kind] = k
	}
	if k.bucket.Wait(now, maxLines) == 0 {
		k.bucket.Take(now, maxLines, 1)
		return true
	}
	l.leftOut++
	if k.leftOut++; k.leftOut == 1 {
		time.AfterFunc(leftOutAfter, func() { l.tellLeftOut(kind) })
	}
	return false
}

// LeftOut returns how many lines were left out so far.
func (l *Life) LeftOut() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leftOut
}

func (l *Life) tellLeftOut(kind string) {
	l.mu.Lock()
	k := l.kinds[kind]
	n := k.leftOut
	k.leftOut = 0
	l.mu.Unlock()
	l.log.LogAttrs(context.Background(), slog.Level(k.level), "lines like this were left out", slog.String("like", k.text), slog.String("event", kind), slog.Int("left_out", n), slog.String("within", leftOutAfter.String()))
}

// readable is a duration as one reads it.
func readable(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
