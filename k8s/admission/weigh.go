package admission

import (
	"errors"
	"fmt"
)

// Memory of what all reviews under way decode to, beside their bodies, and what
// one of them takes of it. JSON is small
// where what it decodes to is not: "null" in a list of containers is four bytes,
// and a Container more than half a kilobyte, which is copied for the injection
// and turned into trees for the patch.
const (
	memoryBudget = 64 << 20 // bytes

	// maxWeight is for one review: a pod with ten thousand variables has less.
	maxWeight = memoryBudget * 3 / 4

	byteWeight    = 2       // the object as text, and its strings
	fieldWeight   = 512     // a field of an object: at most a pointer to a struct, and its tree
	elementWeight = 4 << 10 // an element of a list: the struct, its copies, its trees

	// maxDepth is far below what makes decoders recurse for long; the managed
	// fields of a pod, which are deepest, have about a dozen.
	maxDepth = 64
)

// weigh returns how many bytes it takes at most to answer the review in text,
// without decoding it. Text that is no JSON has a weight too: decode refuses it.
func weigh(text []byte) (int64, error) {
	var (
		weight  = int64(len(text)) * byteWeight
		lists   [maxDepth + 1]bool // whether the value at each depth is a list
		depth   int
		quoted  bool
		escaped bool
	)
	for _, c := range text {
		if quoted {
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"':
				quoted = false
			}
			continue
		}
		switch c {
		case '"':
			quoted = true
		case '{', '[':
			if depth++; depth > maxDepth {
				return 0, fmt.Errorf("a review is nested %d deep at most", maxDepth)
			}
			lists[depth] = c == '['
			weight += weightOf(lists[depth])
		case '}', ']':
			depth = max(depth-1, 0)
		case ',':
			weight += weightOf(lists[depth])
		}
	}
	if weight > maxWeight {
		return 0, errors.New("the review has too many values")
	}
	return weight, nil
}

// weightOf is that of one more value in a list, or in an object.
func weightOf(list bool) int64 {
	if list {
		return elementWeight
	}
	return fieldWeight
}
