// Command crowd serves a console that looks into a sidecar which does not exist, with
// as many sessions as one likes: for tests of its page and for pictures of it. Each
// run has the same ones.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/console"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

func main() {
	sessions := flag.Int("sessions", 10000, "how many there are")
	listen := flag.String("listen", "127.0.0.1:0", "where the page is served")
	token := flag.String("token", "", "what everybody needs, on this machine too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *sessions, *listen, *token)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, sessions int, listen, token string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	c := newCrowd(sessions, time.Now())
	h := console.NewHistory()
	c.past(h)
	go c.present(ctx, h)
	views := console.New(console.Config{Sidecar: c, History: h, Locate: c.locate, About: c.about}).Views()
	admin := observe.Admin{Metrics: observe.New().Handler(), Views: views, Token: func() string { return token }}.Handler()
	if token != "" {
		admin = passedOn(admin)
	}
	srv := &http.Server{Handler: admin, ReadHeaderTimeout: time.Second}
	fmt.Printf("open http://%s/console/\n", l.Addr())
	go func() { <-ctx.Done(); _ = srv.Close() }()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// passedOn makes of every request one from elsewhere.
func passedOn(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-For", "203.0.113.1")
		h.ServeHTTP(w, r)
	})
}

// locate knows one session of another sidecar.
func (c *crowd) locate(_ context.Context, id wire.SessionID) (console.Location, error) {
	if id != elsewhere {
		return console.Location{}, store.ErrNotFound
	}
	return console.Location{Owner: other, Lease: "live", Epoch: 2, State: "attached", Messages: 3}, nil
}

// about is what the page says of the sidecar.
func (c *crowd) about(s *console.Status) {
	s.Name, s.Version, s.Ready = self, "wsresilience-sidecar v1.4.0", true
	s.Journal = console.Journal{Kind: "external", Available: true, Since: c.now.Add(-41 * time.Minute), Appending: 12, AppendingLen: 31 << 10, Share: 90 << 20, Streams: []console.Stream{{Name: "WSR_LOG_0", Held: 210 << 20, Most: 1 << 30}, {Name: "WSR_LOG_1", Held: 823 << 20, Most: 1 << 30}}}
	s.Fleet = []console.Member{
		{Owner: other, Lease: "live", Since: c.now.Add(-50 * time.Hour), Renewed: 1400},
		{Owner: self, Self: true, Lease: "live", Since: c.now.Add(-26 * time.Hour), Renewed: 3100},
		{Owner: "Qm2bWq0xYtA@10.0.3.19:15801", Lease: "live", Draining: true, Since: c.now.Add(-3 * time.Hour), Renewed: 700},
		{Owner: "d0Zl5hQx1mM@10.0.3.22:15801", Lease: "released", Renewed: 1_260_000},
	}
}

const (
	self  = "kTz4vEmQ1Yc@10.0.3.17:15801"
	other = "8xw2Jr5ZpLs@10.0.3.18:15801"
)

// elsewhere is a session of another sidecar.
var elsewhere = wire.SessionID{0xee, 0x15, 0xe0}

func subject(path, client string) *event.Subject {
	return event.NewSubject(event.About{Path: path, Client: netip.MustParsePrefix(client)})
}
