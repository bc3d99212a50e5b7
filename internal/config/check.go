package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// bounds checks every value against the bounds of its field. A default needs
// none: a test holds them against the same bounds.
func (l *loader) bounds() {
	for i := range l.fields {
		f := &l.fields[i]
		if f.min == "" || !l.given[f.variable] || l.bad[f.variable] {
			continue
		}
		switch n := f.number(l.cfg); {
		case n < f.bound(f.min):
			l.fail(f, "too small")
		case n > f.bound(f.max):
			l.fail(f, "too large")
		}
	}
}

// files checks every file that is named, and reads the keys from theirs.
func (l *loader) files() {
	for i := range l.fields {
		f := &l.fields[i]
		if f.typ != reflect.TypeFor[File]() || !l.given[f.variable] || l.bad[f.variable] {
			continue
		}
		file := File(l.values[f.variable])
		loose, err := file.check()
		if err != nil {
			l.fail(f, err.Error())
			continue
		}
		// In a pod the kubelet makes the files root's, so that only what every user
		// can read is ours to read; and a container has no other users.
		if loose && f.private && l.podIP == "" {
			l.warn("%s: every user can read %q; mode 0400 (in Kubernetes defaultMode: 0400) is safer.", f.variable, string(file))
		}
		if f.variable == "WSR_ADMIN_TOKEN_FILE" && l.cfg.OperatorToken() == "" {
			l.fail(f, "no token of 16 characters or more in it")
		}
		if f.variable == "WSR_TOKEN_KEYS_FILE" && !l.given["WSR_TOKEN_KEYS"] {
			l.readKeys(f, file)
		}
	}
	l.readRules()
}

func (l *loader) readKeys(f *field, file File) {
	keys, err := KeysOf(file)
	l.cfg.TokenKeys = keys
	if err != nil {
		l.fail(f, err.Error())
		l.problems[len(l.problems)-1].Allowed = Keys{}.Allowed() + " or one per line"
	}
}

// contradictions checks what two settings say together.
func (l *loader) contradictions() {
	c := l.cfg
	for _, rule := range []struct {
		broken bool
		why    string
		names  []string
	}{
		{c.WindowBytes > c.MemoryBudget, "one window is larger than the budget for all of them",
			[]string{"WSR_WINDOW_BYTES", "WSR_MEMORY_BUDGET"}},
		// A message may well be larger than the window: I6 counts one message
		// per direction beyond it. It only has to fit in memory.
		{c.MaxMessage > c.MemoryBudget, "one message is larger than the budget for all windows",
			[]string{"WSR_MAX_MESSAGE", "WSR_MEMORY_BUDGET"}},
		{c.HeartbeatMin > c.HeartbeatMax, "the least time between heartbeats is above the most",
			[]string{"WSR_HEARTBEAT_MIN", "WSR_HEARTBEAT_MAX"}},
		{c.HeartbeatBase > c.HeartbeatMax, "the usual time between heartbeats is above the most",
			[]string{"WSR_HEARTBEAT_BASE", "WSR_HEARTBEAT_MAX"}},
		{c.SessionTTL < c.HeartbeatMax, "a session would expire before one heartbeat",
			[]string{"WSR_SESSION_TTL", "WSR_HEARTBEAT_MAX"}},
		{c.SessionTTLGoingAway > c.SessionTTL, "a client that left with 1001 would have longer to come back than any other",
			[]string{"WSR_SESSION_TTL_GOING_AWAY", "WSR_SESSION_TTL"}},
		{(c.TLSCert == "") != (c.TLSKey == ""), "one is of no use without the other",
			[]string{"WSR_TLS_CERT", "WSR_TLS_KEY"}},
		{(c.PeerCert == "") != (c.PeerKey == "") || (c.PeerCert == "") != (c.PeerCA == ""), "each is of no use without the other two",
			[]string{"WSR_PEER_CERT", "WSR_PEER_KEY", "WSR_PEER_CA"}},
		{c.ResumeAuth != "" && c.TokenBind.loose(), "the app could not be asked about the path and Host that the session began with: leave out any-path and any-host, or do not ask",
			[]string{"WSR_RESUME_AUTH", "WSR_TOKEN_BIND"}},
		{c.ReauthEvery != 0 && c.ResumeAuth == "", "nobody could be asked", []string{"WSR_REAUTH_EVERY", "WSR_RESUME_AUTH"}},
		{c.ReauthEvery != 0 && c.ReauthEvery < time.Second, "the app would be asked more than once a second about each client",
			[]string{"WSR_REAUTH_EVERY"}},
		{c.NATSCreds != "" && c.NATSNKey != "", "two ways to log in, only one can be used",
			[]string{"WSR_NATS_CREDS", "WSR_NATS_NKEY"}},
		{l.given["WSR_TOKEN_KEYS"] && l.given["WSR_TOKEN_KEYS_FILE"], "two lists of keys, only one can be used",
			[]string{"WSR_TOKEN_KEYS", "WSR_TOKEN_KEYS_FILE"}},
	} {
		if rule.broken {
			l.conflict(rule.why+" ("+l.describe(rule.names)+")", rule.names...)
		}
	}
	l.needsServer()
	l.refuseLoops()
}

// describe lists settings with their values, those that hold by default too.
func (l *loader) describe(names []string) string {
	var list []string
	for i := range l.fields {
		f := &l.fields[i]
		if !slices.Contains(names, f.variable) {
			continue
		}
		value := f.text(l.cfg)
		switch {
		case value == "":
			value = "not set"
		case !l.given[f.variable]:
			value += " by default"
		}
		list = append(list, f.variable+" is "+value)
	}
	return strings.Join(list, ", ")
}

// needsServer refuses settings of an external NATS without its address.
func (l *loader) needsServer() {
	if l.given["WSR_NATS_URL"] {
		return
	}
	for _, name := range []string{"WSR_NATS_CREDS", "WSR_NATS_NKEY", "WSR_NATS_CA", "WSR_NATS_REPLICAS"} {
		if l.given[name] {
			l.conflict("set, but the journal is embedded unless WSR_NATS_URL is set too", name, "WSR_NATS_URL")
		}
	}
}

// defaultReplicas survive the loss of one server.
const defaultReplicas = 3

// derive fills in what depends on other settings or on the machine.
func (l *loader) derive() {
	c := l.cfg
	if len(l.problems) > 0 {
		return
	}
	if c.NATSReplicas == 0 {
		c.NATSReplicas = defaultReplicas
		if c.Embedded() {
			c.NATSReplicas = 1
		}
	}
	if len(c.TokenKeys) == 0 {
		c.TokenKeys.generate() // what that costs depends on who keeps it: see KeysGenerated
	}
	if c.Advertise == "" {
		c.Advertise = l.advertise()
	}
	l.lint()
}
