package upgrade

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/transport"
)

// lingerTime is how long bytes of a client are still taken, and dropped, when it
// has its answer: or a reset would destroy that on its way (RFC 9112 §9.6).
const lingerTime = 2 * time.Second

// An AppRefusal is what an app has answered instead of 101. It holds its
// connection, and is for Pass or Close.
type AppRefusal struct {
	Status int

	head []byte // for the client, with the informational answers in front
	body http1.Body
	rest *bufio.Reader
	conn net.Conn
	stop func() bool
}

// newAppRefusal keeps an answer whose head has come. ctx ends its body.
func newAppRefusal(ctx context.Context, a *appAnswer, rest *bufio.Reader, conn net.Conn) *AppRefusal {
	return &AppRefusal{
		Status: a.Status, head: appendRefusal(a.informational, &a.Response), body: a.Framed(http.MethodGet),
		rest: rest, conn: conn, stop: context.AfterFunc(ctx, func() { conn.Close() }),
	}
}

// appendRefusal appends the head of an app's answer for the client, as it came but
// for what says how the connection goes on, which ends, and for Wsr-Refused, since
// this refusal is the app's.
func appendRefusal(dst []byte, r *http1.Response) []byte {
	closes := !r.Closes()
	dst = append(dst, r.Line...)
	for i := range r.Fields {
		f := &r.Fields[i]
		if closes && (f.Is("connection") || f.Is("keep-alive")) || r.Overridden && f.Is("content-length") || f.Is("wsr-refused") {
			continue
		}
		dst = append(dst, f.Line...)
	}
	if closes {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// Close drops the answer. It may be called again.
func (a *AppRefusal) Close() {
	a.stop()
	a.conn.Close()
}

// Pass hands the answer on as it came, and ends the client's connection: bytes
// that followed the upgrade are not a request (RFC 9931). When ctx ends, so do both.
func (a *AppRefusal) Pass(ctx context.Context, w http.ResponseWriter) error {
	defer a.Close()
	client, _, err := httpguard.Hijack(w)
	if err != nil {
		return err
	}
	defer client.Close()
	defer context.AfterFunc(ctx, func() { a.Close(); client.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(io.Discard, client); err != nil {
			a.conn.Close() // the client is gone, or has had its time
		} else {
			_ = transport.CloseWrite(a.conn) // it says no more, and may listen
		}
	}()
	_, err = client.Write(a.head)
	if err == nil {
		err = a.copyBody(client)
	}
	a.Close()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		transport.Abort(client) // or what came would look complete
	} else {
		_ = transport.CloseWrite(client)
	}
	_ = client.SetReadDeadline(time.Now().Add(lingerTime))
	<-done
	return err
}

// copyBody writes the body as it is framed, each piece at once.
func (a *AppRefusal) copyBody(to io.Writer) error {
	for {
		held, _ := a.rest.Peek(a.rest.Buffered()) // what is buffered can be peeked at
		n, err := a.body.Next(held)
		if _, werr := to.Write(held[:n]); werr != nil {
			return werr
		}
		_, _ = a.rest.Discard(n)
		switch {
		case err != nil:
			return err
		case a.body.Trailer():
			return a.copyTrailer(to)
		case a.body.Done():
			return nil
		}
		if _, err := a.rest.Peek(1); err != nil {
			switch {
			case !errors.Is(err, io.EOF):
			case a.body.UntilClose():
				return nil
			default:
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("upgrade: read answer of upstream: %w", err)
		}
	}
}

func (a *AppRefusal) copyTrailer(to io.Writer) error {
	section, err := readSection(a.rest, http1.Scanner{Section: true, Lenient: true}, nil)
	if err != nil {
		return err
	}
	_, err = to.Write(section)
	return err
}

// readSection appends a head, or a trailer section, to dst.
func readSection(br *bufio.Reader, scan http1.Scanner, dst []byte) ([]byte, error) {
	begin := len(dst)
	for {
		line, err := br.ReadSlice('\n')
		dst = append(dst, line...)
		if len(dst)-begin > MaxAnswerBytes {
			return dst, ErrAnswerTooBig
		}
		end, serr := scan.Next(dst[begin:])
		switch {
		case serr != nil:
			return dst, serr
		case end > 0:
			return dst, nil
		case errors.Is(err, io.EOF):
			return dst, io.ErrUnexpectedEOF
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return dst, err
		}
	}
}
