package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxURLHosts bounds the list, which goes into every page.
const maxURLHosts = 32

// URLHosts is a comma-separated list of hosts as they stand in URLs, in small
// letters: with their port unless it is the usual one, or a port alone, as ":15674",
// for that of whatever host a page has.
type URLHosts []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *URLHosts) UnmarshalText(text []byte) error {
	list := strings.Split(strings.ToLower(string(text)), ",")
	if len(list) > maxURLHosts {
		return fmt.Errorf("%d hosts, at most %d", len(list), maxURLHosts)
	}
	for i, s := range list {
		list[i] = strings.TrimSpace(s)
		if err := checkURLHost(list[i]); err != nil {
			return fmt.Errorf("host %d %w", i+1, err)
		}
	}
	*h = list
	return nil
}

// checkURLHost returns what is wrong with one of them.
func checkURLHost(host string) error {
	u, err := url.Parse("ws://" + host)
	if err != nil || host == "" || u.Host != host || host[0] != '[' && strings.Contains(u.Hostname(), ":") || strings.ContainsAny(host, `*"'<>`) {
		return errors.New("is no host with or without a port; a URL has more")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return errors.New("has a port that is not a number from 1 to 65535")
		}
	}
	return nil
}

// Allowed describes the text form.
func (URLHosts) Allowed() string {
	return "comma-separated hosts as in URLs: feed.example.com, feed.example.com:8443, or :8443 for that port of the page's own"
}

// String returns the text form.
func (h URLHosts) String() string { return strings.Join(h, ",") }
