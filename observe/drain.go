package observe

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// progressEvery is how often a client that waits for a drain hears of it.
const progressEvery = time.Second

// DrainState is how far a drain has come.
type DrainState struct {
	Draining bool      `json:"draining"`
	Sessions int       `json:"sessions"` // that live here, with or without a client
	Plain    int       `json:"plain"`    // connections of clients without wsr.v1
	Tunnels  int       `json:"tunnels"`
	Since    time.Time `json:"since,omitzero"` // when the drain began
}

// String says what is left, for operators.
func (s DrainState) String() string {
	return fmt.Sprintf("%d sessions, %d plain connections and %d tunnels are left", s.Sessions, s.Plain, s.Tunnels)
}

// DrainDone is the last line of a drain that a client of the admin port
// follows line by line. Any other last line means that it failed.
const DrainDone = "done"

// postDrain drains, and answers when that is done. A client that accepts
// text/plain by name is told of the progress, and finds the outcome in the
// last line, since the status has long been sent.
func (a Admin) postDrain(w http.ResponseWriter, r *http.Request) {
	// The server's timeouts are for answers that do not take minutes. A
	// deadline for reading would end the wait as well: it cancels r.Context.
	conn := http.NewResponseController(w)
	_, _ = conn.SetWriteDeadline(time.Time{}), conn.SetReadDeadline(time.Time{}) // a server that has none to lift
	if strings.Contains(r.Header.Get("Accept"), "text/plain") {
		a.followDrain(w, r)
		return
	}
	status := http.StatusOK
	err := a.Drain(r.Context())
	if err != nil {
		status = http.StatusInternalServerError
	}
	answer(w, status, outcome(err))
}

// followDrain writes a line every second until the drain is done.
func (a Admin) followDrain(w http.ResponseWriter, r *http.Request) {
	done := make(chan error, 1)
	go func() { done <- a.Drain(r.Context()) }()
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	answer(w, http.StatusOK, a.DrainState().String()+"\n")
	for {
		_ = http.NewResponseController(w).Flush() // the client may have gone, which ends Drain
		select {
		case <-ticker.C:
			_, _ = fmt.Fprintln(w, a.DrainState())
		case err := <-done:
			_, _ = fmt.Fprint(w, outcome(err))
			return
		}
	}
}

// outcome is the last line of a drain.
func outcome(err error) string {
	if err != nil {
		return "failed: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "\n"
	}
	return DrainDone + "\n"
}

// deleteDrain takes a drain back.
func (a Admin) deleteDrain(w http.ResponseWriter, _ *http.Request) {
	if err := a.Undrain(); err != nil {
		answer(w, http.StatusConflict, err.Error()+"\n")
		return
	}
	answerJSON(w, a.DrainState())
}

func (a Admin) getDrain(w http.ResponseWriter, _ *http.Request) { answerJSON(w, a.DrainState()) }
