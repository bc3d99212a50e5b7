package endtoend

import (
	"context"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// journalRests is for how long nothing is written before the journal is at rest.
const journalRests = 300 * time.Millisecond

// The folder of the embedded journal is removed under a sidecar that has nothing
// to write. Operators learn of it, and soon the folder has all again: the sidecar
// crashes, and the session goes on in the next one.
func TestFolderOfJournalGone(t *testing.T) {
	t.Parallel()
	app := newScript()
	backend := httptest.NewServer(app)
	defer backend.Close()
	dir := t.TempDir() + "/journal"
	p := newProcess(t, backend.URL, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	c, _, err := client.Dial(ctx, "ws://"+p.Addr+"/", &client.Options{Adopt: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	old := <-app.sockets
	say(t, old, "one")
	mustRead(ctx, t, c, "one")
	appended := func() string {
		text, _ := p.Get(ctx, "/metrics")
		_, rest, _ := strings.Cut(string(text), `wsr_journal_appends_total{result="ok"} `)
		count, _, _ := strings.Cut(rest, "\n")
		return count
	}
	var before string
	if err := proc.Until(ctx, processLimit, journalRests, func() bool { // what "one" led to is no sign of what follows
		last := before
		before = appended()
		return before != "" && before == last
	}); err != nil {
		t.Fatalf("the journal does not come to rest: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	says := func(path, want string) bool {
		text, err := p.Get(ctx, path)
		return err == nil && strings.Contains(string(text), want)
	}
	told, counted := false, false // it may be mended before both are looked at
	if err := proc.Until(ctx, processLimit, processLook, func() bool {
		counted = counted || says("/metrics", "wsr_journal_available 0")
		told = told || says("/readyz", "ready\nthe journal is away, sessions live in memory: ")
		return (told || counted) && says("/metrics", "wsr_journal_available 1")
	}); err != nil {
		t.Fatalf("told %v, counted %v, mended: %v", told, counted, err)
	}
	if err := proc.Until(ctx, processLimit, processLook, func() bool { return appended() != before }); err != nil {
		t.Fatalf("written again: %v", err)
	}
	p.Kill()
	p.start()
	select {
	case <-app.sockets:
	case <-ctx.Done():
		t.Fatal("the session does not go on in the next process")
	}
	if err := c.WriteAcked(ctx, client.MessageText, []byte("two")); err != nil {
		t.Fatal(err)
	}
	soon(t, "the next app has heard it", func() bool { return app.all() == "2:two" })
}
