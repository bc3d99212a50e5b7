package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

// keyFile holds the key that an embedded journal made for itself.
const keyFile = "token.key"

// keys returns the ring of WSR_TOKEN_KEYS. Without any, a random key is kept
// beside the embedded journal, because a restart must be able to read what it
// wrote; with an external journal it lives as long as the process.
func (s *sidecar) keys() (*keyring.Ring, error) {
	if !s.cfg.KeysGenerated() {
		return keyring.New(s.cfg.TokenKeys)
	}
	if !s.cfg.Embedded() {
		s.log.Warn("WSR_TOKEN_KEYS is not set: sessions cannot be resumed after a restart or by another pod; give all pods the same key (openssl rand -base64 32)")
		return keyring.New(s.cfg.TokenKeys)
	}
	path := filepath.Join(s.cfg.DataDir, keyFile)
	key, err := keptKey(path, s.cfg.TokenKeys[0])
	if err != nil {
		return nil, err
	}
	s.log.Warn("WSR_TOKEN_KEYS is not set: using a random key of this sidecar's own", "file", path)
	s.keepKey = func() error {
		_, err := keptKey(path, key)
		return err
	}
	return keyring.New([][]byte{key})
}

// keptKey returns the key in the file, or puts fresh there.
func keptKey(path string, fresh []byte) ([]byte, error) {
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == keyring.KeySize:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("%s has %d bytes and is no key: remove it, and the sessions that it sealed are lost", path, len(key))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("WSR_DATA_DIR: %w; set it to a folder that can be written", err)
	}
	// By a rename, so that a crash leaves no half key.
	if err := os.WriteFile(path+".new", fresh, 0o600); err != nil {
		return nil, fmt.Errorf("WSR_DATA_DIR: %w; set it to a folder that can be written", err)
	}
	return fresh, os.Rename(path+".new", path)
}
