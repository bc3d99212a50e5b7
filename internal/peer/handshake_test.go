package peer

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

const secrets = "Cookie: sid=SECRET\r\nAuthorization: Bearer SECRET\r\nSec-WebSocket-Protocol: wsr.v1, wsr.resume.SECRET.1.2\r\n"

// Whoever is at the owner's address without our keys learns nothing of the
// client, whatever it answers, and the session is not taken for lost.
func TestForeignPeers(t *testing.T) {
	stolen := make(chan string, 1) // an owner's answer to another challenge
	honest := New(Config{Proofs: testRing(t), Self: "x:1"})
	foreign := New(Config{Proofs: testRing(t).Derive("other"), Self: "x:1"})
	first := fakeChallenge(t, testRing(t), "x:1", time.Now())
	_, old := honest.answer(first)
	if old == "" {
		t.Fatal("no answer to a good challenge")
	}
	stolen <- old
	with := func(status, answer string) string {
		return "HTTP/1.1 " + status + "\r\nWsr-Peer: " + answer + "\r\nContent-Length: 0\r\n\r\n"
	}
	_, other := foreign.answer(fakeChallenge(t, testRing(t).Derive("other"), "x:1", time.Now()))
	for name, answer := range map[string]string{
		"silence":          "",
		"200":              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"101":              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + upgrade.AcceptKey(proxytest.SampleKey) + "\r\n\r\n",
		"404":              "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"421":              "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n",
		"redirect":         "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
		"works on it":      "HTTP/1.1 102 Processing\r\n\r\n",
		"garbage":          "SSH-2.0-OpenSSH\r\n\r\n",
		"an old answer":    with("200 OK", <-stolen),
		"of other keys":    with("200 OK", other),
		"the challenge":    "", // reflected, below
		"a huge answer":    with("200 OK", strings.Repeat("A", 2000)),
		"no base64":        with("200 OK", "%%%"),
		"rejected":         with("403 Forbidden", rejected),
		"421, sealed":      with("421 Misdirected Request", old), // an answer, and not of this challenge
		"421, of others":   with("421 Misdirected Request", other),
		"endless headers":  "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", upgrade.MaxAnswerBytes/6+1),
		"closes after 200": with("200 OK", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var heard bytes.Buffer
			owner := listener(t, func(c net.Conn, _ string) {
				br := bufio.NewReader(io.TeeReader(c, lockedWriter{&mu, &heard}))
				r, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				if name == "the challenge" {
					answer = with("200 OK", r.Header.Get(handshakeHeader))
				}
				_, _ = io.WriteString(c, answer)
				_, _ = io.Copy(io.Discard, br)
			})
			g := newGateway(t, owner, nil)
			g.ask(t, secrets)
			g.wantEnd(t, Unreachable)
			mu.Lock()
			defer mu.Unlock()
			for _, secret := range []string{"SECRET", "wsr.v1", "app.example", "/chat", proxytest.SampleKey} {
				if bytes.Contains(heard.Bytes(), []byte(secret)) {
					t.Errorf("it heard %q:\n%s", secret, heard.String())
				}
			}
			if !bytes.HasPrefix(heard.Bytes(), []byte("GET "+handshakePath)) || bytes.Contains(heard.Bytes(), []byte("POST")) {
				t.Errorf("it heard\n%s", heard.String())
			}
		})
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// fakeChallenge is the request with a challenge for target.
func fakeChallenge(t testing.TB, ring *keyring.Ring, target string, at time.Time) *http.Request {
	t.Helper()
	b := challengeText(handshakeVersion, at, newNonce(), target)
	r := &http.Request{Method: http.MethodGet, RequestURI: handshakePath, ProtoMajor: 1, Header: http.Header{}}
	r.Header.Set(handshakeHeader, handshakeText(ring.Seal(nil, b, []byte(challengeAAD))))
	return r
}

// A challenge is answered by its own target, with our keys, in its time.
func TestChallengeElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := testRing(t)
		for name, tc := range map[string]struct {
			change func(*http.Request, *Config)
			at     time.Duration
			want   bool
		}{
			"good":            {want: true},
			"absent":          {change: func(r *http.Request, _ *Config) { r.Header.Del(handshakeHeader) }},
			"two":             {change: func(r *http.Request, _ *Config) { r.Header.Add(handshakeHeader, "a") }},
			"empty":           {change: func(r *http.Request, _ *Config) { r.Header.Set(handshakeHeader, "") }},
			"huge":            {change: func(r *http.Request, _ *Config) { r.Header.Set(handshakeHeader, strings.Repeat("A", 1<<16)) }},
			"another address": {change: func(_ *http.Request, c *Config) { c.Self = "other:1" }},
			"no instance":     {change: func(_ *http.Request, c *Config) { c.Self = "AAAAAAAAAAA@owner:1" }},
			"no keys":         {change: func(_ *http.Request, c *Config) { c.Proofs = nil }},
			"other keys":      {change: func(_ *http.Request, c *Config) { c.Proofs = ring.Derive("token") }},
			"old":             {at: -challengeLife - time.Second},
			"not yet old":     {at: -challengeLife, want: true},
			"ahead":           {at: challengeSkew, want: true},
			"too far ahead":   {at: challengeSkew + time.Second},
		} {
			r, cfg := fakeChallenge(t, ring, "owner:1", time.Now().Add(tc.at)), Config{Proofs: ring, Self: "owner:1"}
			if tc.change != nil {
				tc.change(r, &cfg)
			}
			if agreed, _ := New(cfg).answer(r); (agreed.aad != nil) != tc.want {
				t.Errorf("%s: answered %v", name, !tc.want)
			}
		}
	})
}

// An owner behind a real server takes a sealed request once, on the connection
// that it was sealed for, and says whose it is.
func TestReceive(t *testing.T) {
	l := proxytest.Listen(t)
	owner := New(Config{Proofs: testRing(t), Self: l.Addr().String()})
	hs := &http.Server{ConnContext: ConnContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r = owner.Receive(w, r); r == nil {
			return
		}
		p, forwarded := Forwarded(r)
		fmt.Fprintf(w, "%v %s %s %s %s", forwarded, p.Scheme(), r.RemoteAddr, r.RequestURI, r.Header.Get("Cookie"))
	})}
	go func() { _ = hs.Serve(httpguard.Guard(l)) }()
	t.Cleanup(func() { hs.Close() })
	f := New(Config{Proofs: testRing(t), Self: "gateway:1"})
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(proxytest.UpgradeHead + "Cookie: sid=1\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "[2001:db8::1]:443"
	connect := func() (net.Conn, terms) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(proxytest.Patience))
		aad, err := f.challenge(c, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c, aad
	}
	exchange := func(c net.Conn, request []byte) (int, string) {
		_, _ = c.Write(request)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	c, aad := connect()
	sealed := f.sealRequest(r, "https", l.Addr().String(), aad)
	if status, body := exchange(c, sealed); status != 200 || body != "true https [2001:db8::1]:443 /chat?x=1 sid=1" {
		t.Errorf("%d %s", status, body)
	}
	if _, body := exchange(c, sealed); !strings.HasPrefix(body, "false ") {
		t.Errorf("a second time on its connection: %s", body)
	}
	replayed, _ := connect()
	if status, _ := exchange(replayed, sealed); status != http.StatusForbidden {
		t.Errorf("on another connection: %d", status)
	}
	for at := len(sealed) - 40; at < len(sealed); at++ {
		c, aad := connect()
		bad := f.sealRequest(r, "https", l.Addr().String(), aad)
		bad[at] ^= 1
		if status, _ := exchange(c, bad); status != http.StatusForbidden {
			t.Errorf("byte %d changed: %d", at, status)
		}
	}
	c, _ = connect()
	huge := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", handshakePath, maxSealedRequest+1)
	if status, _ := exchange(c, huge); status != http.StatusForbidden {
		t.Errorf("a huge one: %d", status)
	}
}

// Whether an address is still the owner's only a process of ours at that very
// address can say: then the owner is gone. One that is reached under another
// address says nothing, whoever leads the challenge there.
func TestOtherInstance(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		self func(address string) string
		want Result
	}{
		"the owner, restarted":      {instance.New, NotOwner},
		"another pod, led there by": {func(string) string { return instance.New("10.9.9.9:1") }, Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := proxytest.Listen(t)
			address := l.Addr().String()
			sidecar := New(Config{Proofs: testRing(t), Self: tc.self(address)})
			asked := make(chan string, 8)
			hs := &http.Server{ConnContext: ConnContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Method
				if r = sidecar.Receive(w, r); r != nil {
					http.NotFound(w, r)
				}
			})}
			go func() { _ = hs.Serve(httpguard.Guard(l)) }()
			t.Cleanup(func() { hs.Close() })
			g := newGateway(t, instance.New(address), nil)
			g.ask(t, secrets)
			g.wantEnd(t, tc.want)
			if first := <-asked; first != http.MethodGet || len(asked) > 0 {
				t.Errorf("it was sent %s, and %d more", first, len(asked))
			}
		})
	}
}

// Sidecars of neighbouring versions speak the one that both know.
func TestHandshakeVersions(t *testing.T) {
	ring := testRing(t)
	f := New(Config{Proofs: ring, Self: "owner:1"})
	for offered, want := range map[byte]byte{0: 0, handshakeVersion: handshakeVersion, handshakeVersion + 1: handshakeVersion, 255: handshakeVersion} {
		r := fakeChallenge(t, ring, "owner:1", time.Now())
		text := challengeText(handshakeVersion, time.Now(), newNonce(), "owner:1")
		text[0] = offered
		if offered > handshakeVersion {
			text = append(text, "what is not known yet"...)
		}
		r.Header.Set(handshakeHeader, handshakeText(ring.Seal(nil, text, []byte(challengeAAD))))
		if agreed, _ := f.answer(r); agreed.version != want || (agreed.aad != nil) != (want > 0) {
			t.Errorf("offered %d: %+v, want version %d", offered, agreed, want)
		}
	}
}

// What sidecars of a release say to each other is read by all later ones
// (docs/COMPATIBILITY.md): cases are added to the file, and none is changed.
func TestHandshakesOfReleases(t *testing.T) {
	b, err := os.ReadFile("../../testdata/formats/peer.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Key, Target, ChallengeNonce, AnswerNonce string
		Challenge, Answer, Other, Request              string
		Client, Head                                   string
		Version                                        byte
		Time                                           int64
		TLS                                            bool
	}
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	newest := byte(0)
	for _, c := range cases {
		ring, err := keyring.New([][]byte{unhex(t, c.Key)})
		if err != nil {
			t.Fatal(err)
		}
		header := func(text string) http.Header { return http.Header{handshakeHeader: {text}} }
		challenge, answer := nonce(unhex(t, c.ChallengeNonce)), nonce(unhex(t, c.AnswerNonce))
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.UnixMilli(c.Time)))
			for self, status := range map[string]bool{c.Target: true, instance.New(instance.Address(c.Target)): false} {
				f := New(Config{Proofs: ring, Self: self})
				agreed, text := f.answer(&http.Request{Header: header(c.Challenge)})
				if text == "" || status && agreed.version != c.Version || status == (agreed.aad == nil) {
					t.Errorf("%s: as %s the challenge is answered %q, %+v", c.Name, self, text, agreed)
				}
			}
		})
		f := New(Config{Proofs: ring})
		if b, ok := f.openHandshake(header(c.Answer), answerData(answerAAD, challenge)); !ok || b[0] != c.Version || nonce(b[1:answerFixed]) != answer {
			t.Errorf("%s: the answer is % x, %v", c.Name, b, ok)
		}
		if b, ok := f.openHandshake(header(c.Other), answerData(otherAAD, challenge)); !ok || b[0] != c.Version {
			t.Errorf("%s: the other answer is % x, %v", c.Name, b, ok)
		}
		b, err := ring.Open(nil, unhex(t, c.Request), requestData(challenge, answer))
		if err != nil {
			t.Errorf("%s: request: %v", c.Name, err)
			continue
		}
		if p, head, err := parseProof(b, c.Version); err != nil || p != (Proof{TLS: c.TLS, Client: c.Client}) || string(head) != c.Head {
			t.Errorf("%s: request of %+v, %q, %v", c.Name, p, head, err)
		}
		newest = max(newest, c.Version)
	}
	if newest != handshakeVersion {
		t.Errorf("the file has handshakes up to version %d, and none of %d", newest, handshakeVersion)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
