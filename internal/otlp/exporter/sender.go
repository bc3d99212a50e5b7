package exporter

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/otlp"
)

// Implementation limits.
const (
	// firstWait and mostWait are between two attempts to send a batch, unless the
	// collector names a time. Each is between half of it and all.
	firstWait = time.Second
	mostWait  = 16 * time.Second

	// maxAnswer is how much of an answer is read: those of collectors are some
	// hundred bytes.
	maxAnswer = 64 << 10
)

// A sender makes the requests. One goroutine uses it.
type sender struct {
	settings *otlp.Settings
	http     *http.Client
	host     string // for logs: the URL may hold a password
	body     []byte
	packed   bytes.Buffer
}

// An answer is what the collector has said.
type answer struct {
	rejected uint64
	message  string
}

func newSender(s *otlp.Settings) (*sender, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return nil, errors.New("exporter: the endpoint is no URL")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1
	if transport.TLSClientConfig, err = tlsConfig(s); err != nil {
		return nil, err
	}
	return &sender{settings: s, host: u.Host, http: &http.Client{
		Transport: transport, Timeout: s.Timeout,
		// A redirect would carry the headers, with their secrets, to whom nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func tlsConfig(s *otlp.Settings) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CertificateFile != "" {
		pem, err := os.ReadFile(s.CertificateFile)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE=%q: no certificate in it; allowed: PEM with one or more", s.CertificateFile)
		}
	}
	if s.ClientCertificateFile != "" || s.ClientKeyFile != "" {
		cert, err := tls.LoadX509KeyPair(s.ClientCertificateFile, s.ClientKeyFile)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

func (s *sender) close() { s.http.CloseIdleConnections() }

// deliver sends a batch, again and again while the collector is away or asks for
// that, until ctx ends.
func (s *sender) deliver(ctx context.Context, b *otlp.Batch) (answer, error) {
	if err := s.encode(b); err != nil {
		return answer{}, err
	}
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		a, asked, err := s.attempt(ctx)
		if err == nil || !retries(err) {
			return a, err
		}
		pause := max(asked, wait/2+rand.N(wait/2))
		if end, ok := ctx.Deadline(); ok && time.Until(end) < pause {
			return a, err // it would not be tried again
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return a, err
		}
	}
}

// encode makes the body of the requests.
func (s *sender) encode(b *otlp.Batch) error {
	if s.settings.JSON {
		s.body = b.AppendJSON(s.body[:0])
	} else {
		s.body = b.AppendProtobuf(s.body[:0])
	}
	if !s.settings.Gzip {
		return nil
	}
	s.packed.Reset()
	w := gzip.NewWriter(&s.packed)
	if _, err := w.Write(s.body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	s.body = append(s.body[:0], s.packed.Bytes()...)
	return nil
}

// A refusal is an answer other than 200.
type refusal int

func (r refusal) Error() string { return "the collector answered " + strconv.Itoa(int(r)) }

// retries reports whether another attempt may succeed: what the protocol lists, and
// a collector that could not be asked.
func retries(err error) bool {
	var r refusal
	if !errors.As(err, &r) {
		return true
	}
	switch r {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// attempt makes one request. asked is after how long the collector wants the next.
func (s *sender) attempt(ctx context.Context) (a answer, asked time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.settings.Endpoint, bytes.NewReader(s.body))
	if err != nil {
		return a, 0, errors.New("the endpoint is no URL")
	}
	for _, h := range s.settings.Headers {
		req.Header.Set(h[0], h[1])
	}
	contentType := "application/x-protobuf"
	if s.settings.JSON {
		contentType = "application/json"
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "OTel-OTLP-Exporter-wsresilience")
	if s.settings.Gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		var u *url.Error // it quotes the URL
		if errors.As(err, &u) {
			err = u.Err
		}
		return a, 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		return a, retryAfter(resp.Header.Get("Retry-After"), time.Now()), refusal(resp.StatusCode)
	}
	if err != nil {
		return a, 0, nil // it has them
	}
	a.rejected, a.message = otlp.PartialSuccess(text, strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json"))
	return a, 0, nil
}

// retryAfter reads a Retry-After, in seconds or as a date.
func retryAfter(value string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(value); err == nil && n >= 0 && n < 1<<20 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
