package session

import (
	"testing"
	"time"
)

// An ended session whose journal is away is not kept for ever.
func TestEndIsNotToldForEver(t *testing.T) {
	st := newStage(t)
	st.do([]string{"new"})
	st.do([]string{"journal", "waits"})
	st.do([]string{"client", "cut"})
	st.do([]string{"journal", "fails"})
	st.wait(st.cfg.TTL + time.Second)
	told := 0
	for began := st.now; !st.s.Done(); told++ {
		if st.journal != nil {
			st.do([]string{"journal", "fails"})
		}
		if st.wait(retryMost); st.now.Sub(began) > 10*time.Minute {
			t.Fatalf("after %v the session still waits for its journal", st.now.Sub(began))
		}
	}
	if told < endTries/2 {
		t.Fatalf("the session gave up after %d tries", told)
	}
}
