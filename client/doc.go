// Package client is the Go client of wsresilience: a WebSocket whose session
// outlives its connections.
//
//	c, _, err := client.Dial(ctx, "wss://example.com/chat", nil)
//	if err != nil {
//		return err
//	}
//	defer c.CloseNow()
//
//	err = c.Write(ctx, client.MessageText, []byte("hello"))
//	typ, msg, err := c.Read(ctx)
//	err = c.Close(1000, "done")
//
// When the network breaks, the Conn dials again, resumes the session with the
// sidecar and sends and receives what was missing, in order and once
// (docs/PROTOCOL.md). Read and Write only wait in the meantime. They return an
// error when the session is over: a *CloseError when one side closed it, or a
// *SessionLostError when it cannot be resumed. There is no silent gap.
//
// Against a server without a sidecar a Conn is an ordinary WebSocket, which
// ends with its connection; Resilient reports which it is.
//
// With Options.Store, such as a file of package client/outbox, the session and
// what was written outlive the program too: a program that was killed goes on with
// both.
//
// All methods of Conn are safe for concurrent use. Cancelling the context of a
// Read or a Write ends that call and nothing else: unlike with
// coder/websocket, the session and its connection go on, and a later Read
// misses nothing.
package client
