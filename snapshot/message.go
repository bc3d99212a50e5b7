package snapshot

import "bytes"

// A Message is one WebSocket message as the application sees it: not masked,
// not compressed.
type Message struct {
	Binary bool
	Data   []byte
}

// clone returns a message that outlives the memory that m was lent in.
func (m Message) clone() Message {
	return Message{Binary: m.Binary, Data: bytes.Clone(m.Data)}
}
