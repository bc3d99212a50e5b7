package certs

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"net"
	"strings"
)

// Implementation limits of TLS (RFC 8446 §4, §5.1).
const (
	recordHandshake = 22
	recordData      = 23
	maxRecord       = 16 << 10

	// ClientHello and Certificate are types of messages.
	ClientHello = 1
	Certificate = 11
)

// Claimed is the beginning of a message that says it has length bytes, of which
// sent follow.
func Claimed(typ byte, length, sent int) []byte {
	b := make([]byte, 4+sent)
	binary.BigEndian.PutUint32(b, uint32(length))
	b[0] = typ
	return b
}

// PlainRecords are records of what is said before there are keys.
func PlainRecords(message []byte) (records []byte) {
	for len(message) > 0 {
		n := min(len(message), maxRecord)
		records = append(records, recordHandshake, 3, 1, byte(n>>8), byte(n))
		records = append(records, message[:n]...)
		message = message[n:]
	}
	return records
}

// A Keyed connection has shaken hands by TLS 1.3, and says on whatever TLS would
// not: nothing but SealedRecords may be written to it.
type Keyed struct {
	*tls.Conn
	raw  net.Conn
	aead cipher.AEAD
	iv   []byte
	sent uint64
}

// KeyedClient shakes hands on raw.
func KeyedClient(raw net.Conn, config *tls.Config) (*Keyed, error) {
	var log bytes.Buffer
	config = config.Clone()
	config.MinVersion, config.KeyLogWriter = tls.VersionTLS13, &log
	k := &Keyed{Conn: tls.Client(raw, config), raw: raw}
	if err := k.Handshake(); err != nil {
		return nil, err
	}
	for line := range strings.Lines(log.String()) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "CLIENT_TRAFFIC_SECRET_0" {
			continue
		}
		secret, err := hex.DecodeString(fields[2])
		if err != nil {
			return nil, err
		}
		return k, k.derive(secret)
	}
	return nil, errors.New("certs: the handshake told no secret")
}

// derive makes the keys of RFC 8446 §7.3.
func (k *Keyed) derive(secret []byte) (err error) {
	var size int
	var sum func() hash.Hash
	switch suite := k.ConnectionState().CipherSuite; suite {
	case tls.TLS_AES_128_GCM_SHA256:
		size, sum = 16, sha256.New
	case tls.TLS_AES_256_GCM_SHA384:
		size, sum = 32, sha512.New384
	default:
		return errors.New("certs: no such cipher suite here: " + tls.CipherSuiteName(suite))
	}
	expand := func(label string, n int) []byte {
		info := append([]byte{0, byte(n), byte(len("tls13 " + label))}, "tls13 "+label...)
		return must(hkdf.Expand(sum, secret, string(append(info, 0)), n))
	}
	block, err := aes.NewCipher(expand("key", size))
	if err != nil {
		return err
	}
	k.iv = expand("iv", 12)
	k.aead, err = cipher.NewGCM(block)
	return err
}

// SendMessage sends a message of a handshake, or a part of one.
func (k *Keyed) SendMessage(message []byte) error {
	for len(message) > 0 {
		n := min(len(message), maxRecord)
		if _, err := k.raw.Write(k.seal(message[:n], recordHandshake)); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

// SendData sends data, of which the last record lacks so many bytes.
func (k *Keyed) SendData(data []byte, lacking int) error {
	record := k.seal(data[:min(len(data), maxRecord)], recordData)
	_, err := k.raw.Write(record[:len(record)-lacking])
	return err
}

func (k *Keyed) seal(text []byte, typ byte) []byte {
	n := len(text) + 1 + k.aead.Overhead()
	head := []byte{recordData, 3, 3, byte(n >> 8), byte(n)}
	nonce := bytes.Clone(k.iv)
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte(k.sent >> (8 * i))
	}
	k.sent++
	return k.aead.Seal(bytes.Clone(head), nonce, append(bytes.Clone(text), typ), head)
}
