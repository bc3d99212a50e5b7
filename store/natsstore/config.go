package natsstore

import (
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
)

// A Config sets a journal up. With the zero value and Keys it is embedded,
// under Embedded.Dir.
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
	Timeout    time.Duration // of one request, 5 for a read of many; 0: DefaultTimeout

	Embedded Embedded

	Name   string       // of the connection, as the server lists it
	Logger *slog.Logger // nil: silent
}

// Embedded sets the server within the process up.
type Embedded struct {
	Dir        string // required; one process at a time may use it
	MaxStore   int64  // bytes on disk; 0: DefaultMaxStore
	MaxPayload int32  // bytes of one message; 0: DefaultMaxPayload
}

// embedded tells which of the two a Config asks for.
func (c *Config) embedded() bool { return c.URL == "" }

// complete fills the defaults in and refuses what cannot work.
func (c *Config) complete() error {
	setDefault(&c.SessionTTL, DefaultSessionTTL)
	setDefault(&c.Timeout, DefaultTimeout)
	setDefault(&c.Name, "wsresilience")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.embedded() {
		setDefault(&c.Replicas, 1)
		setDefault(&c.Shards, 1)
		setDefault(&c.Embedded.MaxStore, DefaultMaxStore)
		setDefault(&c.Embedded.MaxPayload, DefaultMaxPayload)
		// The rest is for blocks that are not yet compacted.
		setDefault(&c.MaxBytes, c.Embedded.MaxStore/10*9)
	}
	setDefault(&c.Replicas, DefaultReplicas)
	setDefault(&c.Shards, DefaultShards)
	setDefault(&c.MaxBytes, DefaultMaxBytes)
	return c.check()
}

func (c *Config) check() error {
	switch {
	case c.Keys == nil:
		return errors.New("natsstore: keys: none given, records are always sealed")
	case c.Shards < 1 || c.Shards > MaxShards:
		return fmt.Errorf("natsstore: %d shards: must be 1 to %d", c.Shards, MaxShards)
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("natsstore: %d replicas: must be 1 to 5", c.Replicas)
	case c.SessionTTL < 0 || c.Timeout < 0 || c.MaxBytes < 0:
		return errors.New("natsstore: session TTL, timeout and bytes must not be negative")
	case c.CredsFile != "" && c.NKeyFile != "":
		return errors.New("natsstore: a creds file and an NKey file: give one")
	case c.embedded() && c.Embedded.Dir == "":
		return errors.New("natsstore: embedded journal: no directory given")
	case c.embedded() && c.Replicas != 1:
		return fmt.Errorf("natsstore: %d replicas: an embedded journal has 1", c.Replicas)
	case c.embedded() && (c.Embedded.MaxStore < 0 || c.Embedded.MaxPayload < 4096):
		return errors.New("natsstore: embedded journal: limits too small")
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

// servers takes the list apart. Its errors show no part of a URL, which may
// hold a password.
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
			return nil, fmt.Errorf("natsstore: server %d of the list: not a URL", i+1)
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

// maxAge is how long a record lives.
func (c *Config) maxAge() time.Duration { return c.SessionTTL + store.RefreshSlack }

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
