package proxy

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// attackRows are all rows of the list that a single sidecar meets on its data
// port, beside those of requests (request_test.go, passthrough_test.go) and
// of the environment (internal/config).
const attackRows = `
H23 H26 H29
W01 W02 W04 W05 W06 W07 W08 W09 W11 W12 W13 W14 W15 W16 W18 W19 W20 W21 W22 W23 W25 W26 W27 W28 W29
U01 U02 U04 U05 U06 U07 U08 U09 U11 U12 U13 U14 U15 U16
T01 T02 T04 T05 T06 T07 T08 T09 T11 T12 T13 T14 T15 T16 T18 T19 T20
C01 C02 C04 C05 C06 C07 C08 C09 C11 C12 C13 C14 C15 C16`

// notHere says why a row has no test.
var notHere = map[string]string{
	"T19": "a sidecar has one listener with one scheme; of a page the Origin, to which every token is bound, has the scheme in it",
	"C11": "a client asks for no window and no interval: WELCOME tells it both, in fixed-size integers",
}

// otherwise says why a row, though it is tested, ends in another way than the
// list demands.
var otherwise = map[string]string{
	"H26": "the app judges the Origin, as without us, and its refusal passes; a resume is bound to the Origin of the session",
	"W06": "to a plain client's app the first fragment has passed: nothing is held back; no whole message reaches it",
	"W08": "a plain client's frame passes without being held, however long: how long is too long is for its app to say",
	"W11": "fragments cost their bytes and nothing else, so they are not counted; a plain client's pass",
	"W12": "of a plain client the app judges the size",
	"W13": "UTF-8 of data is for the endpoints to judge (DESIGN §7)",
	"W14": "a plain client's close frame passes as it came, and the app refuses it",
	"W15": "likewise",
	"W16": "a bare close of a resilient client is answered with its code and detaches; what ends a session is CLOSE",
	"W18": "what a plain client sends behind its close frame is for the app to ignore",
	"W19": "a ping behind 1 KiB of unwritten pongs goes unanswered (RFC 6455 §5.5.3); a plain client is slowed down by TCP",
	"W20": "any byte is a sign of life (PROTOCOL §6.2); an answer is only what matches",
	"W21": "likewise a dripping frame keeps a connection, which costs no more than an idle one; silence ends it",
	"W22": "without WSR_RATE_MESSAGES there is no limit of messages per second; one that does not take its messages is paused by bytes and by messages",
	"W23": "what is opaque passes; only what the sidecar has to read is inflated, up to the limit",
	"W25": "the client's own mask passes through (DESIGN §7)",
	"W26": "a plain client that takes nothing is left to TCP, as without us: from outside it looks like a slow one",
	"U07": "close frames of an app pass to a plain client as they came; UTF-8 of data is for the endpoints to judge",
	"U08": "to a plain client it passes and is not held",
	"U15": "the sidecar sends the app no pings: it shares a host with it, and TCP keepalive finds the rest",
	"T01": "an entry with characters that no token has is a malformed offer, 400",
	"T05": "the subprotocol of a resume is not looked at: the token names the app's socket, which exists",
	"T08": "counted and logged; whether to end the session is not for us to say",
	"T11": "a deployment is told by its keys; under equal keys the session is unknown",
	"T13": "no rate limit: a guess costs one decryption, and nothing of a victim",
	"T16": "not timed on a shared machine: what could differ, a look into the store, does not happen",
	"T20": "the holder of the newest token is the client; the older connection is told 4409",
	"C01": "the connection ends with 4400, the session does not; seqs are binary",
	"C02": "without WSR_RATE_CONTROL not limited in number: each is read and forgotten",
	"C07": "there is one version, and messages are binary with fixed fields",
	"C13": "without WSR_RATE_RESUMES no budget of resumes: a replay costs its bytes, of a window that is there",
	"C16": "a sidecar takes what a client's WebSocket library fragments or compresses; only text is never ours",
}

func TestAttacks(t *testing.T) {
	alone := strings.Fields(measuring)
	for _, row := range everyAttack() {
		t.Run(row.id, func(t *testing.T) {
			if !slices.Contains(alone, row.id) {
				t.Parallel()
			}
			row.run(t)
		})
	}
}

func TestMain(m *testing.M) {
	proxytest.Parallel(8)
	os.Exit(m.Run())
}

// measuring are the rows that look at the whole process: its heap, what it
// allocates, its goroutines. They run alone; the others mostly wait, and do so
// together.
const measuring = "C13 H23 H29 T13 U08 U15 W01 W02 W04 W05 W06 W07 W08 W09 W11 W14 W15 W19 W20 W22 W23 W26 W28 W29 U16"

func everyAttack() []attack {
	return slices.Concat(headAttacks(), frameAttacks(), floodAttacks(), memoryAttacks(), appAttacks(), tokenAttacks(), controlAttacks())
}

// Every row has a test or a reason not to have one.
func TestEveryAttackRow(t *testing.T) {
	rows := strings.Fields(attackRows)
	tested := map[string]bool{}
	for _, a := range everyAttack() {
		if tested[a.id] || !slices.Contains(rows, a.id) {
			t.Errorf("row %s is tested twice, or is no row", a.id)
		}
		tested[a.id] = true
	}
	for _, id := range rows {
		if tested[id] == (notHere[id] != "") {
			t.Errorf("row %s: tested %v, but a reason not to be: %q", id, tested[id], notHere[id])
		}
	}
	for id := range otherwise {
		if !tested[id] {
			t.Errorf("row %s ends otherwise, but has no test", id)
		}
	}
}
