package main

import (
	"strings"
	"testing"
)

// What only another package can judge is a wrong setting like any other, and
// every command that needs all settings says so.
func TestConfigJudgesContexts(t *testing.T) {
	for _, c := range []struct{ setting, says string }{
		{"WSR_APP_PROTOCOL=graphql", "graphql-transport-ws"},
		{`WSR_SNAPSHOT_RULES={"rules":[{"pth":"*"}]}`, "WSR_SNAPSHOT_RULES"},
	} {
		for _, name := range []string{"config", "run"} {
			var stdout, stderr strings.Builder
			environ := []string{"WSR_UPSTREAM=http://127.0.0.1:8080", "WSR_DATA_DIR=" + t.TempDir(), c.setting}
			code := command(t.Context(), []string{name}, environ, &stdout, &stderr)
			if code != exitUsage || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("%s with %s: exit code %d, %q", name, c.setting, code, stderr.String())
			}
		}
	}
}
