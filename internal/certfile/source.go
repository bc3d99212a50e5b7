// Package certfile has certificates and authorities from files that are read again
// when they change, as those of a Secret that Kubernetes mounts do.
package certfile

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Poll is how often files are looked at, at most, and only when somebody connects
// or looks at metrics.
const Poll = time.Second

// A State is what an operator should know of files.
type State struct {
	NotAfter time.Time // when the certificate that is in use ends
	Invalid  bool      // the files cannot be used, so that those of before are
}

// A source is what some files say. It is safe for concurrent use.
type source[T any] struct {
	what  string // for the log
	files []string
	read  func() (T, error)
	log   *slog.Logger

	mu      sync.Mutex
	value   T             // the last good one
	tried   []os.FileInfo // the files as they were when last read
	broken  bool          // reading them failed, and that was logged
	checked time.Time
}

// newSource reads the files. read's errors name them and hold nothing of a key.
func newSource[T any](what string, files []string, log *slog.Logger, read func() (T, error)) (*source[T], error) {
	s := &source[T]{what: what, files: files, read: read, log: log}
	// Before reading: what changes in between is seen by the next look.
	tried, err := s.stat()
	if err != nil {
		return nil, err
	}
	if s.value, err = read(); err != nil {
		return nil, err
	}
	s.tried = tried
	return s, nil
}

// current returns the newest good value. What is half replaced or broken is left
// alone until it changes or becomes whole: an old certificate is better than none.
func (s *source[T]) current(now time.Time) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.currentLocked(now)
}

func (s *source[T]) currentLocked(now time.Time) T {
	if d := now.Sub(s.checked); d >= 0 && d < Poll {
		return s.value
	}
	s.checked = now
	files, err := s.stat()
	if err == nil {
		if s.same(files) && !s.broken {
			return s.value
		}
		s.tried = files
		var value T
		if value, err = s.read(); err == nil {
			s.value, s.broken = value, false
			s.log.Info(s.what+" reloaded", "file", s.files[0])
			return value
		}
	}
	if !s.broken {
		s.broken = true
		s.log.Error(s.what+" not reloaded, the old one stays in use", "error", err)
	}
	return s.value
}

// stat follows links, so that Kubernetes' swap of a whole directory is seen.
func (s *source[T]) stat() (infos []os.FileInfo, err error) {
	for _, name := range s.files {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("certfile: %w", err)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// same reports whether files are the ones that were read last.
func (s *source[T]) same(files []os.FileInfo) bool {
	for i, f := range files {
		old := s.tried[i]
		if !os.SameFile(old, f) || !old.ModTime().Equal(f.ModTime()) || old.Size() != f.Size() {
			return false
		}
	}
	return true
}
