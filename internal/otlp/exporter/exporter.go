// Package exporter sends spans to a collector, by HTTP. Whoever hands it a span never
// waits: what the collector does not take in time is dropped, and counted.
package exporter

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/otlp"
)

// Config says what an Exporter sends where.
type Config struct {
	Settings     *otlp.Settings // On is set
	Resource     []otlp.Attribute
	Scope        string
	ScopeVersion string
	Logger       *slog.Logger
}

// Counts are what became of spans so far.
type Counts struct {
	Exported uint64 // the collector has them
	Full     uint64 // dropped since the queue was full
	Failed   uint64 // dropped since the collector was away, or refused them all
	Rejected uint64 // refused by a collector that took others
}

// An Exporter sends spans in batches. Its methods are safe for concurrent use.
type Exporter struct {
	cfg    Config
	client *sender
	queue  chan otlp.Span
	flush  chan struct{} // closed by Shutdown
	once   sync.Once
	done   chan struct{} // closed when the last batch is sent or given up
	life   context.Context
	die    context.CancelFunc

	exported, full, failed, rejected atomic.Uint64
	lastWarning                      time.Time // of the loop
}

// New makes an Exporter and starts it. The error is about a file of certificates.
func New(cfg Config) (*Exporter, error) {
	client, err := newSender(cfg.Settings)
	if err != nil {
		return nil, err
	}
	return start(cfg, client), nil
}

func start(cfg Config, client *sender) *Exporter {
	e := &Exporter{
		cfg: cfg, client: client, queue: make(chan otlp.Span, cfg.Settings.MaxQueue),
		flush: make(chan struct{}), done: make(chan struct{}),
	}
	e.life, e.die = context.WithCancel(context.Background())
	go e.run()
	return e
}

// Add takes a span, which is not changed any more. It does not wait.
func (e *Exporter) Add(s otlp.Span) {
	select {
	case e.queue <- s:
	default:
		e.full.Add(1)
	}
}

// Host is where the collector is, without what may be secret of its address.
func (e *Exporter) Host() string { return e.client.host }

// Counts returns what became of spans so far.
func (e *Exporter) Counts() Counts {
	return Counts{Exported: e.exported.Load(), Full: e.full.Load(), Failed: e.failed.Load(), Rejected: e.rejected.Load()}
}

// Shutdown sends what is there, and returns when that is done or ctx ends. Nothing
// may be added after it.
func (e *Exporter) Shutdown(ctx context.Context) error {
	e.once.Do(func() { close(e.flush) })
	defer e.die()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		e.die()
		<-e.done
		return ctx.Err()
	}
}

// run sends batches until Shutdown.
func (e *Exporter) run() {
	defer close(e.done)
	defer e.client.close()
	for e.send(e.collect()) {
	}
}

// collect waits for a batch: until it is full, or its first span has waited for
// long enough. last says that no other follows.
func (e *Exporter) collect() (batch []otlp.Span, last bool) {
	most := e.cfg.Settings.MaxInEach
	var due <-chan time.Time
	for len(batch) < most {
		select {
		case s := <-e.queue:
			e.cfg.Settings.Limits.Apply(&s)
			if batch = append(batch, s); due == nil {
				timer := time.NewTimer(e.cfg.Settings.Delay)
				defer timer.Stop()
				due = timer.C
			}
		case <-due:
			return batch, false
		case <-e.flush:
			return e.rest(batch)
		}
	}
	return batch, false
}

// rest fills a batch with what is in the queue.
func (e *Exporter) rest(batch []otlp.Span) ([]otlp.Span, bool) {
	for len(batch) < e.cfg.Settings.MaxInEach {
		select {
		case s := <-e.queue:
			e.cfg.Settings.Limits.Apply(&s)
			batch = append(batch, s)
		default:
			return batch, true
		}
	}
	return batch, false
}

// send sends a batch, and reports whether another one follows.
func (e *Exporter) send(spans []otlp.Span, last bool) bool {
	if len(spans) == 0 {
		return !last
	}
	b := otlp.Batch{Resource: e.cfg.Resource, Scope: e.cfg.Scope, ScopeVersion: e.cfg.ScopeVersion, Spans: spans}
	ctx, cancel := context.WithTimeout(e.life, e.cfg.Settings.Patience)
	defer cancel()
	answer, err := e.client.deliver(ctx, &b)
	n := uint64(len(spans))
	if err != nil {
		e.failed.Add(n)
		e.warn("spans could not be sent, and are dropped", "spans", len(spans), "collector", e.client.host, "error", err.Error())
		return !last
	}
	rejected := min(answer.rejected, n)
	e.exported.Add(n - rejected)
	e.rejected.Add(rejected)
	if answer.message != "" || rejected > 0 {
		e.warn("the collector has something to say about spans", "rejected", rejected, "collector", e.client.host, "said", answer.message)
	}
	return !last
}

// warnEvery is how often the log may say that spans are lost: the metric counts.
const warnEvery = time.Minute

func (e *Exporter) warn(what string, args ...any) {
	if now := time.Now(); e.lastWarning.IsZero() || now.Sub(e.lastWarning) >= warnEvery {
		e.lastWarning = now
		e.cfg.Logger.Warn(what, args...)
	}
}
