package snapshot

import (
	"fmt"
	"strings"
	"testing"
)

func TestRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		play func(r *Requests)
		want Owed
	}{
		"none":                   {func(*Requests) {}, OwedNothing},
		"asked":                  {func(r *Requests) { r.Asked("a", true) }, OwedAnswer},
		"answered":               {func(r *Requests) { r.Asked("a", true); r.Answered("a") }, OwedNothing},
		"answered twice":         {func(r *Requests) { r.Asked("a", true); r.Answered("a"); r.Answered("a") }, OwedNothing},
		"asked twice":            {func(r *Requests) { r.Asked("a", true); r.Asked("a", true); r.Answered("a") }, OwedNothing},
		"asked again, perhaps":   {func(r *Requests) { r.Asked("a", true); r.Asked("a", false) }, OwedUnknown},
		"another's answer":       {func(r *Requests) { r.Asked("a", true); r.Answered("b") }, OwedAnswer},
		"perhaps":                {func(r *Requests) { r.Asked("a", false) }, OwedUnknown},
		"perhaps, and was":       {func(r *Requests) { r.Asked("a", false); r.Answered("a") }, OwedNothing},
		"perhaps, and certainly": {func(r *Requests) { r.Asked("a", false); r.Asked("b", true) }, OwedAnswer},
		"unclear":                {func(r *Requests) { r.Unclear() }, OwedUnknown},
		"unclear, and asked":     {func(r *Requests) { r.Unclear(); r.Asked("a", true) }, OwedAnswer},
		"all of a prefix":        {func(r *Requests) { r.Asked("a/1", true); r.Asked("a/2", false); r.AnsweredAll("a/") }, OwedNothing},
		"not of a prefix":        {func(r *Requests) { r.Asked("a/1", true); r.Asked("b/2", true); r.AnsweredAll("a/") }, OwedAnswer},
		"a long key":             {func(r *Requests) { r.Asked(strings.Repeat("k", maxRequestKey+1), true) }, OwedUnknown},
		"too many": {func(r *Requests) {
			for i := range maxRequests + 1 {
				r.Asked(fmt.Sprint(i), true)
			}
			r.AnsweredAll("")
		}, OwedUnknown},
	} {
		var r Requests
		if tc.play(&r); r.Owed() != tc.want || r.certain < 0 {
			t.Errorf("%s: %d owed, %d certain; want %d", name, r.Owed(), r.certain, tc.want)
		}
	}
}
