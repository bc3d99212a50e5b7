package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
)

func TestTrimIsDue(t *testing.T) {
	const mb = 1 << 20
	trimmed := &trimmer{cycles: 7}
	for _, step := range []struct {
		name string
		heap heap
		want bool
	}{
		{"as little as there can be", heap{7, 40 * mb, 40 * mb, 0}, false},
		{"an eighth and the least", heap{7, 40 * mb, 46 * mb, 0}, false},
		{"garbage", heap{7, 40 * mb, 46*mb + 1, 0}, true},
		{"not given back", heap{7, 40 * mb, 41 * mb, 6 * mb}, true},
		{"the collector is at work", heap{8, 40 * mb, 60 * mb, 0}, false},
		{"and now it is not", heap{8, 40 * mb, 60 * mb, 0}, true},
	} {
		if got := trimmed.due(step.heap); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}

func TestTrim(t *testing.T) {
	const size = 64 << 20
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody else is to collect it
	var pool sync.Pool
	pool.Put(new([size]byte))
	tr := newTrimmer()
	tr.due(tr.read())
	before := tr.read()
	if !tr.due(before) || before.objects < size {
		t.Fatalf("64 MB in a pool, and no trim is due: %+v", before)
	}
	trim()
	after := tr.read()
	if after.objects+after.free > before.objects-size*9/10 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	tr.due(after)
	if tr.due(tr.read()) {
		t.Errorf("a trim is due right behind another: %+v", tr.read())
	}
	runtime.KeepAlive(&pool)
}
