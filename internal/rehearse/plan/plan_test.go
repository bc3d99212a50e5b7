package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
)

func TestParse(t *testing.T) {
	list, err := Parse(`
# later lines may come earlier
30s  hook timeout=90s -- kubectl delete pod "my app" # is of the command
5s   cut fin share=25%
every 10s until=25s  silence for=2s
40s  loss percent=5% latency=100ms jitter=5ms for=1m
50s  do roll
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range list {
		got = append(got, f.At.String()+" "+f.Text)
	}
	want := "5s cut fin share=25%|10s silence for=2s|20s silence for=2s|" +
		`30s hook timeout=90s -- kubectl delete pod "my app" # is of the command|40s loss percent=5% latency=100ms jitter=5ms for=1m|50s do roll`
	if strings.Join(got, "|") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, "|"), want)
	}
	if f := list[0]; f.How != faultlink.FIN || f.Share != 0.25 {
		t.Errorf("%+v", f)
	}
	if f := list[3]; f.Timeout != 90*time.Second || f.Command[0] != "sh" {
		t.Errorf("%+v", f)
	}
	if f := list[4]; f.Percent != 5 || f.Latency != 100*time.Millisecond || f.End() != 100*time.Second {
		t.Errorf("%+v", f)
	}
	if !NeedsPackets(list) || NeedsPackets(list[:4]) || Length(list) != 100*time.Second {
		t.Errorf("needs packets, %v long", Length(list))
	}
}

func TestDefault(t *testing.T) {
	list, err := Load("default")
	if err != nil || len(list) != 9 || NeedsPackets(list) {
		t.Errorf("%d faults: %v", len(list), err)
	}
	if list, err := Load("none"); err != nil || list != nil {
		t.Errorf("none: %v %v", list, err)
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"soon cut":                            "want a time",
		"1s":                                  "what happens",
		"1s burn":                             "there is no fault",
		"1s cutt rst":                         "there is no fault",
		"1s cut hard":                         "allowed are rst",
		"1s cut rst for=2s":                   "does not last",
		"1s silence":                          "for how long",
		"1s delay for=1s":                     "latency=TIME",
		"1s loss for=1s":                      "percent=",
		"1s loss for=1s percent=200%":         "share such as",
		"1s slow for=1s":                      "rate=BYTES",
		"1s hook":                             "hook -- COMMAND",
		"1s cut rst -- ls":                    "hook -- COMMAND",
		"1s cut color=red":                    "allowed are share=",
		"1s do":                               "do what",
		"1s delay for=1s latency=1s share=5%": "for all",
		"every 1s cut rst":                    "until=TIME",
		"every 1ms until=1h cut rst":          "at most",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{
		"1s delay for=9s latency=1s\n5s loss for=1s percent=1%", "1s silence for=2s\n2s silence for=2s share=5%", "every 1s until=9s slow for=2s rate=1",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), "at a time") {
			t.Errorf("two at a time: %v", err)
		}
	}
	if _, err := Parse("every 1s until=9s offline for=2s share=10%"); err != nil {
		t.Error(err)
	}
}
