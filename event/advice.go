package event

// An Advice is what an operator could set so that a session is not lost for the
// same reason again.
type Advice uint8

const (
	NoAdvice       Advice = iota
	AdviceContext         // nothing restores the app's context
	AdviceAdopt           // WSR_ADOPT forbids to go on
	AdviceSnapshot        // the context is known in part only
	AdviceRetry           // an app that restarts is not waited for
	AdviceSize            // a message was above the limit
	AdviceTTL             // the client was away for too long
	AdviceJournal         // nobody has it any more
)

// A page of the documentation.
const (
	pages        = "https://github.com/wsresilience/wsresilience/blob/main/docs/"
	pageSnapshot = pages + "SNAPSHOT.md"
	pageConfig   = pages + "CONFIG.md"
	pageOperate  = pages + "OPERATING.md"
)

var advices = [...]struct{ setting, page string }{
	AdviceContext:  {"WSR_APP_PROTOCOL or WSR_SNAPSHOT_RULES, or a client with a function that restores (wsr.adopt)", pageSnapshot},
	AdviceAdopt:    {"WSR_ADOPT=auto", pageSnapshot},
	AdviceSnapshot: {"WSR_SNAPSHOT_RULES for what matters, or a client with a function that restores (wsr.adopt)", pageSnapshot},
	AdviceRetry:    {"WSR_UPSTREAM_RETRY", pageConfig},
	AdviceSize:     {"WSR_MAX_MESSAGE", pageConfig},
	AdviceTTL:      {"WSR_SESSION_TTL", pageConfig},
	AdviceJournal:  {"WSR_NATS_URL", pageOperate},
}

// Setting is what to set; "" without advice.
func (a Advice) Setting() string {
	if int(a) < len(advices) {
		return advices[a].setting
	}
	return ""
}

// Page is where to read about it; "" without advice.
func (a Advice) Page() string {
	if int(a) < len(advices) {
		return advices[a].page
	}
	return ""
}
