package demo

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/wsresilience/wsresilience/store/natsstore"
)

const (
	// journalStart bounds the start of the demo's NATS server.
	journalStart = 10 * time.Second

	// journalSize is above what the sidecars' streams may grow to
	// (natsstore.DefaultMaxBytes, and the leases), which JetStream wants to see
	// allowed. Two sessions take some kilobytes of it.
	journalSize = 2 * natsstore.DefaultMaxBytes

	// journalMemory keeps the server from claiming a share of the machine's.
	journalMemory = 16 << 20
)

// runJournal starts the one NATS server that all pods of the demo share. It
// keeps its files in a folder.
func runJournal(folder string) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "wsresilience-demo", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoSigs: true, NoLog: true, JetStream: true, StoreDir: folder,
		JetStreamMaxStore: journalSize, JetStreamMaxMemory: journalMemory,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(journalStart) {
		stopJournal(s)
		return nil, errors.New("the demo's NATS server did not start")
	}
	return s, nil
}

// stopJournal returns when the folder is free.
func stopJournal(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}
