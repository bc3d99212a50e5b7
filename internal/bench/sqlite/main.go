// Sqlite compares drivers for the outbox: how long it takes until one message is
// in the file, as client/outbox stores it (a transaction of one INSERT, WAL,
// memory mapping, the file locked for good).
//
//	go run -C internal/bench/sqlite . -messages 20000
//	go run -C internal/bench/sqlite . -only ncruces -start
//
// Built with the tag ncruces or modernc it links one driver alone, for its size.
// It is a module of its own, so that nothing else has these drivers in its list.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A driver stores messages in a file. put stores one and waits until that is done.
type driver struct {
	name string
	open func(path string, full bool) (put func(position int64, payload []byte) error, done func() error, err error)
}

var drivers []driver

// pragmas are those of client/outbox.
func pragmas(full bool) []string {
	synchronous := "NORMAL"
	if full {
		synchronous = "FULL"
	}
	return []string{
		"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=" + synchronous,
		"PRAGMA mmap_size=67108864", "PRAGMA journal_size_limit=16777216",
		`CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, position INTEGER UNIQUE, kind INTEGER NOT NULL, payload BLOB NOT NULL,
			sum INTEGER NOT NULL, created_at INTEGER NOT NULL, status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'failed'))) STRICT`,
	}
}

const insert = "INSERT INTO messages (position, kind, payload, sum, created_at, status) VALUES (?, 1, ?, 7, ?, 'sent')"

func main() {
	messages := flag.Int("messages", 20000, "how many are stored")
	size := flag.Int("size", 200, "bytes of a message")
	dir := flag.String("dir", "", "folder for the files, on the disk that matters (default: the one for temporary files)")
	only := flag.String("only", "", "one driver's name")
	start := flag.Bool("start", false, "only open, store one message and close: for measuring the start as a process")
	flag.Parse()
	if err := run(*messages, *size, *dir, *only, *start); err != nil {
		fmt.Fprintln(os.Stderr, "sqlite:", err)
		os.Exit(1)
	}
}

func run(messages, size int, dir, only string, start bool) error {
	folder, err := os.MkdirTemp(dir, "sqlite")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if start {
		messages = 1
	} else {
		fmt.Println("| driver | synchronous | open | accept p50 | p95 | p99 | messages a second |\n|---|---|---|---|---|---|---|")
	}
	for _, full := range []bool{false, true} {
		for _, d := range drivers {
			if only != "" && only != d.name || start && full {
				continue
			}
			if err := d.measure(filepath.Join(folder, fmt.Sprint(d.name, full)), messages, size, full, start); err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
		}
	}
	return nil
}

func (d *driver) measure(path string, messages, size int, full, quiet bool) error {
	began := time.Now()
	put, done, err := d.open(path, full)
	if err != nil {
		return err
	}
	opened := time.Since(began)
	payload := []byte(strings.Repeat("x", size))
	took := make([]time.Duration, messages)
	began = time.Now()
	for i := range took {
		each := time.Now()
		if err := put(int64(i+1), payload); err != nil {
			return err
		}
		took[i] = time.Since(each)
	}
	all := time.Since(began)
	slices.Sort(took)
	at := func(p int) time.Duration { return took[(len(took)-1)*p/100].Round(time.Microsecond) }
	if !quiet {
		fmt.Printf("| %s | %s | %v | %v | %v | %v | %.0f |\n", d.name, map[bool]string{false: "NORMAL", true: "FULL"}[full],
			opened.Round(time.Millisecond/10), at(50), at(95), at(99), float64(messages)/all.Seconds())
	}
	return done()
}
