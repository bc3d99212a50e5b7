package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// The page needs no network, and nothing that its policy forbids.
func TestPageFiles(t *testing.T) {
	foreign := regexp.MustCompile(`https?://|@import|url\(|innerHTML = |insertAdjacentHTML|eval\(`)
	inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=`)
	modules := regexp.MustCompile(`(?:from|src=|href=|import\() ?"(?:\./)?([a-z]+\.[a-z]+)"`)
	seen := 0
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		text, err := fs.ReadFile(pageFiles, name)
		if err != nil {
			return err
		}
		content := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		if found := foreign.FindString(content); found != "" {
			t.Errorf("%s loads something from elsewhere, or makes code of text: %s", name, found)
		}
		if found := inline.FindString(content); found != "" && strings.HasSuffix(name, ".html") {
			t.Errorf("%s has something inline: %s", name, found)
		}
		for _, match := range modules.FindAllStringSubmatch(content, -1) {
			if _, err := fs.Stat(pageFiles, "page/"+match[1]); err != nil {
				t.Errorf("%s refers to %s: %v", name, match[1], err)
			}
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Fatalf("%d files, %v", seen, err)
	}
}

// The page is for all, since it shows nothing by itself, and may run its own files
// only.
func TestPage(t *testing.T) {
	h := handler(Config{Sidecar: crowd(1)})
	for path, want := range map[string]int{
		"/console/": 200, "/console/main.js": 200, "/console/style.css": 200, "/console": 307, "/console/none.js": 404, "/console/../sessions": 307,
	} {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr, r.Host = "10.9.9.9:1", "10.0.0.1:15802"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		if csp := w.Header().Get("Content-Security-Policy"); want == http.StatusOK && csp != pagePolicy {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
}

// The page's list of states is that of the sidecar.
func TestPageKnowsTheStates(t *testing.T) {
	text, err := fs.ReadFile(pageFiles, "page/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]string{States(), Orders()} {
		for _, name := range list {
			if !strings.Contains(string(text), `<option value="`+name+`">`) {
				t.Errorf("the page does not know %s", name)
			}
		}
	}
}
