package seqwindow

import (
	"errors"
	"sync"

	"github.com/wsresilience/wsresilience/internal/budget"
)

// Implementation limits.
const (
	// chunkSize is what one chunk costs, and what Pool counts: 4 KiB hold some
	// fifty small messages, and a session with a single one does not hold much
	// more than it needs.
	chunkSize = 4096

	// chunkOverhead is the pointer to the next chunk, and the word that the Go
	// allocator puts before an object of this size that contains pointers.
	// Without room for that word every chunk would fall into the next size
	// class, which is 4,864 bytes.
	chunkOverhead = 16

	chunkData = chunkSize - chunkOverhead
)

// ErrBudget means that the memory budget of all sessions is used up. Nothing was
// lost: the caller stops reading until an acknowledgement frees memory (I6).
var ErrBudget = errors.New("seqwindow: memory budget is used up")

// chunk is a link of a window's list. A list needs no slice, so a window can
// grow and shrink without allocating.
type chunk struct {
	next *chunk
	data [chunkData]byte
}

// Pool hands out the chunks of all windows and counts them against a budget,
// which they may share with other memory. It is safe for concurrent use;
// sessions share one. Chunks that no window holds are left to the garbage
// collector after a while.
type Pool struct {
	memory *budget.Budget
	chunks sync.Pool // of *chunk
	parts  sync.Pool // of *[][]byte: the scratch of Sender.Each
}

// NewPool returns a pool whose chunks in use do not exceed budget bytes
// (WSR_MEMORY_BUDGET), but for what Sender.AppendOver takes. Zero or less means
// no budget.
func NewPool(bytes int64) *Pool { return &Pool{memory: budget.New(bytes)} }

// Memory returns the budget.
func (p *Pool) Memory() *budget.Budget { return p.memory }

// InUse returns the bytes of the budget that are in use now.
func (p *Pool) InUse() int64 { return p.memory.Used() }

// Budget returns the limit on InUse in bytes; zero or less is none.
func (p *Pool) Budget() int64 { return p.memory.Limit() }

// get returns a list of n chunks, or nil when the budget does not allow all of
// them. Their contents are whatever the last holder left there.
func (p *Pool) get(n int) *chunk {
	if !p.memory.Take(int64(n) * chunkSize) {
		return nil
	}
	return p.list(n)
}

// getOver is get whatever the budget says.
func (p *Pool) getOver(n int) *chunk {
	p.memory.Charge(int64(n) * chunkSize)
	return p.list(n)
}

func (p *Pool) list(n int) *chunk {
	var list *chunk
	for range n {
		c, _ := p.chunks.Get().(*chunk)
		if c == nil {
			c = new(chunk)
		}
		c.next = list
		list = c
	}
	return list
}

// putUntil takes back the list from c up to, but not including, end.
func (p *Pool) putUntil(c, end *chunk) {
	freed := 0
	for c != end {
		next := c.next
		c.next = nil
		p.chunks.Put(c)
		c = next
		freed += chunkSize
	}
	p.memory.Charge(-int64(freed))
}

func (p *Pool) getParts() *[][]byte {
	if parts, _ := p.parts.Get().(*[][]byte); parts != nil {
		return parts
	}
	return new([][]byte)
}

// putParts forgets the slices first: scratch must not keep chunks alive.
func (p *Pool) putParts(parts *[][]byte) {
	clear((*parts)[:cap(*parts)])
	*parts = (*parts)[:0]
	p.parts.Put(parts)
}
