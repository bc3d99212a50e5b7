// Package settings reads and judges the settings of an agent. It is apart from the
// agent so that the injector, which checks them before it makes a pod, does not
// link it.
package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/wsresilience/wsresilience/internal/config"
)

// Settings of an agent, from the environment. The tag doc is the text of the
// help and of docs/AGENT.md.
type Settings struct {
	Listen      string          `env:"WSR_AGENT_LISTEN" envDefault:"127.0.0.1:15880" doc:"Where the program connects to: host:port, or unix: and a path. An address that is not loopback opens the server to whoever reaches it."`
	TCP         string          `env:"WSR_AGENT_TCP_LISTEN" doc:"A second address, host:port, for programs that speak a protocol over TCP which its servers also speak over WebSocket, such as MQTT: each connection becomes a WebSocket, and what it says binary messages. Empty: none."`
	TCPPath     string          `env:"WSR_AGENT_TCP_PATH" envDefault:"/mqtt" doc:"The path, and maybe the query, that such connections have at the server."`
	TCPProtocol string          `env:"WSR_AGENT_TCP_PROTOCOL" envDefault:"mqtt" doc:"The subprotocol that they offer. Empty: none. Of mqtt each packet is a message; of others each piece that is read."`
	Target      string          `env:"WSR_AGENT_TARGET" doc:"The server, as wss://app.example.com. The program's path and query follow."`
	CA          config.File     `env:"WSR_AGENT_CA" doc:"Certificate authorities (PEM) that the server is checked against. Empty: those of the system."`
	Data        string          `env:"WSR_AGENT_DATA" doc:"Folder of the outboxes, which has to be there. Empty: nothing outlives the agent."`
	Continue    config.Patterns `env:"WSR_AGENT_CONTINUE" pod:"author" doc:"Paths on which a program that comes back without having closed, or comes to an agent that was killed, goes on with its session: for programs that send, and do not log in on each connection. Needs WSR_AGENT_DATA."`
	KeyFile     config.File     `env:"WSR_AGENT_KEY_FILE" doc:"File with 32 bytes in hexadecimal that seal the outboxes. Empty: they are not sealed."`
	MaxMessages int             `env:"WSR_AGENT_MAX_MESSAGES" pod:"author" envDefault:"100000" doc:"Messages that wait for one program at most; then it is not read."`
	MaxBytes    config.Bytes    `env:"WSR_AGENT_MAX_BYTES" pod:"author" envDefault:"64MiB" doc:"The same in bytes."`
	MaxAge      time.Duration   `env:"WSR_AGENT_MAX_AGE" pod:"author" envDefault:"0s" doc:"How old a message may be when a session goes on after the agent was away; an older one is dropped. 0s: no limit."`
	PowerLoss   bool            `env:"WSR_AGENT_POWER_LOSS" pod:"author" envDefault:"false" doc:"Whether messages wait for the disk, so that they survive the loss of power too."`
	Offline     string          `env:"WSR_AGENT_OFFLINE" pod:"author" envDefault:"refuse" doc:"What a program gets while the server is out of reach: refuse (502), or accept: it is connected, with the first subprotocol that it offers, and not read until the server is there."`
	Origins     []string        `env:"WSR_AGENT_ORIGINS" pod:"author" doc:"Origins of pages that may connect, comma-separated. Empty: no browser may, since any page could."`
	Admin       string          `env:"WSR_AGENT_ADMIN_LISTEN" envDefault:"127.0.0.1:15882" doc:"Status page, /metrics and /readyz: host:port. off: none."`
	LogLevel    string          `env:"WSR_AGENT_LOG_LEVEL" pod:"author" envDefault:"info" doc:"debug, info, warn or error."`
}

// Load reads the settings. The error names each variable that is wrong, with
// what was given and what is allowed.
func Load(environ []string) (*Settings, error) {
	s, err := Validate(environ)
	if err != nil {
		return s, err
	}
	return s, s.checkFolder()
}

// Validate is Load for settings that are for another machine: the folder is not
// looked for.
func Validate(environ []string) (*Settings, error) {
	s := &Settings{}
	values := env.ToMap(environ)
	if err := env.ParseWithOptions(s, env.Options{Environment: values}); err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	problems := []error{s.checkTarget(), s.checkListen(), s.checkTCP(), s.checkRest()}
	known := map[string]bool{}
	for _, v := range Variables() {
		known[v.Name] = true
	}
	for name := range values {
		if strings.HasPrefix(name, "WSR_AGENT_") && !known[name] {
			problems = append(problems, fmt.Errorf("%s: there is no such setting", name))
		}
	}
	return s, errors.Join(problems...)
}

func (s *Settings) checkTarget() error {
	u, err := url.Parse(s.Target)
	switch {
	case s.Target == "":
		return errors.New("WSR_AGENT_TARGET: is required and not set; it is the server, as wss://app.example.com")
	case err != nil || u.Host == "" || u.RawQuery != "" || u.User != nil:
		return fmt.Errorf("WSR_AGENT_TARGET: %q: want wss://host, ws://host or one with a path", s.Target)
	case u.Scheme != "ws" && u.Scheme != "wss":
		return fmt.Errorf("WSR_AGENT_TARGET: %q: want ws or wss", s.Target)
	}
	return nil
}

func (s *Settings) checkListen() error {
	if path, ok := strings.CutPrefix(s.Listen, "unix:"); ok {
		if path == "" {
			return errors.New("WSR_AGENT_LISTEN: unix: without a path")
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		return fmt.Errorf("WSR_AGENT_LISTEN: %q: want host:port, or unix: and a path", s.Listen)
	}
	return nil
}

func (s *Settings) checkTCP() error {
	if s.TCP == "" {
		return nil
	}
	var problems []error
	if _, _, err := net.SplitHostPort(s.TCP); err != nil {
		problems = append(problems, fmt.Errorf("WSR_AGENT_TCP_LISTEN: %q: want host:port", s.TCP))
	}
	if s.TCP == s.Listen {
		problems = append(problems, fmt.Errorf("WSR_AGENT_TCP_LISTEN: %q is WSR_AGENT_LISTEN, where programs speak WebSocket", s.TCP))
	}
	if u, err := url.ParseRequestURI(s.TCPPath); err != nil || !strings.HasPrefix(s.TCPPath, "/") || u.Host != "" {
		problems = append(problems, fmt.Errorf("WSR_AGENT_TCP_PATH: %q: want a path, as /mqtt", s.TCPPath))
	}
	if strings.ContainsAny(s.TCPProtocol, " ,;/\"\t") || strings.HasPrefix(s.TCPProtocol, "wsr") {
		problems = append(problems, fmt.Errorf("WSR_AGENT_TCP_PROTOCOL: %q: want the name of one subprotocol that is not ours, as mqtt", s.TCPProtocol))
	}
	return errors.Join(problems...)
}

func (s *Settings) checkFolder() error {
	if s.Data == "" {
		return nil
	}
	if info, err := os.Stat(s.Data); err != nil {
		return fmt.Errorf("WSR_AGENT_DATA: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("WSR_AGENT_DATA: %s is no folder", s.Data)
	}
	return nil
}

func (s *Settings) checkRest() error {
	var problems []error
	fail := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(s.Continue) > 0 && s.Data == "" {
		fail("WSR_AGENT_CONTINUE: needs WSR_AGENT_DATA, where the sessions are kept")
	}
	if err := new(slog.LevelVar).UnmarshalText([]byte(s.LogLevel)); err != nil {
		fail("WSR_AGENT_LOG_LEVEL: %q: want debug, info, warn or error", s.LogLevel)
	}
	if s.MaxMessages < 1 || s.MaxBytes < 1 {
		fail("WSR_AGENT_MAX_MESSAGES and WSR_AGENT_MAX_BYTES: want 1 at least")
	}
	if s.Offline != "refuse" && s.Offline != "accept" {
		fail("WSR_AGENT_OFFLINE: %q: want refuse or accept", s.Offline)
	}
	if s.Admin != "off" {
		if _, _, err := net.SplitHostPort(s.Admin); err != nil {
			fail("WSR_AGENT_ADMIN_LISTEN: %q: want host:port, or off", s.Admin)
		}
	}
	return errors.Join(problems...)
}

// Exposed returns the addresses at which others than programs of this machine reach
// the agent.
func (s *Settings) Exposed() (list []string) {
	for _, address := range []string{s.Listen, s.TCP} {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			continue // a Unix socket, or none
		}
		ip, err := netip.ParseAddr(host)
		if host != "localhost" && (err != nil || !ip.IsLoopback()) {
			list = append(list, address)
		}
	}
	return list
}

// A Variable is one setting as the documentation has it.
type Variable struct {
	Name, Default, Doc string

	// Pod: in a pod it is for the author of the pod to say. The injector decides
	// the others.
	Pod bool
}

// Variables lists all settings.
func Variables() []Variable {
	var list []Variable
	for f := range reflect.TypeFor[Settings]().Fields() {
		list = append(list, Variable{Name: f.Tag.Get("env"), Default: f.Tag.Get("envDefault"), Doc: f.Tag.Get("doc"), Pod: f.Tag.Get("pod") == "author"})
	}
	return list
}

// Markdown is the table of the settings.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| setting | default | |\n|---|---|---|\n")
	for _, v := range Variables() {
		standard := ""
		if v.Default != "" {
			standard = "`" + v.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.Name, standard, v.Doc)
	}
	return b.String()
}
