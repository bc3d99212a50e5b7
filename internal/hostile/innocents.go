package main

import (
	"context"
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// innocent talks through the sidecars until ctx ends: it says a word, and hears it.
func (s *stage) innocent(ctx context.Context, i int) error {
	r := &roamer{stage: s, at: i}
	conn, _, err := client.Dial(ctx, "ws://app/echo", &client.Options{ //nolint:bodyclose // need not be closed
		NetDial: r.dial, Backoff: client.Backoff{Max: 500 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	go func() {
		for e := range conn.Events() {
			if e.Kind == client.EventReset || e.Kind == client.EventAdopted {
				s.mu.Lock()
				s.lost = append(s.lost, fmt.Sprintf("innocent %d: %v %s", i, e.Kind, e.Reason))
				s.mu.Unlock()
			}
		}
	}()
	moved := time.Now()
	return s.talk(ctx, conn, i, &s.words, func() {
		if i%4 == 0 && time.Since(moved) > movesEvery {
			r.move()
			moved = time.Now()
		}
	})
}

// bystander talks to the same app at the same time, by a process that the party does
// not know.
func (s *stage) bystander(ctx context.Context, i int) error {
	conn, _, err := client.Dial(ctx, "ws://"+s.relay.Addr+"/echo", nil) //nolint:bodyclose // need not be closed
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	return s.talk(ctx, conn, i, &s.apart, func() {})
}

// talk says words and hears them until ctx ends, and notes what each took. before is
// called before each.
func (s *stage) talk(ctx context.Context, conn *client.Conn, i int, times *[]time.Duration, before func()) error {
	for n := 0; ctx.Err() == nil; n++ {
		before()
		word, began := fmt.Sprint(i, ":", n), time.Now()
		limit, cancel := context.WithTimeout(context.Background(), patience)
		err := conn.Write(limit, client.MessageText, []byte(word))
		var heard []byte
		if err == nil {
			_, heard, err = conn.Read(limit)
		}
		cancel()
		if err != nil || string(heard) != word {
			return fmt.Errorf("said %q, heard %q: %w", word, heard, err)
		}
		s.mu.Lock()
		*times = append(*times, time.Since(began))
		s.mu.Unlock()
		if proc.Sleep(ctx, talkEvery) != nil {
			break
		}
	}
	return nil
}
