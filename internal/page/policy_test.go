package page

import "testing"

func TestPermitted(t *testing.T) {
	o := origin{scheme: "https", host: "app.example.com:8443", path: "/.wsr/client-1.js", hash: "'sha256-abc='"}
	for _, c := range []struct {
		policies []string
		want     permit
		ok       bool
	}{
		{nil, permit{}, true},
		{[]string{"img-src 'none'; connect-src 'self'"}, permit{}, true},
		{[]string{"default-src 'self'"}, permit{}, true},
		{[]string{"default-src 'none'; script-src 'SELF'"}, permit{}, true},
		{[]string{"script-src 'self'; script-src-elem 'none'"}, permit{}, false},
		{[]string{"script-src 'none'; script-src 'self'"}, permit{}, false},
		{[]string{"script-src 'unsafe-inline' 'unsafe-eval'"}, permit{}, false},
		{[]string{"script-src 'nonce-Ab+/_-9='"}, permit{nonce: "Ab+/_-9="}, true},
		{[]string{`script-src 'nonce-"><script>'`}, permit{}, false},
		{[]string{"script-src 'strict-dynamic' 'self'"}, permit{}, false},
		{[]string{"script-src 'strict-dynamic' 'nonce-x' https:"}, permit{nonce: "x"}, true},
		{[]string{"script-src 'sha256-abc='"}, permit{integrity: true}, true},
		{[]string{"script-src 'sha256-other='"}, permit{}, false},
		{[]string{"script-src 'sha256-abc='", "script-src 'nonce-x'"}, permit{nonce: "x", integrity: true}, true},
		{[]string{"script-src 'nonce-x', script-src 'nonce-y'"}, permit{}, false},
		{[]string{"script-src 'nonce-x' 'nonce-y'", "script-src 'nonce-y'"}, permit{nonce: "y"}, true},
		{[]string{"script-src 'nonce-x', script-src 'self'"}, permit{nonce: "x"}, true},
		{[]string{"script-src *"}, permit{}, true},
		{[]string{"script-src https:"}, permit{}, true},
		{[]string{"script-src wss:"}, permit{}, false},
		{[]string{"script-src app.example.com:8443"}, permit{}, true},
		{[]string{"script-src https://app.example.com:8443/.wsr/"}, permit{}, true},
		{[]string{"script-src https://app.example.com:8443/static/"}, permit{}, false},
		{[]string{"script-src *.example.com:8443"}, permit{}, true},
		{[]string{"script-src *.other.com:8443 https://cdn.example.com"}, permit{}, false},
		{[]string{"sandbox allow-forms"}, permit{}, false},
		{[]string{"sandbox allow-scripts"}, permit{}, true},
	} {
		if p, ok := permitted(c.policies, o); p != c.want || ok != c.ok {
			t.Errorf("%q: %+v, %v; want %+v, %v", c.policies, p, ok, c.want, c.ok)
		}
	}
}

func FuzzPermitted(f *testing.F) {
	f.Add("default-src 'self' 'nonce-x'; script-src https://a.b/c")
	f.Fuzz(func(t *testing.T, policy string) {
		p, _ := permitted([]string{policy}, origin{scheme: "http", host: "a", path: "/b"})
		if p.nonce != "" && !isNonce(p.nonce) {
			t.Errorf("nonce %q", p.nonce)
		}
	})
}
