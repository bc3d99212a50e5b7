package frame

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/gobwas/ws"
)

// differences are the headers that Parse and Flow refuse and that ws.ReadHeader
// and ws.CheckHeader accept. In everything else they must agree.
var differences = []struct {
	name, reason string
	example      string // hex, of a client with permessage-deflate
	is           func(h *ws.Header, size int, r Rules) bool
}{
	{
		name: "length not minimal", reason: "RFC 6455 §5.2: the minimal number of bytes must be used",
		example: "82fe 0005 00000000",
		is:      func(h *ws.Header, size int, _ Rules) bool { return size != len(AppendHeader(nil, *h)) },
	},
	{
		name: "reserved bit on a control frame", reason: "RFC 7692 §6.1: only a data message is compressed",
		example: "c980 00000000",
		is:      func(h *ws.Header, _ int, _ Rules) bool { return h.OpCode.IsControl() && h.Rsv != 0 },
	},
	{
		name: "reserved bit of another extension", reason: "RFC 6455 §5.2: permessage-deflate defines RSV1; ws knows only that there is an extension",
		example: "a280 00000000",
		is:      func(h *ws.Header, _ int, r Rules) bool { return h.Rsv&^r.Rsv != 0 },
	},
	{
		name: "reserved bit on a continuation", reason: "RFC 7692 §6.1: RSV1 stands on the first fragment",
		example: "4280 00000000 c080 00000000",
		is:      func(h *ws.Header, _ int, _ Rules) bool { return h.OpCode == ws.OpContinuation && h.Rsv != 0 },
	},
}

// ours reads one header as Messages does, and theirs with gobwas/ws.
func ours(p []byte, r Rules, flow *Flow) (Header, error) {
	h, err := r.Parse(p)
	if err == nil {
		err = flow.Next(&h)
	}
	return h, err
}

func theirs(p []byte, r Rules, fragmented bool) (h ws.Header, size int, err error) {
	state := ws.StateClientSide
	if r.Masked {
		state = ws.StateServerSide
	}
	if r.Rsv != 0 {
		state = state.Set(ws.StateExtended)
	}
	if fragmented {
		state = state.Set(ws.StateFragmented)
	}
	in := bytes.NewReader(p)
	if h, err = ws.ReadHeader(in); err == nil {
		err = ws.CheckHeader(h, state)
	}
	return h, len(p) - in.Len(), err
}

// compare reads p frame by frame with both, and returns the difference at which
// they part.
func compare(t *testing.T, p []byte, r Rules) (difference string) {
	t.Helper()
	var flow Flow
	for {
		fragmented := flow.Open()
		h, err := ours(p, r, &flow)
		want, size, wantErr := theirs(p, r, fragmented)
		short := wantErr == io.EOF || errors.Is(wantErr, io.ErrUnexpectedEOF)
		switch {
		case err == ErrShort:
			if !short {
				t.Fatalf("% x: %v; ws: %+v, %v", p[:min(len(p), 14)], err, want, wantErr)
			}
			return ""
		case err != nil && wantErr != nil:
			return "" // a violation, or one that is certain before the header is there
		case err != nil:
			for _, d := range differences {
				if d.is(&want, size, r) {
					return d.name
				}
			}
			t.Fatalf("% x: %v; ws accepts %+v", p[:min(len(p), 14)], err, want)
		case wantErr != nil:
			t.Fatalf("% x: %+v; ws: %v", p[:min(len(p), 14)], h, wantErr)
		}
		if want.Length = min(want.Length, maxLength); h.Header != want || h.Size != size {
			t.Fatalf("% x: %+v of %d bytes; ws: %+v of %d", p[:min(len(p), 14)], h.Header, h.Size, want, size)
		}
		if h.Total() > len(p) {
			return ""
		}
		p = p[h.Total():]
	}
}

func TestDifferences(t *testing.T) {
	for _, d := range differences {
		if got := compare(t, unhex(t, d.example), Rules{Masked: true, Rsv: RSV1}); got != d.name {
			t.Errorf("%s: %q is no difference, but %q (%s)", d.name, d.example, got, d.reason)
		}
	}
}

// FuzzAgainstGobwas holds the parser against that of gobwas/ws.
func FuzzAgainstGobwas(f *testing.F) {
	for _, d := range differences {
		f.Add(unhex(f, d.example), true, true)
	}
	f.Add(unhex(f, "0181 01020304 41 8900 8081 00000000 42"), true, false)
	f.Add(unhex(f, "827f 0000000000010000"), false, false)
	f.Add(unhex(f, "82ff ffffffffffffffff 00000000"), true, true)
	f.Fuzz(func(t *testing.T, in []byte, masked, deflate bool) {
		r := Rules{Masked: masked}
		if deflate {
			r.Rsv = RSV1
		}
		compare(t, in, r)
	})
}
