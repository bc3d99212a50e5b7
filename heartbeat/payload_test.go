package heartbeat

import (
	"bytes"
	"errors"
	"testing"
)

// naiveCRC8 is CRC-8/ROHC as the catalogue describes it, bit by bit.
func naiveCRC8(b []byte) byte {
	crc := byte(0xFF)
	for _, c := range b {
		crc ^= c
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low == 1 {
				crc ^= 0xE0 // 0x07 reflected
			}
		}
	}
	return crc
}

func TestCRCCheckValue(t *testing.T) {
	if got := crc8([]byte("123456789")); got != 0xD0 {
		t.Errorf("crc8 = %#x, the catalogue's check value is 0xD0", got)
	}
}

func TestCRCTable(t *testing.T) {
	for i := range 256 {
		if b := []byte{byte(i)}; crc8(b) != naiveCRC8(b) {
			t.Errorf("crc8(%#x) = %#x, bit by bit it is %#x", b, crc8(b), naiveCRC8(b))
		}
	}
}

func TestPayloadLayout(t *testing.T) {
	p := Payload{Seq: 0x01020304, TimeMillis: 0x05060708090a0b0c}
	body := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	want := append([]byte("kept"), append(body, naiveCRC8(body))...)
	if got := AppendPayload([]byte("kept"), p); !bytes.Equal(got, want) {
		t.Errorf("AppendPayload = %x, want %x", got, want)
	}
}

func TestParsePayloadRefuses(t *testing.T) {
	good := AppendPayload(nil, Payload{Seq: 7, TimeMillis: 1_700_000_000_000})
	for n := range PayloadSize {
		if _, err := ParsePayload(good[:n]); !errors.Is(err, ErrLength) {
			t.Errorf("%d bytes: %v, want ErrLength", n, err)
		}
	}
	if _, err := ParsePayload(append(bytes.Clone(good), 0)); !errors.Is(err, ErrLength) {
		t.Errorf("14 bytes: %v, want ErrLength", err)
	}
	// A CRC of eight bits finds every single flipped bit.
	for bit := range PayloadSize * 8 {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := ParsePayload(bad); !errors.Is(err, ErrCRC) {
			t.Errorf("bit %d flipped: %v, want ErrCRC", bit, err)
		}
	}
}

func TestPayloadAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, PayloadSize)
	allocs := testing.AllocsPerRun(1000, func() {
		buf = AppendPayload(buf[:0], Payload{Seq: 1, TimeMillis: 2})
		if _, err := ParsePayload(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := ParsePayload(buf[:3]); err == nil {
			t.Fatal("short payload accepted")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func FuzzParsePayload(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("123456789"))
	f.Add(make([]byte, PayloadSize))
	f.Add(AppendPayload(nil, Payload{}))
	f.Add(AppendPayload(nil, Payload{Seq: 1<<32 - 1, TimeMillis: 1<<64 - 1}))
	f.Add(append(AppendPayload(nil, Payload{Seq: 1}), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		// What 13 bytes with a right CRC mean is re-encoded to the same bytes;
		// any other input is refused with the error that fits.
		var want error
		switch {
		case len(b) != PayloadSize:
			want = ErrLength
		case naiveCRC8(b[:PayloadSize-1]) != b[PayloadSize-1]:
			want = ErrCRC
		}
		p, err := ParsePayload(b)
		if !errors.Is(err, want) {
			t.Fatalf("ParsePayload(%x) = %v, want %v", b, err, want)
		}
		if err == nil && !bytes.Equal(AppendPayload(nil, p), b) {
			t.Fatalf("%x parses as %+v, which encodes as %x", b, p, AppendPayload(nil, p))
		}
	})
}
