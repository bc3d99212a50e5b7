package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/client/outbox"
)

// maxOutboxes is how many programs can be on one path at once.
const maxOutboxes = 256

// releaseWait is how long a program that comes waits for a file that another one
// has: it may be the same program, whose former connection is about to end.
const releaseWait = 250 * time.Millisecond

// openOutbox opens the first file of a path that no other program has: a program
// that comes back finds its own, if it is the only one there.
func (a *Agent) openOutbox(path string) (*outbox.Store, error) {
	name := sha256.Sum256([]byte(path))
	o := &outbox.Options{
		MaxBytes: int64(a.settings.MaxBytes), MaxMessages: a.settings.MaxMessages, MaxAge: a.settings.MaxAge,
		PowerLoss: a.settings.PowerLoss, Key: a.key,
	}
	until := time.Now().Add(releaseWait)
	for i := range maxOutboxes {
		file := filepath.Join(a.settings.Data, fmt.Sprintf("%s-%d.db", hex.EncodeToString(name[:8]), i))
		store, err := outbox.Open(file, o)
		for errors.Is(err, outbox.ErrInUse) && time.Now().Before(until) {
			time.Sleep(10 * time.Millisecond)
			store, err = outbox.Open(file, o)
		}
		if !errors.Is(err, outbox.ErrInUse) {
			return store, err
		}
	}
	return nil, fmt.Errorf("agent: %d programs are on %s, at most %d", maxOutboxes, path, maxOutboxes)
}
