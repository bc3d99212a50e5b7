package storetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/store"
)

// Defaults of MemoryConfig.
const (
	// defaultMaxData is the payload limit of a stock NATS server, so that both
	// backends split the same records.
	defaultMaxData = 1 << 20
	// defaultCapacity is more than any test writes that is not about a full backend.
	defaultCapacity = 256 << 20
	// defaultMaxAge is the default session TTL and RefreshSlack.
	defaultMaxAge = 5*time.Minute + store.RefreshSlack
)

// A MemoryConfig is the configuration of a Memory. The zero value takes the defaults.
type MemoryConfig struct {
	MaxData  int           // bytes of one message
	Capacity int           // bytes of all messages; beyond them, store.ErrFull
	MaxAge   time.Duration // after its last append a chain may be dropped
}

// A Memory is a store.Backend within the process, for tests. It behaves as one in
// JetStream: a ring per chain, new messages refused when full. It is safe for
// concurrent use.
type Memory struct {
	cfg MemoryConfig

	mu     sync.Mutex     // guards all below
	last   store.Revision // of all chains, as in a stream
	bytes  int
	chains map[store.ID]*chain
	closed bool
}

type chain struct {
	messages []store.Message // newest last, at most store.Ring
	written  time.Time
}

// NewMemory returns an empty backend. store.NewSealedStore makes a Store of it.
func NewMemory(cfg MemoryConfig) *Memory {
	cfg.MaxData = cmp.Or(cfg.MaxData, defaultMaxData)
	cfg.Capacity = cmp.Or(cfg.Capacity, defaultCapacity)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, defaultMaxAge)
	return &Memory{cfg: cfg, chains: map[store.ID]*chain{}}
}

// Append implements store.Backend.
func (m *Memory) Append(ctx context.Context, id store.ID, after store.Revision, data []byte) (store.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usableLocked(ctx); err != nil {
		return 0, err
	}
	c := m.chains[id]
	if newest := c.newest(); newest != after {
		return 0, &store.FencedError{Newest: newest, Known: true}
	}
	if err := m.makeRoomLocked(len(data), id); err != nil {
		return 0, err
	}
	if c == nil {
		c = &chain{}
		m.chains[id] = c
	}
	m.last++
	m.bytes += len(data)
	c.written = time.Now()
	c.messages = append(c.messages, store.Message{Revision: m.last, Data: bytes.Clone(data)})
	if len(c.messages) > store.Ring {
		m.bytes -= len(c.messages[0].Data)
		c.messages = append(c.messages[:0], c.messages[1:]...)
	}
	return m.last, nil
}

// Read implements store.Backend.
func (m *Memory) Read(ctx context.Context, id store.ID, after store.Revision, limit int) ([]store.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usableLocked(ctx); err != nil {
		return nil, err
	}
	var out []store.Message
	if c := m.chains[id]; c != nil {
		for _, msg := range c.messages {
			if msg.Revision > after && len(out) < limit {
				out = append(out, store.Message{Revision: msg.Revision, Data: bytes.Clone(msg.Data)})
			}
		}
	}
	return out, nil
}

// MaxData implements store.Backend.
func (m *Memory) MaxData() int { return m.cfg.MaxData }

// Ready implements store.Backend.
func (m *Memory) Ready(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.usableLocked(ctx)
}

// Close implements store.Backend.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.chains = true, nil
	return nil
}

func (m *Memory) usableLocked(ctx context.Context) error {
	if m.closed {
		return fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// makeRoomLocked drops chains past their age, but not keep, only when the
// backend is full, which keeps the usual append cheap.
func (m *Memory) makeRoomLocked(n int, keep store.ID) error {
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
		return fmt.Errorf("%w: %d of %d bytes are taken", store.ErrFull, m.bytes, m.cfg.Capacity)
	}
	return nil
}

func (c *chain) newest() store.Revision {
	if c == nil || len(c.messages) == 0 {
		return 0
	}
	return c.messages[len(c.messages)-1].Revision
}
