package snapshot

import (
	"bytes"
	"strings"
	"testing"
)

// Packets that the conversations begin with, as steps.
const (
	mqttHello  = "client/x 100d 0004 4d515454 04 02 000a 0001 61\napp/x 2002 00 00\n" // 3.1.1, keep alive 10 s
	mqttHello5 = "client/x 1013 0004 4d515454 05 02 000a 05 1100000e10 0001 61\napp/x 2006 00 00 03 130004\n"
	mqttSubAB  = "client/x 8208 0001 0003 612f62 01\napp/x 9003 0001 01\n" // a/b, QoS 1
	mqttAgain  = "hears/x 100d 0004 4d515454 04 02 000a 0001 61\n"
)

func TestMQTT(t *testing.T) {
	g := mustGuide(t, "", "mqtt")
	for name, script := range map[string]string{
		"granted filters are subscribed again, one by one": mqttHello + mqttSubAB + `
			client/x 820e 0002 0001 63 00 0001 64 02 0001 65 00
			app/x 9005 0002 00 80 00
			client/x a205 0003 0001 65
			app/x b002 0003
			complete
			move
			` + mqttAgain + `
			restoring
			app!/x 2002 00 00
			hears/x 8208 ffff 0003 612f62 01
			hears/x 8206 fffe 0001 63 00
			app/x 3004 0001 63 78
			app!/x 9003 fffe 00
			restoring
			app!/x 9003 ffff 01
			restored
			app/x 9003 ffff 01`,
		"a broker that has the session is not subscribed again": mqttHello + mqttSubAB + `
			restore
			` + mqttAgain + `
			app!/x 2002 01 00
			restored`,
		"requests without an answer are made again, and answered to the client": `
			client/x 100d 0004 4d515454 04 02 000a 0001 61
			restore
			` + mqttAgain + `
			app/x 2002 00 00
			restored
			client/x 8206 0001 0001 63 00
			restore
			` + mqttAgain + `
			app!/x 2002 00 00
			hears/x 8206 0001 0001 63 00
			restored
			app/x 9003 0001 00`,
		"messages in flight are said again": mqttHello + `
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
			` + mqttAgain + `
			app!/x 2002 00 00
			hears/x 3a06 0001 74 0006 78
			hears/x 3c06 0001 74 0009 78
			hears/x 6202 0007
			restored
			app/x 7002 0007
			app/x 4002 0006
			app/x 5002 0009
			restore
			` + mqttAgain + `
			app!/x 2002 00 00
			restored`,
		"a refusal fails the restore": mqttHello + "restore\n" + mqttAgain + "app!/x 2002 00 03\nfailed",
		"DISCONNECT ends it all":      mqttHello + mqttSubAB + "client/x e000\nrestore\nrestored",
		"packets that share a message, or need several": `
			client/x 100d 0004 4d51
			client/x 5454 04 02 000a 0001 61 8206 0001 0001 63 00 82
			client/x 06 0002 0001 64
			client/x 00
			app/x 2002 00 00 9003 0001 00 90
			app/x 03 0002 00
			restore
			` + mqttAgain + `
			app!/x 2002 00 00
			hears/x 8206 ffff 0001 63 00
			hears/x 8206 fffe 0001 64 00
			app!/x 9003 ffff 00 9003 fffe 00
			restored`,
		"our answer in one message with others passes with them": mqttHello + mqttSubAB + "restore\n" + mqttAgain + `
			app!/x 2002 00 00
			hears/x 8208 ffff 0003 612f62 01
			app/x 9003 ffff 01 3004 0001 63 78
			restored`,
		"pings are said for a client that is away": mqttHello + `
			detach
			wait 7499ms
			wait 1ms
			hears/x c000
			attach
			app!/x d000
			client/x c000
			app/x d000
			wait 1m
			detach
			wait 2500ms
			hears/x c000`,
		"MQTT 5: the server's keep alive, and a session that goes on": mqttHello5 + `
			client/x 820b 0001 02 0b07 0003 612f62 2d
			app/x 9004 0001 00 01
			detach
			wait 3s
			hears/x c000
			attach
			restore
			hears/x 1013 0004 4d515454 05 00 000a 05 1100000e10 0001 61
			app!/x 2003 00 00 00
			hears/x 820b ffff 02 0b07 0003 612f62 2d
			app!/x 9004 ffff 00 01
			restored`,
		"MQTT 5: a topic alias lives in the connection": mqttHello5 + "client/x 3007 0001 74 03 230001\nincomplete",
		"MQTT 5: so does authentication":                mqttHello5 + "client/x f000\nincomplete",
		"what is not MQTT":                              mqttHello + "client/x 30ffffffffff\nincomplete",
		"text":                                          mqttHello + "client hello\nincomplete",
		"half a packet cannot fit a new socket":         mqttHello + "client/x 8206\nrestore\n" + mqttAgain + "incomplete",
		"a large message without an answer to come": mqttHello +
			"client/x 3080800401\nclient/x " + strings.Repeat("ee", 1<<16-1) + "\ncomplete\n" + mqttSubAB + "complete",
		"a large message with one": mqttHello +
			"client/x 3280800401\nclient/x " + strings.Repeat("ee", 1<<16-1) + "\nincomplete\napp/x 4002 0001\ncomplete",
	} {
		t.Run(name, func(t *testing.T) { talk(t, g, script) })
	}
}

// TestMQTTCrowd fills what is kept of messages in flight. All is well again
// when they are answered.
func TestMQTTCrowd(t *testing.T) {
	k := mustGuide(t, "", "mqtt").Keeper("/")
	publish := func(id byte) Message {
		return Message{Binary: true, Data: append([]byte{0x32, 0x85, 0x01, 0, 1, 't', 0, id}, bytes.Repeat([]byte{'x'}, 128)...)}
	}
	for id := range byte(200) {
		k.Inbound(day, publish(id+1))
		if k.Complete() != (id < maxMQTTFlights) {
			t.Fatalf("complete %v with %d in flight", k.Complete(), id+1)
		}
	}
	for id := range byte(200) {
		k.Outbound(day, Message{Binary: true, Data: []byte{0x40, 2, 0, id + 1}})
	}
	if !k.Complete() || len(k.entries) != 0 {
		t.Errorf("complete %v with %d entries when all is answered", k.Complete(), len(k.entries))
	}
	if k.Version() != 0 {
		t.Errorf("version %d: answers that come at once are not worth a write", k.Version())
	}
}

func FuzzMQTT(f *testing.F) {
	connect, connack := "\x01\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a", "\x03\x20\x02\x00\x00"
	connect5 := "\x01\x10\x13\x00\x04MQTT\x05\x02\x00\x0a\x05\x11\x00\x00\x0e\x10\x00\x01a"
	sub, suback := "\x01\x82\x06\x00\x01\x00\x01c\x00", "\x03\x90\x03\x00\x01\x00"
	pub := "\x01\x34\x06\x00\x01t\x00\x06x"
	f.Add(chat(connect, connack, sub, suback, pub), chat(connack, "\x03\x90\x03\xff\xff\x00"))
	f.Add(chat(connect, connack, pub, "\x03\x50\x02\x00\x06", "\x01\x62\x02\x00\x06"), chat("\x03\x20\x02\x01\x00"))
	f.Add(chat(connect5, connack, "\x01\x82\x07\x00\x01\x00\x00\x01c\x00", "\x03\x90\x04\x00\x01\x00\x00"), chat("\x03\x20\x03\x00\x00\x00"))
	f.Add(chat(connect5[:9], connect5[:1]+connect5[9:], "\x15\xe0\x00"), chat("\x03\x20", "\x03\x02\x00\x05"))
	f.Add(chat(connect, "\x01\x82\x05\x00\x01\x00\x01c"), chat("\x03\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, before, after []byte) { chatter(t, "mqtt", before, after) })
}

// FuzzMQTTStream cuts a stream in two ways. The packets must be the same, and
// what is held must stay bounded.
func FuzzMQTTStream(f *testing.F) {
	f.Add([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a\xc0\x00"), uint8(3))
	f.Add([]byte("\x30\xff\xff\xff\x7fabc"), uint8(1))
	f.Add([]byte("\x30\x80\x80\x80\x80\x01"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		read := func(size int) (all [][]byte, s mqttStream) {
			for rest := data; len(rest) > 0; {
				n := min(size, len(rest))
				s.feed(rest[:n:n], func(p mqttPacket) { all = append(all, append([]byte{p.kind, p.flags}, p.raw...)) })
				rest = rest[n:]
				if len(s.part) > maxMQTTPacket {
					t.Fatalf("%d bytes are held", len(s.part))
				}
			}
			return all, s
		}
		one, a := read(max(len(data), 1))
		many, b := read(int(size) + 1)
		if len(data) <= maxMQTTPacket && (len(one) != len(many) || a.between() != b.between() || a.stray != b.stray) {
			t.Fatalf("%d packets, or %d in pieces of %d", len(one), len(many), int(size)+1)
		}
		for i := range min(len(one), len(many)) {
			if len(data) <= maxMQTTPacket && !bytes.Equal(one[i], many[i]) {
				t.Fatalf("packet %d: %x, or %x in pieces", i, one[i], many[i])
			}
		}
	})
}
