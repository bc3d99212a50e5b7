package wire

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

func ringOf(t testing.TB, key string) *keyring.Ring {
	t.Helper()
	secret, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.New([][]byte{secret})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// Tokens that a release has given out are read by all later ones
// (docs/COMPATIBILITY.md): cases are added to the file, and none is changed.
func TestTokensOfReleases(t *testing.T) {
	b, err := os.ReadFile("../testdata/formats/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Key, Text string
		Token           struct {
			Version                 uint8
			Session, Binding, Owner string
			Epoch, Generation       uint32
			Issued, Expires         int64
		}
	}
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	newest := uint8(0)
	for _, c := range cases {
		got, err := OpenToken(ringOf(t, c.Key), c.Text)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		want := &Token{
			Version: c.Token.Version, Epoch: c.Token.Epoch, Generation: c.Token.Generation, Owner: c.Token.Owner,
			Issued: time.UnixMilli(c.Token.Issued), Expires: time.UnixMilli(c.Token.Expires),
			Session: SessionID(unhex(t, c.Token.Session)), Binding: [16]byte(unhex(t, c.Token.Binding)),
		}
		if !reflect.DeepEqual(got, want) || got.Newer() {
			t.Errorf("%s: %+v, want %+v", c.Name, got, want)
		}
		newest = max(newest, got.Version)
	}
	if newest != tokenVersion {
		t.Errorf("the file has tokens up to version %d, and none of %d", newest, tokenVersion)
	}
}

// Of a newer token all that version 1 has is known, and that it is newer.
func TestNewerToken(t *testing.T) {
	ring := ringOf(t, strings.Repeat("15", keyring.KeySize))
	token := Token{Version: tokenVersion + 1, Session: SessionID{1}, Epoch: 2, Generation: 3, Issued: time.UnixMilli(4), Expires: time.UnixMilli(5), Binding: [16]byte{6}, Owner: "a@b:1"}
	got, err := OpenToken(ring, SealToken(ring, &token))
	if err != nil || !got.Newer() || !reflect.DeepEqual(*got, token) {
		t.Errorf("%+v, %v", got, err)
	}
	token.Version = 0
	if got, err := OpenToken(ring, SealToken(ring, &token)); err != nil || got.Version != tokenVersion || got.Newer() {
		t.Errorf("%+v, %v", got, err)
	}
	for name, text := range map[string][]byte{
		"version 0":     append(make([]byte, tokenFixed), 0),
		"short":         append([]byte{tokenVersion}, make([]byte, tokenFixed-2)...),
		"long":          append([]byte{tokenVersion}, make([]byte, tokenFixed)...),
		"newer, short":  append([]byte{tokenVersion + 1}, make([]byte, tokenFixed-2)...),
		"owner is cut":  append(append([]byte{tokenVersion}, make([]byte, tokenFixed-2)...), 1),
		"newer and cut": append(append([]byte{tokenVersion + 1}, make([]byte, tokenFixed-2)...), 1),
	} {
		sealed := handMade(ring, text)
		if got, err := OpenToken(ring, sealed); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A token is one of the entries of a header that proxies cap, and some cap
// subprotocols at a few hundred characters.
func TestTokenSize(t *testing.T) {
	ring := ringOf(t, strings.Repeat("15", keyring.KeySize))
	for owner, most := range map[string]int{
		"AAAAAAAAAAA@10.244.123.123:15801":                            163,
		"AAAAAAAAAAA@[fd00:1234:5678:9abc:def0:1234:5678:9abc]:15801": 200,
		"AAAAAAAAAAA@" + strings.Repeat("a", MaxAddress):              MaxToken / 3,
	} {
		token := Token{Owner: owner}
		text := SealToken(ring, &token)
		if len(text) > most {
			t.Errorf("%d characters with %s, want %d at most", len(text), owner, most)
		}
		if got, err := OpenToken(ring, text); err != nil || got.Owner != owner {
			t.Errorf("%s: %v, %v", owner, got, err)
		}
	}
}

func handMade(ring *keyring.Ring, plaintext []byte) string {
	return base64.RawURLEncoding.EncodeToString(ring.Seal(nil, plaintext, []byte(tokenAAD)))
}
