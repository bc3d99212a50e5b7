// Package losslink is a network between two hosts of its own that loses and
// delays packets. The hosts are network namespaces with a TUN device each, and
// this process carries the packets between them: TCP is the kernel's, with its
// real retransmissions, and nothing outside the two namespaces is touched. It
// needs no support for traffic control in the kernel, but Linux and the right to
// make namespaces and devices.
package losslink

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A Weather is how a path treats packets.
type Weather struct {
	Loss    float64       // share of the packets that never arrive, in each direction
	Latency time.Duration // one way
	Jitter  time.Duration // the latency varies by as much, either way; packets keep their order
}

// Implementation limits.
const (
	maxPacket   = 1500  // the devices' MTU
	queueLength = 10000 // packets under way in a direction; more are lost, as at any router
)

// A path carries packets in both directions. It is safe for concurrent use.
type path struct {
	mu      sync.Mutex // guards both below
	weather Weather
	random  func() float64

	carried, lost atomic.Int64
}

// A packet that is under way.
type packet struct {
	bytes []byte
	due   time.Time
}

// set changes the weather for packets that come from now on.
func (p *path) set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
}

// fate decides what becomes of a packet.
func (p *path) fate() (latency time.Duration, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.weather.Loss > 0 && p.random() < p.weather.Loss {
		return 0, true
	}
	latency = p.weather.Latency
	if p.weather.Jitter > 0 {
		latency += time.Duration(float64(p.weather.Jitter) * (2*p.random() - 1))
	}
	return max(0, latency), false
}

// carry takes packets from one device to another until reading fails, as it does
// when the device is closed.
func (p *path) carry(from io.Reader, to io.Writer) {
	queue := make(chan packet, queueLength)
	over, stop := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() { deliver(over, queue, to) })
	defer writer.Wait()
	defer stop()
	buf := make([]byte, maxPacket+100)
	var last time.Time
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		latency, lost := p.fate()
		if lost {
			p.lost.Add(1)
			continue
		}
		if due := time.Now().Add(latency); due.After(last) {
			last = due
		}
		select {
		case queue <- packet{append([]byte(nil), buf[:n]...), last}:
			p.carried.Add(1)
		default:
			p.lost.Add(1)
		}
	}
}

// deliver writes packets when they are due.
func deliver(ctx context.Context, queue <-chan packet, to io.Writer) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var k packet
		select {
		case k = <-queue:
		case <-ctx.Done():
			return
		}
		if wait := time.Until(k.due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		_, _ = to.Write(k.bytes) // a device that takes none loses it, as networks do
	}
}
