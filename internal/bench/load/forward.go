package load

import (
	"errors"
	"io"
	"net"
	"sync"
)

// forwardBytes is the buffer of the reference forwarder, io.Copy's size.
const forwardBytes = 32 << 10

// A copier moves one direction until it ends.
type copier func(dst, src *net.TCPConn) error

// Copiers are the two ways in which one writes a plain forwarder in Go. The
// cheaper one is the reference.
var Copiers = map[string]copier{"loop": copyLoop, "copy": copyIO}

func copyLoop(dst, src *net.TCPConn) error {
	buf := make([]byte, forwardBytes)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyIO takes splice(2) on Linux.
func copyIO(dst, src *net.TCPConn) error {
	_, err := io.Copy(dst, src)
	return err
}

// ServeForward is the plain goroutine TCP forwarder that the sidecar is held
// against: two goroutines a connection and nothing else.
func ServeForward(ln net.Listener, target string, move copier) error {
	for {
		client, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go forward(client.(*net.TCPConn), target, move)
	}
}

func forward(client *net.TCPConn, target string, move copier) {
	defer func() { _ = client.Close() }()
	conn, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	var back sync.WaitGroup
	back.Go(func() {
		_ = move(client, server)
		_ = client.CloseWrite()
	})
	_ = move(server, client)
	_ = server.CloseWrite()
	back.Wait()
}
