package console

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed page
var pageFiles embed.FS

// Home is where the page is, relative to the root of the admin port.
const Home = "console/"

const pagePath = "/" + Home

// pagePolicy allows the page its own files, and questions to its own sidecar.
// Nothing that a session's path or a setting says becomes code.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page serves the files of the page. They are in the program, and ask for nothing
// from elsewhere.
func page() http.HandlerFunc {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // "page" is a valid path
	}
	serve := http.StripPrefix(pagePath, http.FileServerFS(files))
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache") // the next release may have another one
		serve.ServeHTTP(w, r)
	}
}
