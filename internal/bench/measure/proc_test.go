package measure

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const tail = " S 1 7 7 0 -1 4194560 900 0 0 0 250 131 0 0 20 0 8 0 5107 1 2 3\n"
	for _, name := range []string{"nginx", "a) R 9", "((", ""} {
		got, err := parseStat([]byte("42 (" + name + ")" + tail))
		if want := 3810 * time.Millisecond; err != nil || got != want {
			t.Errorf("name %q: %v, %v; want %v", name, got, err, want)
		}
	}
	for _, bad := range []string{"", "42 (x) S 1 2 3", "42 (x) S 1 7 7 0 -1 4 9 0 0 0 x 131", "42 (x) S 1 7 7 0 -1 4 9 0 0 0 -5 131"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: %v, want an error", bad, got)
		}
	}
}

func TestParseSchedstat(t *testing.T) {
	if got, err := parseSchedstat([]byte("96794 6779493 2\n")); err != nil || got != 96794 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "1 2", "x 1 2", "-1 1 2", "1 2 3 4"} {
		if got, err := parseSchedstat([]byte(bad)); err == nil {
			t.Errorf("%q: %v, want an error", bad, got)
		}
	}
}

func TestParseResident(t *testing.T) {
	got, err := parseResident([]byte("Name:\tVmRSS:\nVmHWM:\t    9 kB\nVmRSS:\t   12 kB\nThreads:\t8\n"))
	if err != nil || got != 12<<10 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "VmRSS: 12\n", "VmRSS: 12 MB\n", "VmRSS: -1 kB\n"} {
		if got, err := parseResident([]byte(bad)); err == nil {
			t.Errorf("%q: %d, want an error", bad, got)
		}
	}
}

func TestParseModel(t *testing.T) {
	for text, want := range map[string]string{
		"processor\t: 0\nmodel name\t: Some CPU: 3 GHz\nmodel name\t: Other\n": "Some CPU: 3 GHz",
		"Processor: arm\n": "unknown",
	} {
		if got := ParseModel([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// The real files of this process parse, and its time moves on.
func TestOwnProcess(t *testing.T) {
	before, err := CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for x := 0; after == before; x++ {
		if after, err = CPUTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if after < before {
		t.Errorf("time went from %v to %v", before, after)
	}
	if rss, err := Resident(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("resident %d, %v", rss, err)
	}
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseStat(b); err != nil {
		t.Error(err)
	}
}

// No text makes a parser panic or give a negative number.
func FuzzProc(f *testing.F) {
	for _, file := range []string{"stat", "schedstat", "status"} {
		b, err := os.ReadFile("/proc/self/" + file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("1 (x)) S 1 7 7 0 -1 4 9 0 0 0 9223372036854775807 9223372036854775807"))
	f.Add([]byte("VmRSS: 9223372036854775807 kB"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := parseStat(b); d < 0 || err != nil && d != 0 {
			t.Errorf("parseStat: %v, %v", d, err)
		}
		if d, err := parseSchedstat(b); d < 0 || err != nil && d != 0 {
			t.Errorf("parseSchedstat: %v, %v", d, err)
		}
		if n, err := parseResident(b); n < 0 || err != nil && n != 0 {
			t.Errorf("parseResident: %v, %v", n, err)
		}
		ParseModel(b)
	})
}
