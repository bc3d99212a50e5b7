package proxy

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
	"github.com/wsresilience/wsresilience/wire"
)

func tokenAttacks() []attack {
	return []attack{
		{"T01", inventedTokens},
		{"T02", flippedBits},
		{"T04", expiredTokens},
		{"T05", tokenElsewhere},
		{"T06", cutTokens},
		{"T07", foreignOriginResumes},
		{"T08", oldGeneration},
		{"T09", unconfirmedGeneration},
		{"T11", otherDeployment},
		{"T12", proposedIDs},
		{"T13", guesses},
		{"T14", tokensInLogs},
		{"T15", tokenAfterClose},
		{"T16", noLookForBadTokens},
		{"T18", rotatedKeys},
		{"T20", stealing},
	}
}

// A victim is a session that others want. Every attempt fails alike: RESET 2,
// no look into the journal, and the victim stays connected to its app.
type victim struct {
	*testClient
	sc *scene
}

func newVictim(sc *scene) *victim {
	p := sc.resilient("/victim", "Origin: https://good")
	p.control(wire.AppendAck(nil, 0)) // it has read WELCOME
	p.echo("mine")
	return &victim{p, sc}
}

// refused makes one attempt.
func (v *victim) refused(token string, want string, extra ...string) {
	v.t.Helper()
	if len(extra) == 0 {
		extra = []string{"Origin: https://good"}
	}
	if _, how := v.sc.resume("/victim", token, 0, 0, extra...); how != want {
		v.t.Errorf("token of %d characters: %s, want %s", len(token), how, want)
	}
}

// untouched is what holds after the attempts.
func (v *victim) untouched() {
	v.t.Helper()
	v.echo("still mine")
	if n := v.sc.app.dialled("/victim"); n != 1 {
		v.t.Errorf("the app was dialled %d times", n)
	}
	if n := v.sc.watch.count("detached superseded"); n != 0 {
		v.t.Errorf("the victim was disconnected %d times", n)
	}
	if n := v.sc.journal.reads(wire.SessionID{}); n != 0 {
		v.t.Errorf("%d looks into the journal", n)
	}
}

// edited is the victim's token with something changed, sealed by our keys.
func (v *victim) edited(change func(*wire.Token)) string {
	v.t.Helper()
	tok, err := wire.OpenToken(v.sc.ring, v.welcome.Token)
	if err != nil {
		v.t.Fatal(err)
	}
	change(tok)
	return wire.SealToken(v.sc.ring, tok)
}

func inventedTokens(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	for _, token := range []string{"a", "aaaa", "00000000", strings.Repeat("A", 100), strings.Repeat("_-9z", 256)} {
		v.refused(token, "reset token")
	}
	for _, token := range []string{"", "%41%41", "%2541", "\U0001F600", "a=", "a+/b", strings.Repeat("A", wire.MaxToken+1)} {
		v.refused(token, "400")
	}
	if p := sc.openWith("/", strings.TrimSuffix(proxytest.UpgradeHead, "\r\n")+"\r\nSec-WebSocket-Protocol: wsr.v1, wsr.resume.a\x00b.0.0\r\n\r\n"); p.resp.StatusCode != http.StatusBadRequest {
		t.Errorf("NUL: status %d", p.resp.StatusCode)
	}
	if p := sc.open("/", "wsr.v1, wsr.resume."+strings.Repeat("A", 64<<10)+".0.0"); p.resp.StatusCode < 400 || p.resp.StatusCode > 431 {
		t.Errorf("64 KiB: status %d", p.resp.StatusCode)
	}
	v.untouched()
}

func flippedBits(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	sealed, err := base64.RawURLEncoding.DecodeString(v.welcome.Token)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(sealed) {
		sealed[bit/8] ^= 1 << (bit % 8)
		v.refused(base64.RawURLEncoding.EncodeToString(sealed), "reset token")
		sealed[bit/8] ^= 1 << (bit % 8)
	}
	v.untouched()
}

func expiredTokens(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	unknown := func(tok *wire.Token) { tok.Session[0] ^= 1 }
	v.refused(v.edited(unknown), "reset unknown")
	for _, expires := range []time.Time{time.Now().Add(-time.Millisecond), time.UnixMilli(0)} {
		v.refused(v.edited(func(tok *wire.Token) { unknown(tok); tok.Expires = expires }), "reset token")
	}
	v.echo("still mine")
	// A connection that lived for longer than its token.
	old := v.edited(func(tok *wire.Token) { tok.Expires = time.Now().Add(-24 * time.Hour) })
	p, how := sc.resume("/victim", old, 2, 3, "Origin: https://good")
	if how != "resumed" {
		t.Fatalf("a token whose session lives: %s", how)
	}
	v.testClient = p
	// Of a pod whose clock is ahead: issued in the future is no fault.
	good := v.edited(func(tok *wire.Token) { tok.Issued = time.Now().Add(5 * time.Minute) })
	if _, how := sc.resume("/victim", good, 2, 3, "Origin: https://good"); how != "resumed" {
		t.Errorf("a token of five minutes ahead: %s", how)
	}
}

// tokenElsewhere: a token is worth nothing at another path or Host, however it
// is written, and at its own it leads to the app's socket that was there.
func tokenElsewhere(t *testing.T) {
	sc := newScene(t, func(c *Config) { c.Resilient = func(path string) bool { return path != "/never" } })
	v := newVictim(sc)
	protocols := "mqtt, wsr.v1, wsr.resume." + v.welcome.Token + ".1.2"
	p := sc.open("/victim", protocols, "Origin: https://good", "Host: tenant-b.example")
	if p.resp.StatusCode != http.StatusBadRequest {
		t.Errorf("two hosts: status %d", p.resp.StatusCode)
	}
	try := func(path, host string) *testClient {
		return sc.openWith(path, strings.Replace(upgradeHead(path, protocols, "Origin: https://good"), "Host: app.example", "Host: "+host, 1))
	}
	for _, path := range []string{"/other-path", "/Victim", "/victim/", "//victim", "/x/../victim", "/./victim", "/%76ictim", "/victim%3F", "/victim%2f", "/victim;a", "/victim/../admin", "/"} {
		if how := try(path, "app.example").verdict(); how != "reset token" {
			t.Errorf("at %s: %s", path, how)
		}
	}
	for _, host := range []string{"tenant-b.example", "app.example:8080", "app.example.", "app.example.evil", "xapp.example", "127.0.0.1", "[::1]"} {
		if how := try("/victim", host).verdict(); how != "reset token" {
			t.Errorf("for %s: %s", host, how)
		}
	}
	v.untouched()
	v.conn.Close()
	p = try("/victim?token=fresh", "APP.Example:80")
	if how := p.verdict(); how != "resumed" || sc.app.dialled("/victim") != 1 || p.welcome.Subprotocol != v.welcome.Subprotocol {
		t.Errorf("at its own place: %s, the app was dialled %d times", how, sc.app.dialled("/victim"))
	}
	p.conn.Close()
	q := sc.open("/never", "mqtt, wsr.v1, wsr.resume."+v.welcome.Token+".1.2", "Origin: https://good")
	q.echo("plain, where no sessions are")
	if head := sc.app.call("/never").head["Sec-Websocket-Protocol"]; len(head) != 1 || head[0] != "mqtt" {
		t.Errorf("the app was offered %q", head)
	}
	q.conn.Close()
}

func cutTokens(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	token := v.welcome.Token
	for n := 1; n < len(token); n++ {
		v.refused(token[:n], "reset token")
	}
	v.refused("", "400")
	v.refused(token+"A", "reset token")
	v.refused(token+"AAAA", "reset token")
	v.refused(token+token, "reset token")
	two := "wsr.v1, wsr.resume." + token + ".0.0, wsr.resume." + token + ".1.1"
	sc.open("/victim", two, "Origin: https://good").wantStatus(http.StatusBadRequest)
	sc.open("/victim", "wsr.v1, wsr.resume."+token+".0.0.0", "Origin: https://good").wantStatus(http.StatusBadRequest)
	v.untouched()
}

func foreignOriginResumes(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	for _, origin := range []string{"https://evil", "null", "https://good.evil.com", "http://good", "https://good:443", "https://good."} {
		v.refused(v.welcome.Token, "reset token", "Origin: "+origin)
	}
	v.refused(v.welcome.Token, "reset token", "X-No-Origin: 1")
	v.untouched()
}

// oldGeneration: once the client has shown that it knows a newer token, an
// older one is worth nothing.
func oldGeneration(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	first := v.welcome.Token
	p, how := v.back("Origin: https://good")
	if how != "resumed" {
		t.Fatal(how)
	}
	p.t = t
	p.wantHeartbeatAnswer(1) // a control message shows that WELCOME was read
	before := sc.watch.count("detached superseded")
	for range 3 {
		v.refused(first, "reset token")
	}
	if n := sc.watch.count("detached superseded"); n != before || sc.watch.count("reset token") != 3 || sc.watch.count("token reused") != 3 {
		t.Errorf("an old token disconnected its owner, or was not counted and reported")
	}
	p.echo("still mine")
	p.conn.Close()
}

// unconfirmedGeneration: the WELCOME with the newer token was lost, again and
// again. The old one works, and nothing comes twice.
func unconfirmedGeneration(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	v.conn.Close()
	first := v.welcome.Token
	for n := range 3 {
		p := sc.open("/victim", "wsr, wsr.v1, wsr.resume."+first+".1.2", "Origin: https://good")
		p.wantStatus(http.StatusSwitchingProtocols)
		p.sent = 1
		p.say("two") // early data, which is no sign that WELCOME was read
		// The 101 comes before the attach, which must not overtake the next one's.
		eventually(t, "it is attached", func() bool { return sc.watch.count("resumed") > n })
		eventually(t, "the app has it", func() bool {
			m, _, _ := sc.app.call("/victim").heardSoFar()
			return len(m) >= 2
		})
		p.conn.Close()
	}
	p, how := sc.resume("/victim", first, 1, 2, "Origin: https://good")
	if how != "resumed" {
		t.Fatalf("with the token that the client has: %s", how)
	}
	p.sent = 1
	p.say("two")
	p.got = 1
	if got := p.hear(); got != "two" {
		t.Errorf("the echo is %q", got)
	}
	p.echo("three")
	if m, _, _ := sc.app.call("/victim").heardSoFar(); strings.Join(m, " ") != "mine two three" {
		t.Errorf("the app got %q", m)
	}
	p.conn.Close()
}

func otherDeployment(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	tok, _ := wire.OpenToken(sc.ring, v.welcome.Token)
	v.refused(wire.SealToken(ring, tok), "reset token")
	v.refused(wire.SealToken(sc.ring.Derive("other"), tok), "reset token")
	v.untouched()
	v.refused(v.edited(func(tok *wire.Token) { tok.Session[0] ^= 1 }), "reset unknown")
	v.echo("still mine")
}

// proposedIDs: an id is the sidecar's alone.
func proposedIDs(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	id := v.welcome.Session.String()
	for range 2 {
		p := sc.open("/fixed", "chat, wsr.v1, wsr.session."+id+", wsr."+id, "X-Session-Id: "+id, "X-Wsr-Session: "+id)
		if how := p.verdict(); how != "new" || p.welcome.Session == v.welcome.Session {
			t.Errorf("%s, session %v", how, p.welcome.Session)
		}
		if offer := sc.app.call("/fixed").head.Get("Sec-Websocket-Protocol"); offer != "chat" {
			t.Errorf("the app was offered %q", offer)
		}
		p.conn.Close()
	}
	v.refused(id, "reset token")
	v.refused(base64.RawURLEncoding.EncodeToString(v.welcome.Session[:]), "reset token")
	v.untouched()
}

// guesses come from many at once. The victim works meanwhile.
func guesses(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	before := heapInUse()
	var guessing sync.WaitGroup
	for g := range 8 {
		guessing.Go(func() {
			for i := range 50 {
				token := strings.Repeat("A", 110) + fmt.Sprintf("%02d%03d", g, i)
				if _, how := sc.resume("/victim", token, 0, 0, "Origin: https://good"); how != "reset token" {
					t.Errorf("a guess is %s", how)
				}
			}
		})
	}
	for range 20 {
		v.echo("meanwhile")
	}
	guessing.Wait()
	v.untouched()
	wantHeap(t, before, 2*most)
}

// tokensInLogs: whatever happens to tokens, none is told to the log at its
// most talkative, nor to the app, nor in a refusal (I9).
func tokensInLogs(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	token := v.welcome.Token
	bad := "secret" + token[6:]
	v.refused(bad, "reset token")
	v.refused(token, "reset token", "Origin: https://evil")
	malformed := sc.open("/victim", "wsr.v1, wsr.resume."+token+".x.y")
	malformed.wantStatus(http.StatusBadRequest)
	body := make([]byte, 4096)
	n, _ := malformed.resp.Body.Read(body)
	answers := string(body[:n])
	p, how := v.back("Origin: https://good")
	if how != "resumed" {
		t.Fatal(how)
	}
	p.echo("again")
	p.hex("ff ff")
	p.wantClose(1002)
	sc.plain("/ends").conn.Close()
	eventually(t, "something is logged", func() bool { return strings.Contains(sc.log.String(), "plain connection ended") })
	plain := sc.open("/heads", "chat, wsr.resume."+token+".1.1")
	answers += fmt.Sprint(plain.resp.Header)
	for _, secret := range []string{token, p.welcome.Token, bad, token[20:60], "secret" + token[6:30]} {
		if strings.Contains(sc.log.String(), secret) {
			t.Error("the log holds a token")
		}
		if strings.Contains(answers, secret) {
			t.Error("an answer holds a token")
		}
		for _, c := range sc.app.all() {
			if strings.Contains(c.path+fmt.Sprint(c.head), secret) {
				t.Error("the app was shown a token")
			}
		}
	}
}

// tokenAfterClose: a session that was closed is not resumed, by neither side's
// token, and not from the journal.
func tokenAfterClose(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	v.control(wire.AppendClose(nil, 1000, "bye"))
	wantSessionClose(t, v.testClient, 1000)
	v.wantClose(1000)
	eventually(t, "the session ends", func() bool { return sc.watch.count("ended resilient closed") == 1 })
	for range 2 {
		v.refused(v.welcome.Token, "reset unknown")
	}
	if n := sc.app.dialled("/victim"); n != 1 {
		t.Errorf("the app was dialled %d times", n)
	}
}

// noLookForBadTokens: the journal is asked only for what our keys have sealed.
func noLookForBadTokens(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	token := v.welcome.Token
	for _, bad := range []string{token[:len(token)-1] + "A", "A" + token[1:], token[:8] + strings.Repeat("A", len(token)-8), strings.Repeat("A", len(token))} {
		if bad != token {
			v.refused(bad, "reset token")
		}
	}
	v.refused(token, "reset token", "Origin: https://evil")
	v.untouched()
	v.refused(v.edited(func(tok *wire.Token) { tok.Session[3] ^= 0x40 }), "reset unknown")
	if sc.journal.reads(wire.SessionID{}) == 0 {
		t.Error("the count of looks counts nothing")
	}
}

// rotatedKeys: a token is good while its key is listed, and is not valid, with
// no other fault, when it is not.
func rotatedKeys(t *testing.T) {
	oldKey, newKey := keyring.Generate(), keyring.Generate()
	rings := map[string][][]byte{"old": {oldKey}, "both": {newKey, oldKey}, "new": {newKey}}
	log := storetest.NewMemory(storetest.MemoryConfig{})
	sidecar := func(keys string) *scene {
		ring, err := keyring.New(rings[keys])
		if err != nil {
			t.Fatal(err)
		}
		return newScene(t, func(c *Config) {
			c.Tokens, c.Store, c.Advertise = ring, store.NewSealedStore(log, ring), keys
			c.Adopt = func(bool, bool) bool { return true }
		})
	}
	first := sidecar("old")
	p := first.resilient("/victim")
	p.echo("mine")
	p.conn.Close()
	if _, how := sidecar("new").resume("/victim", p.welcome.Token, 1, 2); how != "reset token" {
		t.Errorf("without its key: %s", how)
	}
	if err := first.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.others = nil
	q, how := sidecar("both").resume("/victim", p.welcome.Token, 1, 2)
	if how != "adopted" {
		t.Fatalf("with its key second: %s", how)
	}
	q.sent, q.got = 1, 1
	q.echo("again")
	if _, err := wire.OpenToken(mustRing(t, rings["new"]), q.welcome.Token); err != nil {
		t.Errorf("the next token is not sealed by the first key: %v", err)
	}
	q.conn.Close()
}

func mustRing(t *testing.T, keys [][]byte) *keyring.Ring {
	t.Helper()
	r, err := keyring.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stealing: the newest token is what counts, and the older connection hears
// why it ends.
func stealing(t *testing.T) {
	sc := newScene(t, nil)
	v := newVictim(sc)
	p, how := v.back("Origin: https://good")
	if how != "resumed" {
		t.Fatal(how)
	}
	if reason := v.wantClose(wire.CodeSuperseded); reason == "" {
		t.Error("no reason was given")
	}
	v.hex("81 85 00000000 48656c6c6f")
	p.echo("mine now")
	if m, _, _ := sc.app.call("/victim").heardSoFar(); strings.Join(m, " ") != "mine mine now" || sc.app.dialled("/victim") != 1 {
		t.Errorf("the app got %q", m)
	}
	eventually(t, "it is counted", func() bool {
		return sc.watch.count("detached superseded") == 1 && sc.watch.count("resumed") == 1
	})
	p.conn.Close()
}
