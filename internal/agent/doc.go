// Package agent is what stands beside a program that is a WebSocket client and
// cannot be changed: to the program it is the server, over loopback or a Unix
// socket; to the server, which has a sidecar, it is a resilient client with an
// outbox in a file.
package agent
