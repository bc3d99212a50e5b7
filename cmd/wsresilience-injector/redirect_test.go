package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/k8s/redirect"
)

func TestRedirectFlags(t *testing.T) {
	for _, tt := range []struct {
		args string
		want redirect.Rules
		err  string // a part of it; empty: none
	}{
		{"-from 8080", redirect.Rules{From: 8080, To: 15801, Probe: 15804}, ""},
		{"-from=8080 -to=15801 -probe=15804", redirect.Rules{From: 8080, To: 15801, Probe: 15804}, ""},
		{"-from 1 -to 65535 -probe 2", redirect.Rules{From: 1, To: 65535, Probe: 2}, ""},
		{"", redirect.Rules{}, "-from is missing"},
		{"-from 0", redirect.Rules{}, "from 1 to 65535"},
		{"-from 65536", redirect.Rules{}, "from 1 to 65535"},
		{"-from -1", redirect.Rules{}, "from 1 to 65535"},
		{"-from +80", redirect.Rules{}, "from 1 to 65535"},
		{"-from 8080;x", redirect.Rules{}, "from 1 to 65535"},
		{"-from http", redirect.Rules{}, "from 1 to 65535"},
		{"-from= -to 1", redirect.Rules{}, "from 1 to 65535"},
		{"-from 8080 -to 0", redirect.Rules{}, "from 1 to 65535"},
		{"-from 8080 -to 8080", redirect.Rules{}, "have to differ"},
		{"-from 8080 -probe 8080", redirect.Rules{}, "have to differ"},
		{"-from 8080 -probe 15801", redirect.Rules{}, "have to differ"},
		{"-from 15801", redirect.Rules{}, "have to differ"},
		{"-from 8080 8081", redirect.Rules{}, `argument "8081"`},
		{"-port 8080", redirect.Rules{}, "not defined: -port"},
	} {
		got, err := parseRedirect(strings.Fields(tt.args), io.Discard)
		switch {
		case tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("%q: %+v, %v; want %+v", tt.args, got, err, tt.want)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%q: error %v; want one with %q", tt.args, err, tt.err)
		}
	}
}

// TestRedirectRefuses stops at the flags, before it touches a kernel.
func TestRedirectRefuses(t *testing.T) {
	var out bytes.Buffer
	if code := redirectCommand([]string{"-from", "0"}, &out); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("an error of %d lines:\n%s", n, out.String())
	}
	out.Reset()
	if code := redirectCommand([]string{"-help"}, &out); code != exitOK {
		t.Errorf("-help: exit code %d, want %d", code, exitOK)
	}
	for _, name := range []string{"-from", "-to", "-probe", "15801", "15804"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("the help has no %s:\n%s", name, out.String())
		}
	}
}

// FuzzRedirectFlags: what is accepted are three different ports as they were
// written.
func FuzzRedirectFlags(f *testing.F) {
	f.Add("8080", "15801", "15804")
	f.Add("0", "65536", "-1")
	f.Add("08080", " 1", "1e3")
	f.Fuzz(func(t *testing.T, from, to, probe string) {
		rules, err := parseRedirect([]string{"-from", from, "-to", to, "-probe", probe}, io.Discard)
		if err != nil {
			if errors.Is(err, flag.ErrHelp) {
				t.Errorf("%q %q %q: taken for a call for help", from, to, probe)
			}
			return
		}
		if err := rules.Check(); err != nil {
			t.Errorf("%q %q %q: accepted, and then: %v", from, to, probe, err)
		}
		for given, got := range map[string]uint16{from: rules.From, to: rules.To, probe: rules.Probe} {
			if strings.TrimLeft(given, "0") != strconv.Itoa(int(got)) {
				t.Errorf("%q became %d", given, got)
			}
		}
	})
}
