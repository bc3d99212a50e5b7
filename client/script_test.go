package client

import (
	"testing"

	"github.com/wsresilience/wsresilience/internal/script"
)

// TestScripts plays the scenarios that this client shares with the one in
// TypeScript; testdata/client/README.md describes their language.
func TestScripts(t *testing.T) {
	script.Run(t, "../testdata/client/*.txt", func(t *testing.T) func([]string) []string {
		return newRehearsal(t).play
	})
}
