package config

import (
	"fmt"
	"strings"
)

// maxUpgrades bounds the list, which every request with Upgrade walks.
const maxUpgrades = 16

// Protocols is a comma-separated list of protocols to upgrade to, in small
// letters.
type Protocols []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (ps *Protocols) UnmarshalText(text []byte) error {
	list := strings.Split(strings.ToLower(string(text)), ",")
	if len(list) > maxUpgrades {
		return fmt.Errorf("%d protocols, at most %d", len(list), maxUpgrades)
	}
	for i, s := range list {
		list[i] = strings.TrimSpace(s)
		switch name, _, _ := strings.Cut(list[i], "/"); {
		case name == "" || strings.ContainsAny(list[i], " \t\r\n\"()<>@;:\\[]?={}"):
			return fmt.Errorf("protocol %d is no name of a protocol", i+1)
		case name == "websocket":
			return fmt.Errorf("protocol %d is WebSocket, which needs no setting", i+1)
		case name == "h2c":
			return fmt.Errorf("protocol %d is HTTP/2, which clients speak from the first byte on", i+1)
		}
	}
	*ps = list
	return nil
}

// Allowed describes the text form.
func (Protocols) Allowed() string { return "comma-separated names, as in Upgrade: SPDY/3.1, tcp" }

// String returns the text form.
func (ps Protocols) String() string { return strings.Join(ps, ",") }
