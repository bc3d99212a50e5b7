package proxy

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/store"
)

// A resume that the app's own answer refuses has no RESET. The log tells all the
// same whose it was, and that nothing is lost by it.
func TestAppRefusesAnAdoptionInTheLog(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n": `level=INFO msg="the app refused a handshake"`,
		"no HTTP\r\n\r\n": `level=WARN msg="app handshake failed"`,
	} {
		sc := newScene(t, nil)
		p := sc.resilient("/chat")
		p.echo("mine")
		found, _ := sc.srv.sessions.find(p.welcome.Session, nil)
		<-found.handOver(event.HandOverDetached, 0)

		other := &scene{t: t, app: sc.app, watch: newWatch(), log: new(bytesLog)}
		log := slog.New(slog.NewTextHandler(other.log, nil))
		_, other.addr = serveAttacked(t, Config{
			Upstream: proxytest.NewRawApp(t, proxytest.AnswerText(answer)).URL(), Tokens: sc.ring, Advertise: "sidecar:2",
			Store: store.NewSealedStore(sc.journal, sc.ring), Adopt: func(bool, bool) bool { return true },
			Observer: event.Observers{other.watch, observe.NewLife(log)}, Logger: log,
		}, nil)
		if _, how := other.resume("/chat", p.welcome.Token, 1, 2); how != "503" && how != "502" {
			t.Errorf("%q: %s", answer, how)
		}
		text := other.log.String()
		line, _, _ := strings.Cut(text[max(0, strings.Index(text, want)):], "\n")
		if !strings.HasPrefix(line, want) || !strings.Contains(line, "session="+p.welcome.Session.String()) || !strings.Contains(line, "the session stays") {
			t.Errorf("%q is told as %q", answer, text)
		}
	}
}
