package proxy

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificatePoll is how often the files are looked at, at most, and only
// when somebody connects.
const certificatePoll = time.Second

// A certificate is a pair of files, read again when they change. It is safe
// for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate // the last good one
	tried   [2]os.FileInfo   // the files as they were when last read
	broken  bool             // reading them failed, and that was logged
	checked time.Time
}

// newCertificate reads the files, in PEM.
func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	// Before reading: what changes in between is seen by the next look.
	files, err := c.stat()
	if err != nil {
		return nil, err
	}
	if c.pair, err = c.load(); err != nil {
		return nil, err
	}
	c.tried = files
	return c, nil
}

// config is for the listener under httpguard.Guard. HTTP/2 is for browsers that
// fetch much; for a WebSocket they come again with HTTP/1.1, which is the only
// protocol where we offer one.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current(time.Now()), nil
		},
	}
}

// current returns the newest good pair. A pair that is half replaced or
// broken is left alone until it changes or becomes whole, since an old
// certificate is better than none.
func (c *certificate) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < certificatePoll {
		return c.pair
	}
	c.checked = now
	files, err := c.stat()
	if err == nil {
		if c.same(files) && !c.broken {
			return c.pair
		}
		c.tried = files
		var pair *tls.Certificate
		if pair, err = c.load(); err == nil {
			c.pair, c.broken = pair, false
			c.log.Info("certificate reloaded", "file", c.certFile)
			return pair
		}
	}
	if !c.broken {
		c.broken = true
		c.log.Error("certificate not reloaded, the old one stays in use", "error", err)
	}
	return c.pair
}

// stat follows links, so that Kubernetes' swap of a whole directory is seen.
func (c *certificate) stat() (files [2]os.FileInfo, err error) {
	for i, name := range [...]string{c.certFile, c.keyFile} {
		if files[i], err = os.Stat(name); err != nil {
			return files, fmt.Errorf("proxy: certificate: %w", err)
		}
	}
	return files, nil
}

// same reports whether files are the ones that were read last.
func (c *certificate) same(files [2]os.FileInfo) bool {
	for i, f := range files {
		old := c.tried[i]
		if !os.SameFile(old, f) || !old.ModTime().Equal(f.ModTime()) || old.Size() != f.Size() {
			return false
		}
	}
	return true
}

// load reads the pair; its errors name the files and hold none of the key.
func (c *certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("proxy: certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair, nil
}
