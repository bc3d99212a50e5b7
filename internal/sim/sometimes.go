package sim

// Sometimes are paths of which each must be taken in a run of a thousand sessions, and
// Seldom those of which each must be in one of ten thousand. What is not taken is not
// tested.
var (
	Sometimes = []string{
		"adopt: a message comes to a second app", "adopt: drained", "adopt: owner_lost",
		"app: a session has a fresh socket of an app that restarted",
		"client: adopted, drained", "client: adopted, owner_lost", "client: is asked to come elsewhere", "client: resumed", "client: the answer to a handshake is lost", "client: closed by the app",
		"drain: nothing is left", "journal: a chain was lost and is written again", "journal: an answer is lost",
		"pod: it stalls for longer than its lease is safe",
		"resume: a newer connection supersedes one that looks alive", "resume: try_again", "session: it ends as handed",
		"tunnel: a client is passed on", "tunnel: an owner does not answer",
	}
	Seldom = []string{
		"adopt: a claim does not stand", "adopt: app_restarted", "adopt: owed", "adopt: the app does not answer, and the session is given back",
		"adopt: the last words of an app are missing, and the client is told", "app: why it left a pod that drains is looked for",
		"client: lost, unknown", "owner: one that stalled is confirmed", "owner: one that stalled is fenced", "session: it ends as expired", "session: it ends as fenced",
		"tunnel: an owner begins to answer and does not go on",
	}
)
