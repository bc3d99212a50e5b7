package presets_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// TestDocumented: each preset has a row in docs/SNAPSHOT.md, and its name, which
// is saved, is the one that it has always had.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/SNAPSHOT.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range presets.All() {
		names = append(names, p.Name)
		if !bytes.Contains(doc, []byte("\n| `"+p.Name+"` | ")) {
			t.Errorf("%s has no row", p.Name)
		}
	}
	if got, want := strings.Join(names, " "), "actioncable centrifuge graphql-transport-ws jupyter mqtt phoenix signalr socket.io stomp y-websocket"; got != want {
		t.Errorf("presets %s, want %s", got, want)
	}
}

// TestRecognised: which preset a session gets by its handshake, if nothing is set.
func TestRecognised(t *testing.T) {
	auto := func(text string) *snapshot.Policy {
		p, err := snapshot.New(nil, text, time.Minute, presets.All())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		h    snapshot.Handshake
		want string
	}{
		{snapshot.Handshake{Path: "/graphql", Subprotocol: "graphql-transport-ws"}, "graphql-transport-ws"},
		{snapshot.Handshake{Path: "/graphql", Subprotocol: "graphql-ws"}, ""},
		{snapshot.Handshake{Path: "/mqtt", Subprotocol: "mqtt"}, "mqtt"},
		{snapshot.Handshake{Path: "/mqtt", Subprotocol: "mqttv3.1"}, "mqtt"},
		{snapshot.Handshake{Path: "/mqtt"}, ""},
		{snapshot.Handshake{Path: "/ws", Subprotocol: "v12.stomp"}, "stomp"},
		{snapshot.Handshake{Path: "/ws", Subprotocol: "v10.stomp"}, "stomp"},
		{snapshot.Handshake{Path: "/cable", Subprotocol: "actioncable-v1-json"}, "actioncable"},
		{snapshot.Handshake{Path: "/cable", Subprotocol: "actioncable-unsupported"}, ""},
		{snapshot.Handshake{Path: "/socket.io/", Query: "EIO=4&transport=websocket"}, "socket.io"},
		{snapshot.Handshake{Path: "/chat/socket.io/", Query: "t=x&transport=websocket&EIO=4"}, "socket.io"},
		{snapshot.Handshake{Path: "/socket.io/", Query: "EIO=4&transport=websocket&sid=a"}, ""},
		{snapshot.Handshake{Path: "/socket.io/", Query: "EIO=3&transport=websocket"}, ""},
		{snapshot.Handshake{Path: "/engine.io/", Query: "EIO=4&transport=websocket"}, ""},
		{snapshot.Handshake{Path: "/live/websocket", Query: "_csrf_token=x&vsn=2.0.0"}, "phoenix"},
		{snapshot.Handshake{Path: "/socket/websocket", Query: "vsn=1.0.0"}, "phoenix"},
		{snapshot.Handshake{Path: "/socket/websocket", Query: "vsn=3.0.0"}, ""},
		{snapshot.Handshake{Path: "/socket/websocket"}, ""},
		{snapshot.Handshake{Path: "/socket/websocket", Query: "vsn=2.0.0;a=b"}, ""},
		{snapshot.Handshake{Path: "/connection/websocket", Subprotocol: "centrifuge-json"}, "centrifuge"},
		{snapshot.Handshake{Path: "/connection/websocket", Subprotocol: "centrifuge-protobuf"}, ""},
		{snapshot.Handshake{Path: "/connection/websocket"}, ""},
		{snapshot.Handshake{Path: "/a-document"}, ""}, // y-websocket, or anything
		{snapshot.Handshake{Path: "/user/a/api/kernels/1a-2b/channels", Query: "session_id=x", Subprotocol: "v1.kernel.websocket.jupyter.org"}, "jupyter"},
		{snapshot.Handshake{Path: "/api/kernels/1a-2b/channels", Query: "session_id=x"}, "jupyter"},
		{snapshot.Handshake{Path: "/api/kernels/1a-2b/channels", Query: "session_id=x", Subprotocol: "v2"}, ""},
		{snapshot.Handshake{Path: "/api/kernels/1a-2b/channels"}, ""},
		{snapshot.Handshake{Path: "/api/kernels//channels", Query: "session_id=x"}, ""},
		{snapshot.Handshake{Path: "/terminals/websocket/1", Query: "session_id=x"}, ""},
		{snapshot.Handshake{Path: "/hub", Query: "id=x"}, ""}, // SignalR, or anything
		{snapshot.Handshake{Path: "/"}, ""},
	} {
		got := ""
		for _, p := range presets.All() {
			if p.Recognises != nil && p.Recognises(c.h) {
				got += p.Name
			}
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.h, got, c.want)
		}
		if k := auto("auto").For(c.h); (k != nil && k.Covers()) != (c.want != "") {
			t.Errorf("%+v: tracked %v", c.h, k != nil)
		}
		if k := auto("off").For(c.h); k != nil {
			t.Errorf("%+v: tracked though it is off", c.h)
		}
		if k := auto("/other=auto,*=off").For(c.h); k != nil {
			t.Errorf("%+v: tracked on another path", c.h)
		}
	}
	if k := auto("/ws=off,*=stomp").For(snapshot.Handshake{Path: "/ws", Subprotocol: "v12.stomp"}); k != nil {
		t.Error("the first pattern does not count")
	}
}

// TestUnrelatedMessageAllocatesNothing: what means nothing to a preset passes at
// no cost in memory.
func TestUnrelatedMessageAllocatesNothing(t *testing.T) {
	for _, name := range []string{"graphql-transport-ws", "phoenix", "actioncable"} {
		k := snapshottest.Policy(t, "", name, presets.All()...).Tracker("/")
		k.Attach(snapshottest.Start, true)
		m := snapshot.Message{Data: []byte(`{"id":"17","type":"next","payload":{"channel":"a","text":"hello"}}`)}
		k.Inbound(snapshottest.Start, m)
		if n := testing.AllocsPerRun(100, func() {
			k.Inbound(snapshottest.Start, m)
			if k.Outbound(snapshottest.Start, m) || k.ToApp() != nil || !k.Deadline().IsZero() {
				t.Error("it meant something")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzPresets plays messages, a line each, to every preset: the first byte
// says who speaks. Nothing panics, and the bounds are kept.
func FuzzPresets(f *testing.F) {
	f.Add("<{\"type\":\"connection_init\"}\n>{\"type\":\"connection_ack\"}\n<{\"id\":\"1\",\"type\":\"subscribe\",\"payload\":{\"query\":\"subscription{a}\"}}\nr\n>{\"type\":\"connection_ack\"}\nd\n>{\"type\":\"ping\",\"payload\":{}}")
	f.Add("<[\"1\",\"1\",\"a\",\"phx_join\",{}]\n>[\"1\",\"1\",\"a\",\"phx_reply\",{\"status\":\"ok\"}]\nr\n>[\"1\",\"1\",\"a\",\"phx_reply\",{\"status\":\"ok\"}]\n>[\"1\",\"1\",\"a\",\"phx_close\",{}]")
	f.Add("<{\"topic\":\"a\",\"event\":\"phx_join\",\"payload\":{},\"ref\":\"1\"}\nd\nt\n<{\"topic\":\"a\",\"event\":\"phx_leave\",\"ref\":\"2\"}")
	f.Add("<{\"command\":\"subscribe\",\"identifier\":\"a\"}\nr\n>{\"type\":\"welcome\"}\n>{\"type\":\"confirm_subscription\",\"identifier\":\"a\"}\nl")
	f.Add("<CONNECT\\n\nr\n>0{\"sid\":\"x\"}\n<40\n>2\nb\x10\x02")
	f.Add("<{\"protocol\":\"json\",\"version\":1}\x1e\n>{}\x1e{\"type\":6}\x1e\n<{\"type\":1,\"invocationId\":\"1\",\"streamIds\":[\"2\"]}\x1e\nd\nt\nr\n>{}\x1e{\"type\":7,\"allowReconnect\":true}\x1e\nl")
	f.Add("<{\"connect\":{},\"id\":1}\n>{\"id\":1,\"connect\":{\"ping\":25,\"pong\":true}}\n<{\"subscribe\":{\"channel\":\"x\"},\"id\":2}\n>{\"id\":2,\"subscribe\":{}}\n<{\"refresh\":{\"token\":\"u\"},\"id\":3}\n>{}\nr\n>{\"id\":1,\"connect\":{}}\n>{\"id\":2,\"error\":{}}\nl")
	f.Add("b\x00\x00\x01\x00\nB\x00\x01\x02\x00\x00\nb\x01\x01\x00\nr\nl\nb\x02")
	f.Add("<{\"channel\":\"shell\",\"header\":{\"msg_id\":\"a\",\"msg_type\":\"execute_request\"}}\nl\n>{\"channel\":\"shell\",\"header\":{\"msg_type\":\"execute_reply\"},\"parent_header\":{\"msg_id\":\"a\"}}\nr\nb\x06\x00\x00\x00\x00\x00\x00\x00")
	policies := map[string]*snapshot.Policy{}
	for _, p := range presets.All() {
		policies[p.Name] = snapshottest.Policy(f, "", p.Name, p)
	}
	f.Fuzz(func(t *testing.T, script string) {
		for name, g := range policies {
			k, now := g.Tracker("/"), snapshottest.Start
			for line := range strings.SplitSeq(script, "\n") {
				if line != "" {
					k = fuzzStep(t, g, k, now, line)
					now = now.Add(time.Second)
				}
			}
			snapshottest.CheckBounds(t, k, name)
		}
	})
}

// fuzzStep is one line of FuzzPresets.
func fuzzStep(t *testing.T, g *snapshot.Policy, k *snapshot.Tracker, now time.Time, line string) *snapshot.Tracker {
	data := []byte(line[1:])
	switch line[0] {
	case '<':
		k.Inbound(now, snapshot.Message{Data: data})
	case 'b':
		k.Inbound(now, snapshot.Message{Binary: true, Data: data})
	case '>':
		k.Outbound(now, snapshot.Message{Data: data})
	case 'B':
		k.Outbound(now, snapshot.Message{Binary: true, Data: data})
	case 'a', 'd':
		k.Attach(now, line[0] == 'a')
	case 'r':
		k.Restore(now)
	case 'l':
		saved := k.Save()
		if k = g.Tracker("/"); k.Load(saved) != nil || !bytes.Equal(k.Save(), saved) {
			t.Error("what was saved does not load as it was")
		}
	default:
		k.Tick(k.Deadline())
	}
	if n := len(k.ToApp()); n > 4*snapshot.MaxEntries {
		t.Errorf("%d messages said at once", n)
	}
	return k
}
