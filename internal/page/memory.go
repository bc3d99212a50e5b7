package page

import "github.com/wsresilience/wsresilience/internal/budget"

// What pages under way count against the memory budget.
const (
	// lookMemory is what is held of a page until its place for the tag is known: as it
	// comes, and decoded.
	lookMemory = maxLookCoded + maxLook

	// codedMemory is what an encoder takes, and a decoder at first.
	codedMemory = 2 << 20

	// windowStep is how much of a decoder's window counts at a time.
	windowStep = 256 << 10
)

// window is how much a decoder keeps at most of what it has decoded. The app decides.
func window(coding string) int64 {
	switch coding {
	case "br":
		return 16 << 20
	case "zstd":
		return maxZstdWindow
	}
	return 0
}

// CountAgainst has pages count against a budget: while that is short they pass as they
// are. It comes before the first Request.
func (p *Policy) CountAgainst(memory *budget.Budget) {
	if p != nil {
		p.memory = memory
	}
}

// take counts what a page needs at least, and reports whether there is memory for it.
func (n *Insertion) take() bool {
	m := n.request.policy.memory
	if m == nil {
		return true
	}
	need := int64(lookMemory)
	if n.coding != "" {
		need += codedMemory
	}
	if m.Scarce() || !m.Take(need) {
		return false
	}
	n.took = need
	return true
}

// decoded counts n more bytes that a decoder has given, of which it keeps its window.
func (n *Insertion) decoded(more int) {
	m := n.request.policy.memory
	if m == nil || n.counted >= window(n.coding) {
		return
	}
	n.seen += int64(more)
	for n.counted < min(n.seen, window(n.coding)) {
		m.Charge(windowStep)
		n.counted += windowStep
	}
}

// giveBack counts nothing for the page any more.
func (n *Insertion) giveBack() {
	if m := n.request.policy.memory; m != nil {
		m.Charge(-n.took - n.counted)
		n.took, n.counted = 0, 0
	}
}
