package stomp

import (
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "stomp", New)
	for name, script := range map[string]string{
		"subscriptions are made again after CONNECTED, which is not for the client": `
			client CONNECT\naccept-version:1.2\npasscode:p\n\n\0
			app CONNECTED\nversion:1.2\n\n\0
			client SUBSCRIBE\nid:0\ndestination:/a\n\n\0
			client SUBSCRIBE\nid:1\ndestination:/b\n\n\0\n
			client SUBSCRIBE\ndestination:/old\n\n\0
			client SEND\ndestination:/a\ncontent-length:22\n\nSUBSCRIBE\nid:7\n\n\0------\0
			client UNSUBSCRIBE\nid:0\n\n\0
			complete
			move
			to-app CONNECT\naccept-version:1.2\npasscode:p\n\n\0
			restoring
			app! CONNECTED\nversion:1.2\n\n\0
			to-app SUBSCRIBE\nid:1\ndestination:/b\n\n\0
			to-app SUBSCRIBE\ndestination:/old\n\n\0
			restored
			app MESSAGE\nsubscription:1\n\nx\0`,
		"a client that was not answered to-app the answer": `
			client STOMP\n\n\0
			restore
			to-app STOMP\n\n\0
			app CONNECTED\n\n\0
			restored`,
		"a receipt is asked for again until the client has it": `
			client CONNECT\n\n\0
			app CONNECTED\n\n\0
			client SUBSCRIBE\nid:0\nreceipt:a\c1\ndestination:/a\n\n\0
			restore
			to-app CONNECT\n\n\0
			app! CONNECTED\n\n\0
			to-app SUBSCRIBE\nid:0\nreceipt:a\c1\ndestination:/a\n\n\0
			restored
			app RECEIPT\nreceipt-id:a\c1\n\n\0
			restore
			to-app CONNECT\n\n\0
			app! CONNECTED\n\n\0
			to-app SUBSCRIBE\nid:0\ndestination:/a\n\n\0`,
		"an open transaction cannot be restored": `
			client CONNECT\n\n\0
			client BEGIN\ntransaction:t\n\n\0
			client BEGIN\ntransaction:u\n\n\0
			client COMMIT\ntransaction:t\n\n\0
			incomplete
			client ABORT\ntransaction:u\n\n\0
			complete`,
		"DISCONNECT ends it all": `
			client CONNECT\n\n\0
			app CONNECTED\n\n\0
			client DISCONNECT\nreceipt:1\n\n\0
			app RECEIPT\nreceipt-id:1\n\n\0
			restore
			restored`,
		"a refusal fails the restore": `
			client CONNECT\n\n\0
			app CONNECTED\n\n\0
			restore
			to-app CONNECT\n\n\0
			app! ERROR\nmessage:no\n\n\0
			failed`,
		"an error of any other kind is for the client": "client CONNECT\\n\\n\\0\napp CONNECTED\\n\\n\\0\napp ERROR\\n\\n\\0\nended",
		"heart-beats go both ways while the client is away": `
			client CONNECT\nheart-beat:8000,5000\n\n\0
			app CONNECTED\nheart-beat:5000,4000\n\n\0
			app \n
			detach
			app! \n
			wait 5999ms
			wait 1ms
			to-app \n
			attach
			wait 1m
			detach
			wait 2s
			to-app \n`,
		"nothing is said inside of a frame": `
			client CONNECT\nheart-beat:8000,5000\n\n\0
			app CONNECTED\nheart-beat:5000,4000\n\n\0
			client SEND\ndestination:/a\n\nbegin
			detach
			wait 1m
			incomplete
			client end\0
			complete
			wait 6s
			to-app \n`,
		"half a frame cannot fit another socket": `
			client CONNECT\n\n\0
			app CONNECTED\n\n\0
			app MESSAGE\nsubscription:1\n\nbegin
			incomplete
			app end\0
			complete
			app MESSAGE\nsubscription:1\n\nbegin
			move
			to-app CONNECT\n\n\0
			incomplete`,
		"a large frame in pieces is followed": `
			client CONNECT\n\n\0
			client SEND\ndestination:/a\n\nbegin
			client UNSUBSCRIBE\nid:0\n\n
			client \0SUBSCRIBE\nid:0\ndestination:/a\n\n\0
			complete
			client SUBSCRIBE\nid:1\ndesti
			incomplete`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}

// TestFrame holds the parser to the specification's corners.
func TestFrame(t *testing.T) {
	frame := "SEND\r\nk\\c:1\r\nid:a\\\\n\\c\\n\r\nid:second\r\ncontent-length:3\r\n\r\na\x00b\x00"
	f, size := cutFrame([]byte(frame + "SEND\n\n\x00"))
	if f.command != "SEND" || size != len(frame) || string(f.raw) != frame {
		t.Errorf("command %q, size %d of %d, raw %q", f.command, size, len(frame), f.raw)
	}
	if id, ok := f.header("id"); !ok || id != "a\\n:\n" {
		t.Errorf("id %q", id)
	}
	if got, want := string(f.without("id")), "SEND\r\nk\\c:1\r\ncontent-length:3\r\n\r\na\x00b\x00"; got != want {
		t.Errorf("without the id: %q, want %q", got, want)
	}
	heart := func(value string) time.Duration {
		f, _ := cutFrame([]byte("CONNECT\nheart-beat:" + value + "\n\n\x00"))
		return heartBeat(f, 1)
	}
	for value, want := range map[string]time.Duration{"0,30": 30 * time.Millisecond, "1, 2": 2 * time.Millisecond, "5": 0, "1,-2": 0, "1,2,3": 0, "1,99999999999": 0} {
		if got := heart(value); got != want {
			t.Errorf("heart-beat %q: %v, want %v", value, got, want)
		}
	}
}

func FuzzRestore(f *testing.F) {
	connect, connected := "\x00CONNECT\nheart-beat:1,1\n\n\x00", "\x02CONNECTED\nheart-beat:1,1\n\n\x00"
	sub := "\x00SUBSCRIBE\nid:0\nreceipt:r\n\n\x00"
	f.Add(snapshottest.Conversation(connect, connected, sub, "\x02RECEIPT\nreceipt-id:r\n\n\x00"), snapshottest.Conversation(connected, "\x02\n"))
	f.Add(snapshottest.Conversation(connect, sub, "\x00BEGIN\ntransaction:t\n\n\x00", "\x1c\n"), snapshottest.Conversation("\x02ERROR\n\n\x00"))
	f.Add(snapshottest.Conversation(connect, connected, "\x00SEND\ncontent-length:9\n\nx", "\x02MESSAGE\n\nx"), snapshottest.Conversation("\x02\x00", connected))
	f.Add(snapshottest.Conversation("\x00DISCONNECT\n\n\x00UNSUBSCRIBE\nid:0\n\n\x00"), snapshottest.Conversation("\x02CONNECTED"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		snapshottest.Restores(t, snapshot.Protocol{Name: "stomp", New: New}, before, after, nil)
	})
}
