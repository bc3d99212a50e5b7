package natsstore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/store"
)

// Defaults of Config, and the bounds that it is held to.
const (
	// DefaultSessionTTL is the product's default (WSR_SESSION_TTL).
	DefaultSessionTTL = 5 * time.Minute

	// DefaultTimeout of one request. A leader's crash costs a cluster up to
	// 9 s; the caller retries, and keeps its frames in memory meanwhile.
	DefaultTimeout = 3 * time.Second

	// DefaultReplicas of an external journal survive one server.
	DefaultReplicas = 3

	// DefaultShards of an external journal: each stream is one Raft group
	// with one leader and one lock, and 4 do for 100 000 sessions.
	DefaultShards = 4

	// MaxShards keeps subjects and stream names short.
	MaxShards = 64

	// DefaultMaxBytes bounds all streams of an external journal together.
	DefaultMaxBytes = 4 << 30

	// DefaultMaxStore bounds the embedded journal on disk.
	DefaultMaxStore = 1 << 30

	// DefaultMaxPayload is the largest that nats-server takes without a
	// warning; nothing is allocated for it in advance.
	DefaultMaxPayload = 8 << 20

	// minPayload leaves room for a part beside its header.
	minPayload = 4 << 10

	// maxReplicas is JetStream's own limit.
	maxReplicas = 5
)

// A Config configures a journal. Without a URL it is embedded, under
// Embedded.Dir; Keys are required.
type Config struct {
	// URL lists the servers, separated by commas: nats://, tls://, ws:// or
	// wss://. Empty: a server in this process. User names and passwords in it
	// are never printed.
	URL       string
	CredsFile string // JWT and seed
	NKeyFile  string // seed
	CAFile    string // PEM; turns TLS on

	// Keys seal the records. Required.
	Keys *keyring.Ring

	Replicas   int           // of each stream; 0: 1 embedded, else DefaultReplicas
	Shards     int           // streams; 0: 1 embedded, else DefaultShards
	SessionTTL time.Duration // 0: DefaultSessionTTL; records live RefreshSlack longer
	MaxBytes   int64         // of all streams; 0: DefaultMaxBytes, embedded nine tenths of MaxStore
	KeyBytes   int64         // of the bucket for messages that act once (Store.Keys), which is made when it is used
	Timeout    time.Duration // of one request, 5 for a read of many; 0: DefaultTimeout

	Embedded Embedded

	// Foreign is called for each message that is skipped because no owner wrote
	// it, each time that it is met. It must not block. nil: nobody is told.
	Foreign func(store.Foreign)

	// ExpectStreams: an operator makes and changes the streams (MakeStreams).
	// Otherwise they are made if they are missing and changed back if they were
	// changed, as far as the user may.
	ExpectStreams bool
	// StreamChanged is called for each stream that was not as it has to be. It
	// must not block. nil: nobody is told.
	StreamChanged func(StreamChange)
	// Lost is called when records may be gone that were accepted: the streams
	// were deleted, or changed. The owners of sessions then write all of them
	// again. It must not block, and is not called before Open returns. nil: nobody
	// is told.
	Lost func()

	Name   string       // of the connection, as the server lists it
	Logger *slog.Logger // nil: silent
}

// Embedded configures the server within the process.
type Embedded struct {
	Dir        string // required; one process at a time may use it
	MaxStore   int64  // bytes on disk; 0: DefaultMaxStore
	MaxPayload int32  // bytes of one message; 0: DefaultMaxPayload
}

// embedded reports whether the journal is a server in this process.
func (c *Config) embedded() bool { return c.URL == "" }

// complete fills the defaults in and refuses what cannot work.
func (c *Config) complete() error {
	c.setDefaults()
	return c.check()
}

func (c *Config) setDefaults() {
	c.SessionTTL = cmp.Or(c.SessionTTL, DefaultSessionTTL)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Name = cmp.Or(c.Name, "wsresilience")
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Foreign == nil {
		c.Foreign = func(store.Foreign) {}
	}
	if c.StreamChanged == nil {
		c.StreamChanged = func(StreamChange) {}
	}
	if c.Lost == nil {
		c.Lost = func() {}
	}
	if c.embedded() {
		c.Replicas = cmp.Or(c.Replicas, 1)
		c.Shards = cmp.Or(c.Shards, 1)
		c.Embedded.MaxStore = cmp.Or(c.Embedded.MaxStore, DefaultMaxStore)
		c.Embedded.MaxPayload = cmp.Or(c.Embedded.MaxPayload, DefaultMaxPayload)
		// The rest is for blocks that are not yet compacted.
		c.MaxBytes = cmp.Or(c.MaxBytes, c.Embedded.MaxStore/10*9)
		c.KeyBytes = cmp.Or(c.KeyBytes, c.Embedded.MaxStore/keyShare)
	}
	c.Replicas = cmp.Or(c.Replicas, DefaultReplicas)
	c.Shards = cmp.Or(c.Shards, DefaultShards)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
}

// layout says which streams the journal has.
func (c *Config) layout() Layout {
	return Layout{Replicas: c.Replicas, Shards: c.Shards, SessionTTL: c.SessionTTL, MaxBytes: c.MaxBytes, KeyBytes: c.KeyBytes}
}

// check refuses what cannot work, whatever the journal.
func (c *Config) check() error {
	switch {
	case c.Keys == nil:
		return errors.New("natsstore: keys: none given, records are always sealed")
	case c.Shards < 1 || c.Shards > MaxShards:
		return fmt.Errorf("natsstore: %d shards: must be 1 to %d", c.Shards, MaxShards)
	case c.Replicas < 1 || c.Replicas > maxReplicas:
		return fmt.Errorf("natsstore: %d replicas: must be 1 to %d", c.Replicas, maxReplicas)
	case c.SessionTTL < 0 || c.Timeout < 0 || c.MaxBytes < 0:
		return errors.New("natsstore: session TTL, timeout and bytes must not be negative")
	}
	if c.embedded() {
		if err := c.checkEmbedded(); err != nil {
			return err
		}
	}
	return c.checkConnection()
}

// checkEmbedded refuses what an embedded journal cannot be.
func (c *Config) checkEmbedded() error {
	switch {
	case c.Embedded.Dir == "":
		return errors.New("natsstore: embedded journal: no directory given")
	case c.Replicas != 1:
		return fmt.Errorf("natsstore: %d replicas: an embedded journal has 1", c.Replicas)
	case c.Embedded.MaxStore < 0 || c.Embedded.MaxPayload < minPayload:
		return fmt.Errorf("natsstore: embedded journal: max store of %d and max payload of %d bytes: must be at least 0 and %d",
			c.Embedded.MaxStore, c.Embedded.MaxPayload, minPayload)
	}
	return nil
}

// checkConnection refuses files that are not there and URLs that are none.
func (c *Config) checkConnection() error {
	if c.CredsFile != "" && c.NKeyFile != "" {
		return errors.New("natsstore: a creds file and an NKey file: give one")
	}
	for what, file := range map[string]string{"creds": c.CredsFile, "NKey": c.NKeyFile, "CA": c.CAFile} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("natsstore: %s file: %w", what, err)
		}
	}
	_, err := c.servers()
	return err
}

// servers returns the URLs of the list. Its errors show no part of a URL,
// which may hold a password.
func (c *Config) servers() (list []string, err error) {
	if c.embedded() {
		return nil, nil
	}
	for i, item := range strings.Split(c.URL, ",") {
		item = strings.TrimSpace(item)
		if !strings.Contains(item, "://") {
			item = "nats://" + item
		}
		u, err := url.Parse(item)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("natsstore: server %d of the list: not a URL, such as nats://host:4222", i+1)
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
			list = append(list, item)
		default:
			return nil, fmt.Errorf("natsstore: server %d of the list: scheme %q, must be nats, tls, ws or wss", i+1, u.Scheme)
		}
	}
	return list, nil
}
