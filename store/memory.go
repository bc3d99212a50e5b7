package store

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// Defaults of MemoryConfig.
const (
	// DefaultMemoryData is the payload limit of a stock NATS server, so that
	// both stores split the same records.
	DefaultMemoryData = 1 << 20
	// DefaultMemoryCapacity is half the default memory budget of a sidecar.
	DefaultMemoryCapacity = 256 << 20
	// DefaultMemoryMaxAge is the default session TTL and RefreshSlack.
	DefaultMemoryMaxAge = 5*time.Minute + RefreshSlack
)

// A MemoryConfig sets a memory log up. The zero value takes the defaults.
type MemoryConfig struct {
	MaxData  int           // bytes of one message
	Capacity int           // bytes of all messages; beyond it is ErrFull
	MaxAge   time.Duration // after its last append a chain may be dropped
}

// A Memory is a Log within the process: for tests, and for running without
// any journal. It keeps the semantics of a JetStream log: a ring per chain,
// new messages refused when full. It is safe for concurrent use.
type Memory struct {
	cfg MemoryConfig

	mu     sync.Mutex // guards all below
	last   Revision   // of the whole log, as in a stream
	bytes  int
	chains map[ID]*chain
	closed bool
}

type chain struct {
	messages []Message // newest last, at most Ring
	written  time.Time
}

// NewMemory returns an empty log. NewJournal makes a Store of it.
func NewMemory(cfg MemoryConfig) *Memory {
	if cfg.MaxData == 0 {
		cfg.MaxData = DefaultMemoryData
	}
	if cfg.Capacity == 0 {
		cfg.Capacity = DefaultMemoryCapacity
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = DefaultMemoryMaxAge
	}
	return &Memory{cfg: cfg, chains: map[ID]*chain{}}
}

// Append implements Log.
func (m *Memory) Append(ctx context.Context, id ID, after Revision, data []byte) (Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return 0, err
	}
	c := m.chains[id]
	if newest := c.newest(); newest != after {
		return 0, &FencedError{Newest: newest, Known: true}
	}
	if err := m.makeRoom(len(data), id); err != nil {
		return 0, err
	}
	if c == nil {
		c = &chain{}
		m.chains[id] = c
	}
	m.last++
	m.bytes += len(data)
	c.written = time.Now()
	c.messages = append(c.messages, Message{m.last, bytes.Clone(data)})
	if len(c.messages) > Ring {
		m.bytes -= len(c.messages[0].Data)
		c.messages = append(c.messages[:0], c.messages[1:]...)
	}
	return m.last, nil
}

// Read implements Log.
func (m *Memory) Read(ctx context.Context, id ID, after Revision, limit int) ([]Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	var out []Message
	if c := m.chains[id]; c != nil {
		for _, msg := range c.messages {
			if msg.Revision > after && len(out) < limit {
				out = append(out, Message{msg.Revision, bytes.Clone(msg.Data)})
			}
		}
	}
	return out, nil
}

// MaxData implements Log.
func (m *Memory) MaxData() int { return m.cfg.MaxData }

// Ready implements Log.
func (m *Memory) Ready(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.usable(ctx)
}

// Close implements Log.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.chains = true, nil
	return nil
}

// usable needs mu.
func (m *Memory) usable(ctx context.Context) error {
	if m.closed {
		return fmt.Errorf("%w: closed", ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// makeRoom needs mu. It looks for chains past their age only when the log is
// full, which keeps the usual append cheap. The chain keep stays.
func (m *Memory) makeRoom(n int, keep ID) error {
	if m.bytes+n <= m.cfg.Capacity {
		return nil
	}
	now := time.Now()
	for id, c := range m.chains {
		if id != keep && now.Sub(c.written) > m.cfg.MaxAge {
			for _, msg := range c.messages {
				m.bytes -= len(msg.Data)
			}
			delete(m.chains, id)
		}
	}
	if m.bytes+n > m.cfg.Capacity {
		return fmt.Errorf("%w: %d of %d bytes are taken", ErrFull, m.bytes, m.cfg.Capacity)
	}
	return nil
}

func (c *chain) newest() Revision {
	if c == nil || len(c.messages) == 0 {
		return 0
	}
	return c.messages[len(c.messages)-1].Revision
}
