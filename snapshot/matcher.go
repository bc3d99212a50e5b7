package snapshot

import "github.com/wsresilience/wsresilience/internal/match"

// maxLook is how much of a message is looked at.
const maxLook = match.MaxLook

// The matchers of rules.
type (
	matcher     = match.Matcher
	matcherText = match.Text
)
