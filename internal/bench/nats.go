package main

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
)

// startNATS runs the external server of a measurement: one node, JetStream
// in dir, on a free loopback port.
func startNATS(dir string) (*server.Server, error) {
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, StoreDir: dir, JetStream: true, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return nil, fmt.Errorf("bench: NATS server: %w", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(readyLimit) {
		stopNATS(ns)
		return nil, errors.New("bench: NATS server: not ready in time")
	}
	return ns, nil
}

func stopNATS(ns *server.Server) {
	ns.Shutdown()
	ns.WaitForShutdown()
}
