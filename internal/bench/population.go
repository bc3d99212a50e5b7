package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/store"
)

// What the sessions in the journal look like that stay untouched.
const (
	// fillWidth is how many of them are written at the same time.
	fillWidth = 64

	// Every fillTalking-th has fillFrames messages of fillBytes that its
	// client has not acknowledged.
	fillTalking = 4
	fillFrames  = 4
	fillBytes   = 300
)

// journaledLimit is when a session that ought to be in the journal counts as
// missing. It is there after WSR_PERSIST_AFTER.
const journaledLimit = 30 * time.Second

// fillJournal writes n sessions the way a sidecar does: the claim, and then a
// snapshot.
func fillJournal(ctx context.Context, j store.Store, n int) error {
	var next atomic.Int64
	return load.Each(fillWidth, func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			if err := fillOne(ctx, j, i); err != nil {
				return fmt.Errorf("bench: session %d of the journal: %w", i+1, err)
			}
		}
	})
}

func fillOne(ctx context.Context, j store.Store, i int) error {
	var id store.ID
	rand.Read(id[:])
	rec := store.Record{Kind: store.Claim, Epoch: 1, Owner: "10.0.0.1:15801", Writer: store.NewWriter(), Subprotocol: "chat"}
	rev, err := j.Append(ctx, id, 0, &rec)
	if err != nil {
		return err
	}
	rec.Kind, rec.N, rec.InAcked, rec.OutAcked = store.Snapshot, 1, 20, 100
	rec.OutHead = rec.OutAcked
	if i%fillTalking == 0 {
		payload := make([]byte, fillBytes)
		rand.Read(payload)
		for range fillFrames {
			rec.OutHead++
			data := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, payload)
			rec.Frames = append(rec.Frames, store.Frame{Seq: rec.OutHead, Data: data})
		}
	}
	_, err = j.Append(ctx, id, rev, &rec)
	return err
}

// awaitJournaled waits until the unread message of every session is in the
// journal.
func awaitJournaled(p *rig.Pods, r *rig.Rig, f load.Clients) error {
	limit := time.Now().Add(journaledLimit)
	for i, c := range f {
		for {
			state, err := p.Journal.Load(r.Ctx, store.ID(c.Welcome.Session))
			if err == nil && len(state.Frames) == 1 {
				break
			}
			if time.Now().After(limit) || r.Ctx.Err() != nil {
				return p.Failure(errors.Join(fmt.Errorf("bench: session %d is not in the journal", i+1), err))
			}
			time.Sleep(rig.ReadyPoll)
		}
	}
	return nil
}
