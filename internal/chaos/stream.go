package main

// outbound judges what one client got: the messages of the app's sockets, one
// socket after the other, each numbered from 1. The zero value is ready.
type outbound struct {
	sock    uint32
	next    uint32              // of sock
	past    map[uint32]uint32   // sockets before it, and the highest number of each
	missing map[tag]struct{}    // passed over, and not come yet
	socks   map[uint32]struct{} // all that were seen

	got, doubled, reordered int
	stale                   int // of a socket whose successor had spoken
}

func (o *outbound) take(t tag) {
	o.got++
	if o.socks == nil {
		o.socks, o.past, o.missing = map[uint32]struct{}{}, map[uint32]uint32{}, map[tag]struct{}{}
	}
	if _, before := o.past[t.stream]; before {
		o.stale++
		o.late(t)
		return
	}
	if _, seen := o.socks[t.stream]; !seen {
		if o.next > 0 {
			o.past[o.sock] = o.next - 1
		}
		o.socks[t.stream] = struct{}{}
		o.sock, o.next = t.stream, 1
	}
	if t.n < o.next {
		o.late(t)
		return
	}
	for ; o.next < t.n; o.next++ {
		o.missing[tag{t.stream, o.next}] = struct{}{}
	}
	o.next++
}

// late takes a message below the highest of its socket.
func (o *outbound) late(t tag) {
	if _, was := o.missing[t]; was {
		delete(o.missing, t)
		o.reordered++
		return
	}
	if high := o.past[t.stream]; t.stream != o.sock && t.n > high {
		for n := high + 1; n < t.n; n++ {
			o.missing[tag{t.stream, n}] = struct{}{}
		}
		o.past[t.stream] = t.n
		o.reordered++
		return
	}
	o.doubled++
}

// highest is the last message of a socket that came, 0 if none did.
func (o *outbound) highest(sock uint32) uint32 {
	if _, seen := o.socks[sock]; seen && sock == o.sock {
		return o.next - 1
	}
	return o.past[sock]
}

// inbound judges what the app's sockets of one session read, all of them
// together, in the order of time. The zero value is ready.
type inbound struct {
	last map[uint32]uint32 // the highest of each socket
	read map[tag]struct{}  // what each socket read
	seen []uint16          // how many sockets read message i+1

	got       int
	doubled   int // twice on one socket
	again     int // on a second socket: at-least-once after a crash
	reordered int
}

func (in *inbound) take(sock, n uint32) {
	in.got++
	if in.last == nil {
		in.last, in.read = map[uint32]uint32{}, map[tag]struct{}{}
	}
	for uint32(len(in.seen)) < n {
		in.seen = append(in.seen, 0)
	}
	at := tag{sock, n}
	if _, twice := in.read[at]; twice {
		in.doubled++
		return
	}
	in.read[at] = struct{}{}
	if n < in.last[sock] {
		in.reordered++
	}
	in.last[sock] = max(in.last[sock], n)
	if in.seen[n-1] > 0 {
		in.again++
	}
	in.seen[n-1]++
}

// lost counts what no socket read of sent messages.
func (in *inbound) lost(sent uint32) int {
	lost := 0
	for n := range sent {
		if int(n) >= len(in.seen) || in.seen[n] == 0 {
			lost++
		}
	}
	return lost
}
