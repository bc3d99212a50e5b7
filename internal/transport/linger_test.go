package transport

import (
	"testing"
	"time"
)

func TestLinger(t *testing.T) {
	for _, c := range []struct {
		name  string
		looks []Progress // one lingerClose apart
		over  time.Duration
	}{
		{"it has all", []Progress{{Acked: 9}}, lingerClose},
		{"it takes the rest in time", []Progress{{Acked: 5, Lacking: true}, {Acked: 9}}, 2 * lingerClose},
		{"it takes nothing more", []Progress{{Acked: 5, Lacking: true}}, lingerClose + lingerStalled},
		{"it takes some, and then nothing more", []Progress{{Acked: 5, Lacking: true}, {Acked: 6, Lacking: true}}, 2*lingerClose + lingerStalled},
		{"its host is gone", []Progress{{Acked: 5, Lacking: true}, {Acked: 5, Lacking: true, Unanswered: lingerUnanswered}}, 2 * lingerClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l linger
			began := time.Unix(1e9, 0)
			for at := lingerClose; ; at += lingerClose {
				look := c.looks[min(int(at/lingerClose), len(c.looks))-1]
				if l.over(began.Add(at), look, true, lingerStalled) {
					if at != c.over {
						t.Errorf("over after %v, want %v", at, c.over)
					}
					return
				}
			}
		})
	}
	l, began := new(linger), time.Unix(1e9, 0)
	if p := (Progress{Lacking: true}); l.over(began, p, true, time.Hour) || l.over(began.Add(time.Hour-1), p, true, time.Hour) || !l.over(began.Add(time.Hour), p, true, time.Hour) {
		t.Error("not waited for as long as is set")
	}
	if !new(linger).over(time.Unix(1e9, 0), Progress{Lacking: true}, false, lingerStalled) {
		t.Error("a socket that cannot tell is waited for")
	}
}
