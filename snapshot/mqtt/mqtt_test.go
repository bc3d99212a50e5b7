package mqtt

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// Packets that the conversations begin with, as steps.
const (
	hello        = "client/x 100d 0004 4d515454 04 02 000a 0001 61\napp/x 2002 00 00\n" // 3.1.1, keep alive 10 s
	hello5       = "client/x 1013 0004 4d515454 05 02 000a 05 1100000e10 0001 61\napp/x 2006 00 00 03 130004\n"
	subscribeAB  = "client/x 8208 0001 0003 612f62 01\napp/x 9003 0001 01\n" // a/b, QoS 1
	connectAgain = "to-app/x 100d 0004 4d515454 04 02 000a 0001 61\n"
)

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "mqtt", New)
	for name, script := range map[string]string{
		"granted filters are subscribed again, one by one": hello + subscribeAB + `
			client/x 820e 0002 0001 63 00 0001 64 02 0001 65 00
			app/x 9005 0002 00 80 00
			client/x a205 0003 0001 65
			app/x b002 0003
			complete
			move
			` + connectAgain + `
			restoring
			app!/x 2002 00 00
			to-app/x 8208 ffff 0003 612f62 01
			to-app/x 8206 fffe 0001 63 00
			app/x 3004 0001 63 78
			app!/x 9003 fffe 00
			restoring
			app!/x 9003 ffff 01
			restored
			app/x 9003 ffff 01`,
		"a broker that has the session is not subscribed again": hello + subscribeAB + `
			restore
			` + connectAgain + `
			app!/x 2002 01 00
			restored`,
		"requests without an answer are made again, and answered to the client": `
			client/x 100d 0004 4d515454 04 02 000a 0001 61
			restore
			` + connectAgain + `
			app/x 2002 00 00
			restored
			client/x 8206 0001 0001 63 00
			restore
			` + connectAgain + `
			app!/x 2002 00 00
			to-app/x 8206 0001 0001 63 00
			restored
			app/x 9003 0001 00`,
		"messages in flight are sent again": hello + `
			client/x 3206 0001 74 0005 78
			client/x 3206 0001 74 0006 78
			client/x 3406 0001 74 0007 78
			client/x 3406 0001 74 0008 78
			client/x 3406 0001 74 0009 78
			app/x 4002 0005
			app/x 5002 0007
			client/x 6202 0007
			app/x 5002 0008
			app/x 5002 0007
			complete
			move
			` + connectAgain + `
			app!/x 2002 00 00
			to-app/x 3a06 0001 74 0006 78
			to-app/x 3c06 0001 74 0009 78
			to-app/x 6202 0007
			restored
			app/x 7002 0007
			app/x 4002 0006
			app/x 5002 0009
			restore
			` + connectAgain + `
			app!/x 2002 00 00
			restored`,
		"a refusal fails the restore": hello + "restore\n" + connectAgain + "app!/x 2002 00 03\nfailed",
		"DISCONNECT ends it all":      hello + subscribeAB + "client/x e000\nended\nrestore\nrestored",
		"packets that share a message, or need several": `
			client/x 100d 0004 4d51
			client/x 5454 04 02 000a 0001 61 8206 0001 0001 63 00 82
			client/x 06 0002 0001 64
			client/x 00
			app!/x 2002 00 00 9003 0001 00 90
			to-client/x 2002 00 00
			to-client/x 9003 0001 00
			app!/x 03 0002 00
			to-client/x 9003 0002 00
			restore
			` + connectAgain + `
			app!/x 20
			app!/x 02
			app!/x 00 00
			to-app/x 8206 ffff 0001 63 00
			to-app/x 8206 fffe 0001 64 00
			app!/x 9003 ffff 00 9003 fffe 00
			restored`,
		"our answer in one message with others": hello + subscribeAB + "restore\n" + connectAgain + `
			app!/x 2002 00 00
			to-app/x 8208 ffff 0003 612f62 01
			app!/x 9003 ffff 01 3004 0001 63 78
			to-client/x 3004 0001 63 78
			restored`,
		"a broker that dies within a packet": hello + `
			app!/x 30
			app!/x 04 0001
			complete
			restore
			` + connectAgain + `
			app!/x 20
			app!/x 02 00 00
			restored
			app/x 3004 0001 63 78`,
		"a broker that dies while the client is within a packet": hello + subscribeAB + `
			aligned
			client/x 30
			client/x 04 0001
			in-flight
			complete
			restore
			` + connectAgain + `
			app!/x 2002 00 00
			to-app/x 8208 ffff 0003 612f62 01
			in-flight
			app!/x 9003 ffff 01
			to-app/x 30 04 0001
			restored
			client/x 63
			in-flight
			client/x 78 c000 30
			in-flight
			client/x 02 0000
			aligned
			restore
			` + connectAgain + `
			app!/x 2002 01 00
			to-app/x c000
			restored
			app/x d000`,
		"another pod to-app the packet from the client": hello + `
			client/x 30 04 0001
			in-flight
			move
			` + connectAgain + `
			app!/x 2002 01 00
			restored
			aligned
			complete`,
		"no ping inside of a packet": hello + `
			client/x 30 04
			detach
			wait 1m
			client/x 0001 63 78
			wait 7500ms
			to-app/x c000`,
		"a large message goes on as it comes": hello + `
			app!/x 3080
			app!/x 800401
			to-client/x 30808004
			to-client/x 01
			incomplete
			app!/x ` + strings.Repeat("ee", 1<<16-2) + `
			to-client/x ` + strings.Repeat("ee", 1<<16-2) + `
			app!/x ee 3004 0001 63 78
			to-client/x ee
			to-client/x 3004 0001 63 78
			complete
			app!/x 3080800401
			to-client/x 3080800401
			move
			` + connectAgain + `
			incomplete`,
		"a client whose messages never end with a packet": hello + "client/x 30\n" +
			strings.Repeat("client/x 82800100 00 "+strings.Repeat("ee", 1<<14)+" 30\n", 4) +
			"aligned\nincomplete\nclient/x 02 0000\naligned\ncomplete",
		"what is not MQTT, from the broker": hello + `
			app!/x c000 30ff ffff
			to-client/x c000
			app!/x ffff 01
			to-client/x 30ff ffff ff
			to-client/x ff01
			incomplete
			app/x 02`,
		"MQTT 5: a broker that shuts down": hello5 + `
			ends 1000
			going
			app/x e001 8e
			ended
			ends 1000
			app!/x e001 8b
			restarts 1000
			going
			restore
			to-app/x 1013 0004 4d515454 05 00 000a 05 1100000e10 0001 61
			ends 1000`,
		"pings are said for a client that is away": hello + `
			detach
			wait 7499ms
			wait 1ms
			to-app/x c000
			attach
			app!/x d000
			client/x c000
			app/x d000
			wait 1m
			detach
			wait 2500ms
			to-app/x c000`,
		"MQTT 5: the server's keep alive, and a session that goes on": hello5 + `
			client/x 820b 0001 02 0b07 0003 612f62 2d
			app/x 9004 0001 00 01
			detach
			wait 3s
			to-app/x c000
			attach
			restore
			to-app/x 1013 0004 4d515454 05 00 000a 05 1100000e10 0001 61
			app!/x 2003 00 00 00
			to-app/x 820b ffff 02 0b07 0003 612f62 2d
			app!/x 9004 ffff 00 01
			restored`,
		"MQTT 5: a topic alias lives in the connection": hello5 + "client/x 3007 0001 74 03 230001\nincomplete",
		"MQTT 5: so does authentication":                hello5 + "client/x f000\nincomplete",
		"MQTT 5: a SUBSCRIBE that ends before its options": hello5 + `
			client/x 8206 0001 00 0001 63
			app/x 9004 0001 00 01
			incomplete`,
		"what is not MQTT": hello + "client/x 30ffffffffff\nincomplete",
		"text":             hello + "client hello\nincomplete",
		"a large message without an answer to come": hello +
			"client/x 3080800401\naligned\nincomplete\nclient/x " + strings.Repeat("ee", 1<<16-1) + "\ncomplete\n" + subscribeAB + "complete",
		"a large message to a socket that is gone": hello + "client/x 3080800401\nrestore\n" + connectAgain + "incomplete",
		"a large message with one": hello +
			"client/x 3280800401\nclient/x " + strings.Repeat("ee", 1<<16-1) + "\nincomplete\napp/x 4002 0001\ncomplete",
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}

// TestUntracked fills what is kept of messages in flight. All is well again
// when they are answered.
func TestUntracked(t *testing.T) {
	k := snapshottest.Preset(t, "mqtt", New).Tracker("/")
	publish := func(id byte) snapshot.Message {
		return snapshot.Message{Binary: true, Data: append([]byte{0x32, 0x85, 0x01, 0, 1, 't', 0, id}, bytes.Repeat([]byte{'x'}, 128)...)}
	}
	for id := range byte(200) {
		k.Inbound(snapshottest.Start, publish(id+1))
		if k.Complete() != (id < maxInFlight) {
			t.Fatalf("complete %v with %d in flight", k.Complete(), id+1)
		}
	}
	for id := range byte(200) {
		k.Outbound(snapshottest.Start, snapshot.Message{Binary: true, Data: []byte{0x40, 2, 0, id + 1}})
	}
	if !k.Complete() || len(k.Entries()) != 0 {
		t.Errorf("complete %v with %d entries when all is answered", k.Complete(), len(k.Entries()))
	}
	if k.Version() != 0 {
		t.Errorf("version %d: answers that come at once are not worth a write", k.Version())
	}
}

// holdsPart reports whether a preset has the beginning of a packet of the client.
func holdsPart(p snapshot.Preset) bool { return len(p.(*preset).fromClient.part) > 0 }

func FuzzRestore(f *testing.F) {
	connect, connack := "\x01\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a", "\x03\x20\x02\x00\x00"
	connect5 := "\x01\x10\x13\x00\x04MQTT\x05\x02\x00\x0a\x05\x11\x00\x00\x0e\x10\x00\x01a"
	sub, suback := "\x01\x82\x06\x00\x01\x00\x01c\x00", "\x03\x90\x03\x00\x01\x00"
	pub := "\x01\x34\x06\x00\x01t\x00\x06x"
	f.Add(snapshottest.Conversation(connect, connack, sub, suback, pub), snapshottest.Conversation(connack, "\x03\x90\x03\xff\xff\x00"))
	f.Add(snapshottest.Conversation(connect, connack, pub, "\x03\x50\x02\x00\x06", "\x01\x62\x02\x00\x06"), snapshottest.Conversation("\x03\x20\x02\x01\x00"))
	f.Add(snapshottest.Conversation(connect5, connack, "\x01\x82\x07\x00\x01\x00\x00\x01c\x00", "\x03\x90\x04\x00\x01\x00\x00"), snapshottest.Conversation("\x03\x20\x03\x00\x00\x00"))
	f.Add(snapshottest.Conversation(connect5[:9], connect5[:1]+connect5[9:], "\x15\xe0\x00"), snapshottest.Conversation("\x03\x20", "\x03\x02\x00\x05"))
	f.Add(snapshottest.Conversation(connect, "\x01\x82\x05\x00\x01\x00\x01c"), snapshottest.Conversation("\x03\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		snapshottest.Restores(t, snapshot.Protocol{Name: "mqtt", New: New}, before, after, holdsPart)
	})
}

// FuzzStream cuts what a broker says in two ways. The client must get the
// same packets, all bytes must arrive but those of the last packet, and what
// is held must stay bounded.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x00\x90\x03\x00\x01\x00\x30\x04\x00\x01cx\xd0\x00\x40"), uint8(0))
	f.Add([]byte("\x30\xff\xff\xff\x7fabc"), uint8(1))
	f.Add([]byte("\xd0\x00\x30\x80\x80\x80\x80\x01"), uint8(2))
	f.Add(append(append([]byte("\x30\x80\x80\x04"), make([]byte, 1<<16)...), "\xd0\x00\x20\x02"...), uint8(254))
	g := snapshottest.Preset(f, "mqtt", New)
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		read := func(size int) (packets [][]byte, all []byte, s stream) {
			k := g.Tracker("/")
			s = stream{}
			for rest := data; len(rest) > 0; {
				n := min(size, len(rest))
				m := snapshot.Message{Binary: true, Data: bytes.Clone(rest[:n])}
				if !k.Outbound(snapshottest.Start, m) {
					all = append(all, m.Data...)
				}
				for _, d := range k.ToClient() {
					all = append(all, d.Data...)
				}
				s.feed(m.Data, func(p packet) { packets = append(packets, append([]byte{p.kind, p.flags}, p.raw...)) })
				rest = rest[n:]
				if len(s.part) > maxPacket {
					t.Fatalf("%d bytes are held", len(s.part))
				}
			}
			return packets, append(all, s.part...), s
		}
		one, whole, a := read(max(len(data), 1))
		many, pieces, b := read(int(size) + 1)
		if !bytes.Equal(whole, data) || !bytes.Equal(pieces, data) {
			t.Fatalf("%d bytes became %d, and %d in pieces of %d", len(data), len(whole), len(pieces), int(size)+1)
		}
		if a.atBoundary() != b.atBoundary() || a.notMQTT != b.notMQTT || a.skip != b.skip || !bytes.Equal(a.part, b.part) {
			t.Fatalf("ends as %v, or in pieces as %v", a, b)
		}
		if len(data) > maxPacket || a.notMQTT || a.skip > 0 {
			return // what is passed on as it comes depends on how it comes
		}
		if fmt.Sprint(one) != fmt.Sprint(many) {
			t.Fatalf("packets %x, or in pieces %x", one, many)
		}
	})
}

// TestWholePacketsAreNotCopied: where a message is a packet, as many brokers send
// them, it is not copied.
func TestWholePacketsAreNotCopied(t *testing.T) {
	k := snapshottest.Preset(t, "mqtt", New).Tracker("/")
	m := snapshot.Message{Binary: true, Data: []byte("\x30\x04\x00\x01cx")}
	if n := testing.AllocsPerRun(100, func() {
		if k.Outbound(snapshottest.Start, m) {
			t.Error("swallowed")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLengthIsNotMemory: what a header announces is not held before it is here.
func TestLengthIsNotMemory(t *testing.T) {
	k := snapshottest.Preset(t, "mqtt", New).Tracker("/")
	header := snapshot.Message{Binary: true, Data: []byte("\x30\xff\xff\xff\x7f")} // 256 MiB
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	k.Inbound(snapshottest.Start, header)
	k.Outbound(snapshottest.Start, header)
	k.ToClient()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("%d bytes were allocated", n)
	}
}

// TestRulesSeePackets: a rule on the same path sees the broker's packets, not the
// pieces in which they come.
func TestRulesSeePackets(t *testing.T) {
	g := snapshottest.Policy(t, `{"rules":[{"path":"*","select":{"regexp":"MQTT"},"dropOutbound":{"regexp":"bye"}}]}`, "mqtt", snapshot.Protocol{Name: "mqtt", New: New})
	k := snapshottest.Play(t, g, hello+`
		app!/x 3006 0001 63 62
		app!/x 7965
		to-client/x 3006 0001 63 627965
		restore
		`+connectAgain+`
		app!/x 2002 00 00
		restored`)
	if n := len(k.Entries()); n != 2 {
		t.Errorf("%d entries, want CONNECT and the mark of CONNACK", n)
	}
}
