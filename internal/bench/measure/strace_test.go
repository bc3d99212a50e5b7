package measure

import (
	"slices"
	"testing"
)

const straceText = `strace: Process 5 attached
% time     seconds  usecs/call       calls    errors syscall
------ ----------- ----------- ----------- --------- ----------------
 60.00    0.600000           6      100000           write
 30.00    0.300000           2      150000        12 read
 10.00    0.100000          50        2000           epoll_pwait
  0.00    0.000000           0           3           futex
------ ----------- ----------- ----------- --------- ----------------
100.00    1.000000                  252003        12 total
`

func TestParseStrace(t *testing.T) {
	got, err := ParseStrace([]byte(straceText))
	if err != nil {
		t.Fatal(err)
	}
	want := []callCount{{"read", 150000}, {"write", 100000}, {"epoll_pwait", 2000}, {"futex", 3}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if text := PerMessage(got, 100_000); text != "read 1.500, write 1.000, epoll_pwait 0.020" {
		t.Errorf("got %q", text)
	}
	if _, err := ParseStrace([]byte("1 2 3 many write")); err == nil {
		t.Error("no error for a count that is none")
	}
}

func FuzzParseStrace(f *testing.F) {
	f.Add([]byte(straceText))
	f.Fuzz(func(t *testing.T, text []byte) {
		counts, err := ParseStrace(text)
		for i, c := range counts {
			if err != nil || c.calls < 0 || c.name == "" || i > 0 && counts[i-1].calls < c.calls {
				t.Fatalf("%v, %v", counts, err)
			}
		}
	})
}
