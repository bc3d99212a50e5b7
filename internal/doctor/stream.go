package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// How long an answer is read that is said to come bit by bit.
const (
	streamTime  = 20 * time.Second
	quickStream = 5 * time.Second
)

// stream asks for an answer of plain HTTP that the user says comes bit by bit, and
// notes when its bytes come.
func (p *probe) stream(ctx context.Context) {
	limit := streamTime
	if p.t.Quick {
		limit = quickStream
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var h diagnosis.Handshake
	c := p.t.dial(ctx, p.address, []string{"http/1.1"}, &h)
	if c == nil {
		return
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	var b bytes.Buffer
	b.WriteString("GET " + p.t.Stream + " HTTP/1.1\r\nHost: " + p.t.host + "\r\nAccept: text/event-stream, */*\r\nCache-Control: no-cache\r\nUser-Agent: " + p.t.UserAgent + "\r\n")
	_ = p.t.Header.Write(&b) // to memory
	b.WriteString("\r\n")
	began := time.Now()
	f := &diagnosis.Stream{Limit: limit}
	defer p.note(func(facts *diagnosis.Facts) { facts.Stream = f })
	if _, err := c.Write(b.Bytes()); err != nil {
		return
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	f.Status, f.Head = answer.StatusCode, time.Since(began)
	chunk := make([]byte, 32<<10)
	for last := began; ; {
		n, err := answer.Body.Read(chunk)
		if n > 0 {
			now := time.Now()
			if f.Bytes == 0 {
				f.First = now.Sub(began)
			}
			if f.Bytes += n; now.Sub(last) > together {
				f.Times++
			}
			last = now
		}
		if err != nil {
			f.Ended = errors.Is(err, io.EOF)
			f.Took = time.Since(began)
			return
		}
	}
}
