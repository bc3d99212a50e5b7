package session

import (
	"bytes"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
)

// reconfigure changes the settings of what lives, as a driver does.
func (st *stage) reconfigure(change func(*Config)) {
	to := *st.s.Config()
	change(&to)
	st.s.Configure(st.now, st.s.Config().Retuned(&to))
	st.settle()
}

func (st *plainStage) reconfigure(change func(*Config)) {
	to := *st.p.Config()
	change(&to)
	st.p.Configure(st.now, st.p.Config().Retuned(&to))
	st.settle()
}

// The heartbeats of a session follow its settings: the next one comes as soon as
// those of now ask for it.
func TestConfigureHeartbeats(t *testing.T) {
	st := newStage(t)
	st.cfg.Heartbeat = &heartbeat.Config{Base: 4 * time.Minute, Max: 4 * time.Minute}
	st.do([]string{"new"})
	st.wait(time.Minute)
	if n := st.s.Counters().BeatsSent; n != 0 {
		t.Fatalf("%d heartbeats in the first minute of four", n)
	}
	st.reconfigure(func(c *Config) { c.Heartbeat = &heartbeat.Config{Base: 2 * time.Second} })
	st.wait(2 * time.Second)
	if n := st.s.Counters().BeatsSent; n != 1 {
		t.Errorf("%d heartbeats 2s after the change to 2s, want 1", n)
	}
	st.reconfigure(func(c *Config) { c.Heartbeat = &heartbeat.Config{Base: 2 * time.Second, Misses: 1} })
	st.wait(4 * time.Second)
	if st.s.Attached() {
		t.Error("with one miss allowed the client that never answers is still there")
	}
}

// Rates of a session that lives begin, change and end; nothing is lost, and what is
// paused goes on with the change.
func TestConfigureRates(t *testing.T) {
	text := ofClient(ws.OpText, true, []byte("0123456789"))
	flood := bytes.Repeat(text, 100)

	st := newStage(t)
	st.cfg.WindowBytes = 1 << 20
	st.do([]string{"new"})
	st.reconfigure(func(c *Config) { c.Rates.Messages = 1 })
	st.feedClient(flood)
	if left := len(st.clientIn) / len(text); left != 99 || !st.out.PauseClient {
		t.Fatalf("%d messages wait, paused: %v; want 99 behind the only one of a second", left, st.out.PauseClient)
	}
	st.reconfigure(func(c *Config) { c.WindowMessages = 77 }) // what was counted stays
	if !st.out.PauseClient {
		t.Error("a change of something else lets the client go on")
	}
	st.reconfigure(func(c *Config) { c.Rates.Messages = 20 })
	st.feedClient(nil)
	if left := len(st.clientIn) / len(text); left != 79 {
		t.Errorf("%d messages wait after the change to 20 a second, want 79", left)
	}
	st.reconfigure(func(c *Config) { c.Rates = Rates{} })
	st.feedClient(nil)
	if len(st.clientIn) > 0 || st.out.PauseClient {
		t.Errorf("%d bytes wait without rates, paused: %v", len(st.clientIn), st.out.PauseClient)
	}

	pl := newPlainStage(t, func(c *Config) { c.Rates.Messages = 1 })
	n := pl.fromClient(flood)
	if n != len(text) || !pl.out.PauseClient {
		t.Fatalf("%d bytes of a plain client pass, paused: %v; want one message", n, pl.out.PauseClient)
	}
	pl.reconfigure(func(c *Config) { c.Rates = Rates{} })
	for n < len(flood) {
		n += pl.fromClient(flood[n:])
	}
	if !bytes.Equal(pl.app, flood) || pl.out.PauseClient {
		t.Errorf("the app got %d bytes of %d, paused: %v", len(pl.app), len(flood), pl.out.PauseClient)
	}
}

// What a client was told when its session began stays: it may be sending just
// that.
func TestConfigureKeepsWhatWasPromised(t *testing.T) {
	st := newStage(t)
	st.do([]string{"new"})
	before := *st.s.Config()
	st.reconfigure(func(c *Config) {
		c.WindowBytes, c.WindowMessages, c.MaxMessage = 1, 1, 1
		c.Heartbeat = &heartbeat.Config{Base: time.Second}
	})
	now := *st.s.Config()
	if now.WindowBytes != before.WindowBytes || now.WindowMessages != before.WindowMessages || now.MaxMessage != before.MaxMessage {
		t.Errorf("windows of %d bytes and %d messages, messages of %d, want those that it began with", now.WindowBytes, now.WindowMessages, now.MaxMessage)
	}
	if now.Heartbeat.Base != time.Second {
		t.Errorf("heartbeats every %v, want those of the change", now.Heartbeat.Base)
	}
	st.feedClient(ofClient(ws.OpText, true, make([]byte, 300)))
	if !st.s.Attached() || len(st.clientIn) > 0 {
		t.Error("a message of the size that it was told is refused")
	}
	to := before
	if before.Retuned(&to) != &to {
		t.Error("without a change of limits sessions do not share the new settings")
	}
}

// Pings to plain clients begin and end with the setting.
func TestConfigurePings(t *testing.T) {
	st := newPlainStage(t, func(c *Config) { c.PlainHeartbeat = PlainOff })
	st.wait(time.Minute)
	st.reconfigure(func(c *Config) { c.PlainHeartbeat = PlainMeasure })
	st.wait(time.Minute)
	if n := len(st.pings()); n < 10 {
		t.Errorf("%d pings in the minute after they were switched on", n)
	}
	st.reconfigure(func(c *Config) { c.PlainHeartbeat = PlainOff })
	st.wait(time.Minute)
	if n := len(st.pings()); n != 0 || st.ended != 0 {
		t.Errorf("%d pings in the minute after they were switched off, ended %v", n, st.ended)
	}
	st.reconfigure(func(c *Config) { c.PlainHeartbeat = PlainEnforce })
	st.wait(time.Minute)
	if st.ended != EndedTimeout {
		t.Errorf("a client that never answers ended %v once that is enforced, want for want of heartbeats", st.ended)
	}
}
