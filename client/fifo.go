package client

// fifo is a queue that does not allocate in steady state. The zero value is
// empty.
type fifo[T any] struct {
	items []T
	first int
}

// keepItems bounds the storage that an empty queue keeps.
const maxKeptItems = 1024

func (f *fifo[T]) len() int { return len(f.items) - f.first }

// at returns the item that i others precede.
func (f *fifo[T]) at(i int) T { return f.items[f.first+i] }

func (f *fifo[T]) set(i int, v T) { f.items[f.first+i] = v }

func (f *fifo[T]) push(v T) {
	if f.first > len(f.items)/2 {
		n := copy(f.items, f.items[f.first:])
		clear(f.items[n:])
		f.items, f.first = f.items[:n], 0
	}
	f.items = append(f.items, v)
}

func (f *fifo[T]) pop() T {
	var none T
	v := f.items[f.first]
	f.items[f.first] = none // the queue must not keep a message alive
	if f.first++; f.first == len(f.items) {
		f.items, f.first = f.items[:0], 0
		if cap(f.items) > maxKeptItems {
			f.items = nil
		}
	}
	return v
}
