package admission

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestA02Requests(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 32<<20))
	_ = z.Close()
	good := body(t, newRequest("web"))
	tests := []struct {
		name, method, contentType, encoding string
		body                                []byte
		chunked                             bool
		want                                int
	}{
		{name: "good", body: good, want: 200},
		{name: "with a charset", contentType: "application/json; charset=utf-8", body: good, want: 200},
		{name: "GET", method: http.MethodGet, want: 405},
		{name: "PUT", method: http.MethodPut, body: good, want: 405},
		{name: "empty", want: 400},
		{name: "no JSON", body: []byte("{"), want: 400},
		{name: "a form", contentType: "application/x-www-form-urlencoded", body: good, want: 415},
		{name: "no content type", contentType: ";", body: good, want: 415},
		{name: "10 MB", body: make([]byte, 10<<20), want: 413},
		{name: "10 MB, not announced", body: make([]byte, 10<<20), chunked: true, want: 413},
		{name: "compressed", encoding: "gzip", body: bomb.Bytes(), want: 415},
		{name: "compressed, not announced", body: bomb.Bytes(), want: 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.method == "" {
				test.method = http.MethodPost
			}
			if test.contentType == "" {
				test.contentType = "application/json"
			}
			r := httptest.NewRequest(test.method, "/inject", bytes.NewReader(test.body))
			if test.chunked {
				r.ContentLength = -1
			}
			r.Header.Set("Content-Type", test.contentType)
			if test.encoding != "" {
				r.Header.Set("Content-Encoding", test.encoding)
			}
			w := httptest.NewRecorder()
			newTestHandler(&fakeCluster{}).ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("%d, want %d: %s", w.Code, test.want, w.Body)
			}
		})
	}
}
