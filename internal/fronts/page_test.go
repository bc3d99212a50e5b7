//go:build nginx

package fronts

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const pagePath = "../../docs/PROXIES.md"

var nginxBlock = regexp.MustCompile("(?ms)^```nginx\n(.*?)^```$")

// page returns what docs/PROXIES.md says.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documented returns the configuration for nginx that the page shows. There
// is one, so that nobody can test one and read another.
func documented(t *testing.T) string {
	t.Helper()
	blocks := nginxBlock.FindAllStringSubmatch(page(t), -1)
	if len(blocks) != 1 {
		t.Fatalf("%s has %d blocks of nginx configuration, want one", pagePath, len(blocks))
	}
	return blocks[0][1]
}

// An edit replaces a line of the documented configuration, or leaves it out.
type edit struct{ line, by string }

// edited returns conf with each edit made. A line that is not there, or twice,
// fails the test: the page has changed, and the test has to follow.
func edited(t *testing.T, conf string, edits ...edit) string {
	t.Helper()
	for _, e := range edits {
		if n := strings.Count(conf, e.line); n != 1 {
			t.Fatalf("%s: %q stands %d times in the configuration, want once", pagePath, e.line, n)
		}
		conf = strings.Replace(conf, e.line, e.by, 1)
	}
	return conf
}

var tableLine = regexp.MustCompile("(?m)^\\| `([^`]+;)` \\|")

// TestEveryDirectiveIsExplained: the table about nginx and its configuration
// have the same lines.
func TestEveryDirectiveIsExplained(t *testing.T) {
	conf := documented(t)
	explained := 0
	for _, row := range tableLine.FindAllStringSubmatch(page(t), -1) {
		explained++
		if strings.Count(conf, row[1]) != 1 {
			t.Errorf("%s explains %q, which is not in the configuration", pagePath, row[1])
		}
	}
	shown := 0
	for line := range strings.Lines(conf) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "worker_shutdown_timeout", "large_client_header_buffers", "proxy_http_version",
			"proxy_set_header", "proxy_read_timeout", "proxy_send_timeout":
			shown++
		}
	}
	if explained == 0 || explained != shown {
		t.Errorf("%s explains %d lines of %d", pagePath, explained, shown)
	}
}
