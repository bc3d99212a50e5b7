package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// vectors reads one file of testdata/vectors; other implementations read the
// same ones (PROTOCOL §12).
func vectors[T any](t *testing.T, name string) []T {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s holds no case", name)
	}
	return cases
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recode decodes a control message of any type and encodes it again.
func recode(msg []byte, parseWelcome func([]byte) (*WelcomeMessage, error)) ([]byte, map[string]any, error) {
	typ, _ := TypeOf(msg)
	f := map[string]any{"type": typ.String()}
	switch typ {
	case Welcome:
		w, err := parseWelcome(msg)
		if err != nil {
			return nil, nil, err
		}
		f["status"], f["reason"], f["session"] = w.Status, w.Reason, w.Session.String()
		if w.Restored {
			f["restored"] = true
		}
		f["epoch"], f["inboundAck"], f["nextOutbound"] = w.Epoch, w.InboundAck, w.NextOutbound
		f["heartbeatMillis"], f["ttlMillis"] = w.HeartbeatMillis, w.TTLMillis
		f["window"], f["maxMessage"], f["token"], f["subprotocol"] = w.Window, w.MaxMessage, w.Token, w.Subprotocol
		f["retryFirstMillis"], f["retryMostMillis"] = w.RetryFirstMillis, w.RetryMostMillis
		if w.WithOptions {
			f["takesKeys"] = w.Options&OptionKeys != 0
			if w.Options&OptionShared != 0 {
				f["shared"] = true
			}
		}
		return AppendWelcome(nil, w), f, nil
	case Ack:
		seq, err := ParseAck(msg)
		f["seq"] = seq
		return AppendAck(nil, seq), f, err
	case Heartbeat, HeartbeatAck:
		b, err := ParseBeat(msg, typ)
		f["payload"], f["sent"], f["ack"] = hex.EncodeToString(b.Payload[:]), b.Sent, b.Ack
		return AppendBeat(nil, typ, b), f, err
	case GoAway:
		r, d, err := ParseGoAway(msg)
		f["reason"], f["delayMillis"] = r, d
		return AppendGoAway(nil, r, d), f, err
	case Close:
		c, r, err := ParseClose(msg)
		f["code"], f["reason"] = c, r
		return AppendClose(nil, c, r), f, err
	case Reset:
		r, status, err := ParseReset(msg)
		f["reason"] = r
		if status != 0 {
			f["status"] = status
			return AppendRefused(nil, status), f, err
		}
		return AppendReset(nil, r), f, err
	case Restore:
		op, p, err := ParseRestore(msg)
		f["opcode"], f["message"] = op, hex.EncodeToString(p)
		return AppendRestore(nil, op, p), f, err
	case Restored:
		return AppendRestored(nil), f, ParseRestored(msg)
	case Skipped:
		return AppendSkipped(nil), f, ParseSkipped(msg)
	case Key:
		key, err := ParseKey(msg)
		f["key"] = hex.EncodeToString([]byte(key))
		return AppendKey(nil, key), f, err
	case Outcome:
		fate, key, err := ParseOutcome(msg)
		f["fate"], f["key"] = fate, hex.EncodeToString([]byte(key))
		return AppendOutcome(nil, fate, key), f, err
	case Shared:
		what, err := ParseShared(msg)
		if err != nil {
			return nil, nil, err
		}
		switch s := what.(type) {
		case *Members:
			f["share"], f["self"], f["readOnly"], f["members"] = ShareMembers, s.Self, s.ReadOnly, append([]uint16{}, s.All...)
			return AppendMembers(nil, s), f, err
		case Synchronised:
			f["share"], f["mode"], f["messages"], f["version"] = ShareSynchronised, s.Mode.String(), s.Messages, s.Version
			return AppendSynchronised(nil, s), f, err
		case *Conflict:
			f["share"], f["seq"], f["key"], f["opcode"], f["present"] = ShareConflict, s.Seq, hex.EncodeToString([]byte(s.Key)), s.OpCode, hex.EncodeToString(s.Present)
			return AppendConflict(nil, s), f, err
		}
		return msg, f, err
	}
	return nil, nil, ErrMalformed
}

// A controlCase is a control message.
type controlCase struct {
	Name, Bytes string
	Protocols   []string // an offer instead
	Error       bool
	Fields      map[string]any
}

func TestControlVectors(t *testing.T) {
	testControl(t, vectors[controlCase](t, "control.json"), ParseWelcome)
}

// TestKeyVectors are those of clients with keys.
func TestKeyVectors(t *testing.T) {
	isOffer := func(c controlCase) bool { return c.Protocols != nil }
	testControl(t, slices.DeleteFunc(vectors[controlCase](t, "keys.json"), isOffer), ParseWelcomeOptions)
}

// TestShareVectors are those of clients that share a session.
func TestShareVectors(t *testing.T) {
	isOffer := func(c controlCase) bool { return c.Protocols != nil }
	testControl(t, slices.DeleteFunc(vectors[controlCase](t, "share.json"), isOffer), ParseWelcomeOptions)
}

func testControl(t *testing.T, cases []controlCase, parseWelcome func([]byte) (*WelcomeMessage, error)) {
	for _, tc := range cases {
		t.Run(tc.Name, func(t *testing.T) {
			msg := unhex(t, tc.Bytes)
			out, fields, err := recode(msg, parseWelcome)
			if tc.Error {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("error %v, want ErrMalformed", err)
				}
				return
			}
			if err != nil || !bytes.Equal(out, msg) {
				t.Fatalf("encoded again as % x, %v; want % x", out, err, msg)
			}
			b, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.Fields) {
				t.Fatalf("fields %v, want %v", got, tc.Fields)
			}
		})
	}
}

func TestOfferVectors(t *testing.T) {
	type fields struct {
		App                      []string
		Resilient, Adopt, Reopen bool
		Resume                   *Resume
	}
	for _, tc := range vectors[struct {
		Name      string
		Protocols []string
		Error     bool
		Fields    fields
	}](t, "offer.json") {
		t.Run(tc.Name, func(t *testing.T) {
			o, err := ParseOffer(tc.Protocols)
			if tc.Error {
				if !errors.Is(err, ErrOffer) {
					t.Fatalf("error %v, want ErrOffer", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := fields{append([]string{}, o.App...), o.Resilient, o.Adopt, o.Reopen, o.Resume}
			if !reflect.DeepEqual(got, tc.Fields) {
				t.Fatalf("got %+v, want %+v", got, tc.Fields)
			}
			again, err := ParseOffer(o.Protocols())
			if err != nil || !reflect.DeepEqual(again, o) {
				t.Fatalf("offered again as %q: %+v, %v", o.Protocols(), again, err)
			}
		})
	}
}

func TestOptionOffers(t *testing.T) {
	for _, tc := range append(vectors[controlCase](t, "keys.json"), vectors[controlCase](t, "share.json")...) {
		if tc.Protocols == nil {
			continue
		}
		o, err := ParseOffer(tc.Protocols)
		if tc.Error {
			if !errors.Is(err, ErrOffer) {
				t.Errorf("%s: error %v, want ErrOffer", tc.Name, err)
			}
			continue
		}
		share, _ := tc.Fields["share"].(bool)
		if err != nil || o.Keys != tc.Fields["keys"] || o.Share != share || !slices.Equal(o.Protocols(), tc.Protocols) {
			t.Errorf("%s: %+v, %v; offered again as %q", tc.Name, o, err, o.Protocols())
		}
	}
}

func TestEscapeVectors(t *testing.T) {
	for _, tc := range vectors[struct {
		Name, Data, Wire string
		Binary, Error    bool
	}](t, "escape.json") {
		t.Run(tc.Name, func(t *testing.T) {
			data, onWire := unhex(t, tc.Data), unhex(t, tc.Wire)
			if tc.Error {
				if _, err := Unescape(onWire); !errors.Is(err, ErrMalformed) {
					t.Fatalf("error %v, want ErrMalformed", err)
				}
				return
			}
			out := slices.Clone(data)
			if tc.Binary && IsMagic(data) {
				out = append(AppendEscape(nil), data...)
			}
			if !bytes.Equal(out, onWire) {
				t.Fatalf("travels as % x, want % x", out, onWire)
			}
			back := onWire
			if typ, ours := TypeOf(onWire); tc.Binary && ours {
				if typ != Escaped {
					t.Fatalf("type %v, want ESCAPED", typ)
				}
				var err error
				if back, err = Unescape(onWire); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(back, data) {
				t.Fatalf("arrives as % x, want % x", back, data)
			}
		})
	}
}

// No decoder panics, and what one accepts it encodes to the same bytes.
func FuzzControl(f *testing.F) {
	for _, s := range []string{"0200000007", "0601e8", "0701", "0501000009c4"} {
		b, _ := hex.DecodeString(s)
		f.Add(append([]byte(Magic), b...))
	}
	f.Add(AppendWelcome(nil, &WelcomeMessage{Status: StatusAdopted, Reason: AdoptDrained, Token: "abc", Subprotocol: "x"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		if !IsMagic(in) {
			return
		}
		out, _, err := recode(in, ParseWelcomeOptions)
		if err == nil && out != nil && !bytes.Equal(out, in) {
			t.Fatalf("% x became % x", in, out)
		}
	})
}

func FuzzOffer(f *testing.F) {
	f.Add("chat,wsr.v1,wsr.resume.t.1.2")
	f.Add("wsr,wsr.v1,wsr.adopt,wsr.resume.a-_.4294967295.0")
	f.Fuzz(func(t *testing.T, list string) {
		o, err := ParseOffer(strings.Split(list, ","))
		if err != nil {
			return
		}
		again, err := ParseOffer(o.Protocols())
		if o.Resilient && (err != nil || !reflect.DeepEqual(again, o)) {
			t.Fatalf("%q: %+v became %+v, %v", list, o, again, err)
		}
	})
}
