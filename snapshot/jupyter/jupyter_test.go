package jupyter

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// parts is a message of version 1, in hex.
func parts(channel, header, parent, content string) string {
	all := []string{channel, header, parent, "{}", content}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(all)+1))
	at := 8 * (len(all) + 2)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	for _, part := range all {
		at += len(part)
		b = binary.LittleEndian.AppendUint64(b, uint64(at))
	}
	for _, part := range all {
		b = append(b, part...)
	}
	return hex.EncodeToString(b)
}

// buffers is a message of the older protocol with a buffer, in hex.
func buffers(text string) string {
	b := binary.BigEndian.AppendUint32(nil, 2)
	b = binary.BigEndian.AppendUint32(b, 12)
	b = binary.BigEndian.AppendUint32(b, uint32(12+len(text)))
	return hex.EncodeToString(append(append(b, text...), "buffer"...))
}

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "jupyter", New)
	for name, script := range map[string]string{
		"a fresh socket needs to hear nothing": `
			client/x ` + parts("shell", `{"msg_id":"a","msg_type":"execute_request"}`, `{}`, `{"code":"1"}`) + `
			owes answer
			incomplete
			app/x ` + parts("iopub", `{"msg_id":"b","msg_type":"status"}`, `{"msg_id":"a"}`, `{"execution_state":"busy"}`) + `
			app/x ` + parts("shell", `{"msg_id":"c","msg_type":"execute_reply"}`, `{"msg_id":"z"}`, `{}`) + `
			owes answer
			app/x ` + parts("shell", `{"msg_id":"d","msg_type":"execute_reply"}`, `{"msg_id":"a"}`, `{}`) + `
			owes nothing
			complete
			move
			restored
			complete`,
		"the older JSON": `
			owes nothing
			client {"buffers":[],"channel":"shell","content":{"code":"input()"},"header":{"msg_id":"a","msg_type":"execute_request"},"metadata":{},"parent_header":{}}
			owes answer
			app {"header":{"msg_id":"b","msg_type":"input_request"},"parent_header":{"msg_id":"a"},"content":{},"channel":"stdin"}
			client {"channel":"stdin","header":{"msg_id":"c","msg_type":"input_reply"},"parent_header":{},"content":{"value":"1"}}
			owes answer
			app {"header":{"msg_id":"d","msg_type":"execute_reply"},"parent_header":{"msg_id":"a"},"content":{},"channel":"shell"}
			owes nothing
			complete`,
		"and that with buffers": `
			client/x ` + buffers(`{"channel":"control","header":{"msg_id":"a","msg_type":"debug_request"},"parent_header":{},"content":{}}`) + `
			owes answer
			app/x ` + buffers(`{"channel":"control","header":{"msg_id":"b","msg_type":"debug_reply"},"parent_header":{"msg_id":"a"},"content":{}}`) + `
			owes nothing
			complete`,
		"a widget may answer": `
			client {"channel":"shell","header":{"msg_id":"a","msg_type":"comm_msg"},"parent_header":{},"content":{}}
			complete
			owes unknown`,
		"a kernel that begins anew answers nothing": `
			client {"channel":"shell","header":{"msg_id":"a","msg_type":"execute_request"},"parent_header":{},"content":{}}
			app {"header":{"msg_id":"b","msg_type":"status"},"parent_header":{},"content":{"execution_state":"busy"},"channel":"iopub"}
			owes answer
			app {"header":{"msg_id":"b","msg_type":"status"},"parent_header":{},"content":{"execution_state":"restarting"},"channel":"iopub"}
			owes nothing
			complete`,
		"a request ends with its socket": `
			client {"channel":"shell","header":{"msg_id":"a","msg_type":"execute_request"},"parent_header":{},"content":{}}
			restore
			restored
			owes nothing
			complete`,
		"text that is none of it": `
			client {"type":"hello"}
			incomplete
			owes unknown`,
		"bytes that are none of it": `
			client/x 0600000000000000ffffffffffffffff
			incomplete`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}

// FuzzParse: any message ends, and what is found is within it.
func FuzzParse(f *testing.F) {
	for _, text := range []string{parts("shell", "{}", "{}", "{}"), buffers("{}"), "0000000200000008"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(true, b)
	}
	f.Fuzz(func(t *testing.T, binary bool, data []byte) {
		if msg, ok := parse(snapshot.Message{Binary: binary, Data: data}); ok && len(msg.header)+len(msg.parent)+len(msg.content) > len(data) {
			t.Error("more than there is")
		}
	})
}
