package snapshot

import (
	"fmt"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// maxProtocols bounds WSR_APP_PROTOCOL, which every handshake walks.
const maxProtocols = 64

// A Policy is what is configured: rules and presets by path. It is immutable
// and safe for concurrent use. A nil Policy covers nothing.
type Policy struct {
	rules   []*rule
	presets []placed
	life    time.Duration
}

// placed is a preset and where it applies.
type placed struct {
	at pathpattern.Pattern
	protocol
}

// New reads the configuration: rules is the JSON of WSR_SNAPSHOT_RULES or
// empty, protocols is WSR_APP_PROTOCOL or empty, and ttl is the session's TTL,
// after which no older copy of a snapshot can be anywhere. Errors say what was
// given and what is allowed.
func New(rules []byte, protocols string, ttl time.Duration) (*Policy, error) {
	g := &Policy{life: ttl}
	var err error
	if len(rules) > 0 {
		if g.rules, err = parseRules(rules); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
	}
	if g.presets, err = parseProtocols(protocols); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return g, nil
}

// parseProtocols reads a preset's name, which is for all paths, or a list of
// path=preset. The first that covers a path is used.
func parseProtocols(text string) ([]placed, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	if !strings.Contains(text, "=") {
		text = "*=" + text
	}
	list := strings.Split(text, ",")
	if len(list) > maxProtocols {
		return nil, fmt.Errorf("%d protocols: at most %d", len(list), maxProtocols)
	}
	var all []placed
	for _, item := range list {
		path, name, ok := strings.Cut(item, "=")
		if !ok {
			return nil, fmt.Errorf("protocol %q: want path=protocol, or one protocol for all paths", item)
		}
		at, err := parsePattern(path)
		if err != nil {
			return nil, err
		}
		p, err := protocolOf(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		all = append(all, placed{at, p})
	}
	return all, nil
}

// Covers tells whether sessions on path, which is a request's decoded URL
// path, have a snapshot.
func (g *Policy) Covers(path string) bool {
	if g == nil {
		return false
	}
	for _, p := range g.presets {
		if p.at.Match(path) {
			return true
		}
	}
	for _, r := range g.rules {
		if r.path.Match(path) {
			return true
		}
	}
	return false
}

// Tracker returns a new Tracker for a session on path, or nil if the path is not
// covered.
func (g *Policy) Tracker(path string) *Tracker {
	if !g.Covers(path) {
		return nil
	}
	k := &Tracker{life: g.life}
	for _, r := range g.rules {
		if r.path.Match(path) {
			k.rules = append(k.rules, r)
		}
	}
	for _, p := range g.presets {
		if p.at.Match(path) {
			k.protocol = p.protocol
			k.preset = p.start()
			break
		}
	}
	return k
}
