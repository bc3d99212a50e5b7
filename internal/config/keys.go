package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

// maxKeys bounds the ring: a rotation needs two or three, and a list of many
// is likely a wrong file.
const maxKeys = 16

// masked is what a secret prints as.
const masked = "***"

// Keys is a list of keys of keyring.KeySize bytes, in base64 of either
// alphabet, comma-separated. It prints as *** (I9).
type Keys [][]byte

// UnmarshalText implements encoding.TextUnmarshaler. Its errors show no key.
func (ks *Keys) UnmarshalText(text []byte) error {
	list := strings.Split(string(text), ",")
	if len(list) > maxKeys {
		return fmt.Errorf("%d keys, at most %d", len(list), maxKeys)
	}
	var keys Keys
	for i, s := range list {
		key, err := decodeKey(s)
		if err != nil {
			return fmt.Errorf("key %d %w", i+1, err)
		}
		for j, other := range keys {
			if bytes.Equal(key, other) {
				return fmt.Errorf("key %d is the same as key %d", i+1, j+1)
			}
		}
		keys = append(keys, key)
	}
	*ks = keys
	return nil
}

// decodeKey reads one key. The decoder of the standard library skips line
// breaks and, unless strict, stray bits at the end; both are signs of a key
// that was cut or glued, so both are refused here.
func decodeKey(s string) ([]byte, error) {
	if strings.ContainsAny(s, " \t\r\n") {
		return nil, errors.New("has white space in it")
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.RawURLEncoding
	}
	key, err := encoding.Strict().DecodeString(strings.TrimRight(s, "="))
	switch {
	case err != nil:
		return nil, errors.New("is not base64")
	case len(key) != keyring.KeySize:
		return nil, fmt.Errorf("is %d bytes, want %d", len(key), keyring.KeySize)
	case !slices.ContainsFunc(key, func(b byte) bool { return b != key[0] }):
		return nil, errors.New("is one byte over and over, which is no secret")
	}
	return key, nil
}

// KeysOf reads the keys in a file of WSR_TOKEN_KEYS_FILE as it is now. Its errors
// show no key.
func KeysOf(file File) (ks Keys, err error) {
	text, err := file.read()
	if err == nil {
		err = ks.fromFile(text)
	}
	return ks, err
}

// fromFile reads the text of a key file: one key per line or comma, empty
// lines left out.
func (ks *Keys) fromFile(text []byte) error {
	var list []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" {
			list = append(list, strings.TrimSuffix(line, ","))
		}
	}
	if len(list) == 0 {
		return errors.New("holds no key")
	}
	return ks.UnmarshalText([]byte(strings.Join(list, ",")))
}

// generate makes a list of one random key.
func (ks *Keys) generate() { *ks = Keys{keyring.Generate()} }

// Allowed describes the text form.
func (Keys) Allowed() string {
	return "32 random bytes in base64 each (openssl rand -base64 32), comma-separated, no two the same"
}

// Format implements fmt.Formatter: no verb prints a key.
func (ks Keys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// MarshalText keeps encoders, and so log handlers, from printing a key.
func (ks Keys) MarshalText() ([]byte, error) { return []byte(masked), nil }
