// Rehearsal runs the sidecar's own rehearsal: pods, NATS and nginx as processes,
// everything that can break around them, and lossy networks. It writes the
// reports of docs/rehearsal. It needs Linux, nginx and root.
//
//	go run ./internal/rehearsal [-out docs/rehearsal] [-only chapter|lossy|peers] [-note TEXT]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// minFiles is far above what the clients of both parts have open at once.
const minFiles = 8000

func main() { lab.Main(run) }

// A runner is what both parts share.
type runner struct {
	starter proc.Starter
	hosts   lab.Hosts
	sidecar string // the binary
	dir     string // of the processes' files
	out     string
	note    string // for the reports
	began   time.Time
}

func run(ctx context.Context, args []string) (int, error) {
	b := &runner{began: time.Now()}
	var only string
	f := flag.NewFlagSet("rehearsal", flag.ContinueOnError)
	f.StringVar(&b.out, "out", "docs/rehearsal", "`folder` of the reports")
	f.StringVar(&only, "only", "", "chapter, lossy or peers; \"\": the first two")
	f.StringVar(&b.note, "note", "", "`text` that a reader of the numbers has to know, such as that the machine was busy")
	if err := f.Parse(args); err != nil {
		return 0, err
	}
	if err := lab.RaiseFileLimit(minFiles); err != nil {
		return 0, err
	}
	binary := proc.Binary{Name: lab.SidecarName}
	defer binary.Remove()
	var err error
	if b.sidecar, err = binary.Path(ctx); err != nil {
		return 0, err
	}
	if b.dir, err = os.MkdirTemp("", "rehearsal-"); err != nil {
		return 0, err
	}
	b.starter.Dir = filepath.Join(b.dir, "logs")
	if err := os.MkdirAll(b.starter.Dir, 0o700); err != nil {
		return 0, err
	}
	met := true
	for _, part := range []struct {
		name  string
		run   func(context.Context) (bool, error)
		asked bool // it is run only if it is named
	}{{"chapter", b.chapter, false}, {"lossy", b.lossy, false}, {"peers", b.peers, true}} {
		if only != part.name && (only != "" || part.asked) {
			continue
		}
		ok, err := part.run(ctx)
		if err != nil {
			return 0, fmt.Errorf("%s: %w; the processes' logs are in %s", part.name, err, b.starter.Dir)
		}
		met = met && ok
	}
	fmt.Printf("done in %s, reports are in %s\n", time.Since(b.began).Round(time.Second), b.out)
	if !met {
		fmt.Fprintln(os.Stderr, "rehearsal: the processes' logs are in", b.starter.Dir)
		return lab.ExitFailed, ctx.Err()
	}
	return 0, errors.Join(os.RemoveAll(b.dir), ctx.Err())
}

// notes are those of a report.
func (b *runner) notes() []string {
	if b.note == "" {
		return nil
	}
	return []string{b.note}
}

// say writes what happens to standard error.
func (b *runner) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%7.2fs %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}
