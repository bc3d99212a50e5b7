package endtoend

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/keyring"
)

// deviceCuts is how often each device is cut: `make devices` does it twenty times, and
// drains pods too.
var deviceCuts = flag.Int("cuts", 3, "how often each of three devices is cut")

// TestDevicesAcrossKills: three devices write through three pods in processes of their
// own, are cut again and again, and meanwhile one pod after the other is killed, or
// drained. All devices hear one log and end with one state, byte for byte, which one that
// joins then hears too; and what each said reached the app in its order, and where
// nothing was killed once.
func TestDevicesAcrossKills(t *testing.T) {
	for _, kills := range []bool{true, false} {
		if !kills && *deviceCuts < 20 {
			continue
		}
		t.Run(map[bool]string{false: "drained", true: "killed"}[kills], func(t *testing.T) {
			t.Parallel()
			devicesAcross(t, kills)
		})
	}
}

func devicesAcross(t *testing.T, kills bool) {
	const devices = 3
	cuts := max(*deviceCuts, 3)
	each := 5 + 3*cuts
	f := newProcesses(t, "WSR_ADOPT=always", "WSR_TOKEN_KEYS="+base64.StdEncoding.EncodeToString(keyring.Generate()),
		"WSR_SHARE=/board=cookie:sid", "WSR_STATE_RULES="+cardRules)
	app := newCards()
	f.app.Close()
	f.app = httptest.NewServer(app)
	t.Cleanup(f.app.Close)
	for range 3 {
		f.add(&binary, nil)
	}
	join := func(i int) *viewer {
		o := asUser("alice")
		o.Share, o.Backoff = true, client.Backoff{Max: 200 * time.Millisecond}
		c, _, err := client.Dial(t.Context(), "ws://"+f.balancer.Addr(i)+"/board", o) //nolint:bodyclose // need not be closed
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		return &viewer{podClient: &podClient{Conn: c, t: t}, state: map[string]string{}}
	}
	var all []*viewer
	for i := range devices {
		all = append(all, join(i))
	}
	end := func(line string) bool { return strings.Contains(line, `"end"`) }
	heard := make([][]string, devices)
	var writers, readers sync.WaitGroup
	for i, v := range all {
		writers.Go(func() {
			for n := range each {
				m := card{"card", fmt.Sprint(n % 7), 0, fmt.Sprintf("d%d-%d", i, n+1)}
				if err := v.Write(t.Context(), client.MessageText, []byte(m.String())); err != nil {
					t.Errorf("device %d: %v", i, err)
					return
				}
				time.Sleep(80 * time.Millisecond)
			}
		})
		readers.Go(func() { heard[i] = v.hearsUntil(t, end) })
	}
	for cut := range cuts {
		time.Sleep(200 * time.Millisecond)
		f.balancer.Cut(faultlink.RST, 1, "")
		if cut%(cuts/3) != 0 || cut/(cuts/3) > 2 {
			continue
		}
		f.mu.Lock()
		s := f.ready[cut/(cuts/3)]
		f.mu.Unlock()
		if !kills {
			if err := s.Drain(t.Context(), processLimit); err != nil {
				t.Error(err)
			}
		}
		s.Kill()
		if err := s.Start(t.Context(), &f.starter); err != nil {
			t.Fatal(err)
		}
	}
	writers.Wait()
	for i, v := range all {
		for until := time.Now().Add(processLimit); v.Unacked() > 0; time.Sleep(processLook) {
			if time.Now().After(until) {
				t.Fatalf("device %d: %d messages do not arrive: %s", i, v.Unacked(), v.told())
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	if err := all[0].WriteAcked(ctx, client.MessageText, []byte(card{"card", "end", 0, ""}.String())); err != nil {
		t.Fatal(err)
	}
	readers.Wait()
	for i, v := range all {
		if !slices.Equal(heard[i], heard[0]) {
			t.Errorf("device %d heard %d lines, and device 0 heard %d others", i, len(heard[i]), len(heard[0]))
		}
		if fmt.Sprint(v.state) != fmt.Sprint(all[0].state) {
			t.Errorf("device %d ends with %v, and device 0 with %v", i, v.state, all[0].state)
		}
		if told := v.told(); strings.Contains(told, "reset") || strings.Count(told, "full") > 1 {
			t.Errorf("device %d was told %q", i, told)
		}
	}
	late := join(0)
	if err := late.WriteAcked(ctx, client.MessageText, []byte(card{"note", "", 0, "late"}.String())); err != nil {
		t.Fatal(err)
	}
	late.hearsUntil(t, func(line string) bool { return strings.Contains(line, "late") })
	if fmt.Sprint(late.state) != fmt.Sprint(all[0].state) {
		t.Errorf("a device that joins then knows %v, and the others %v", late.state, all[0].state)
	}
	app.judge(t, heard[0], devices, each, kills)
}

// judge wants what each device said in its order in the app's log, once if nothing was
// killed, and what the devices heard to be that log, of which a killed pod may have
// taken some with it.
func (a *cards) judge(t *testing.T, heard []string, devices, each int, kills bool) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	last := make([]int, devices)
	for _, line := range a.log {
		var m card
		var d, n int
		_ = json.Unmarshal([]byte(line), &m)
		if c, _ := fmt.Sscanf(m.Text, "d%d-%d", &d, &n); c != 2 {
			continue
		}
		if n != last[d]+1 && !(kills && n <= last[d]) {
			t.Errorf("device %d: the app heard message %d behind %d", d, n, last[d])
		}
		last[d] = max(last[d], n)
	}
	for d, n := range last {
		if n != each {
			t.Errorf("device %d: the app heard %d messages, want %d", d, n, each)
		}
	}
	at := 0
	for _, line := range heard {
		for at < len(a.log) && a.log[at] != line {
			at++
		}
		if at == len(a.log) {
			t.Fatalf("the devices heard %q, which the app did not say, or not there", line)
		}
		at++
	}
	t.Logf("the app heard %d messages, and the devices %d of them", len(a.log), len(heard))
	if !kills && len(heard) != len(a.log)-1 { // the last is the late one's
		t.Errorf("the devices heard %d of %d lines", len(heard), len(a.log)-1)
	}
}
