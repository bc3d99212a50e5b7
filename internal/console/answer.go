package console

import (
	"encoding/json"
	"io"
	"net/http"
)

func answer(w http.ResponseWriter, status int, text string) {
	header(w, "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client has gone
}

// refuse tells whoever asked what is wrong with the question.
func refuse(w http.ResponseWriter, err error) {
	answer(w, http.StatusBadRequest, err.Error()+"\n")
}

// answerJSON writes a value of this package, all of which have a JSON form.
func answerJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		answer(w, http.StatusInternalServerError, "this cannot be told in JSON: "+err.Error()+"\n")
		return
	}
	header(w, "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client has gone
}

// header is what every answer says: what it holds is what it says, for this reader
// alone, and not for another page.
func header(w http.ResponseWriter, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
