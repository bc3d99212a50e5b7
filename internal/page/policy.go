package page

import (
	"net/url"
	"strings"
)

// An origin is where a page and the script come from.
type origin struct {
	scheme string // of the client's connection as far as we know it: http, https, or empty
	host   string // of the request
	path   string // of the script
	hash   string // of the script, as a policy writes it
}

// permit says what a tag must have for a Content-Security-Policy to let it run.
type permit struct {
	nonce     string
	integrity bool
}

// permitted returns what a tag needs so that every one of the policies, which are
// header values, allows the script (CSP3 §6.7.1). ok is false if one forbids it
// whatever the tag has.
func permitted(policies []string, o origin) (p permit, ok bool) {
	var rules []scriptRule
	for _, value := range policies {
		for one := range strings.SplitSeq(value, ",") {
			if r := parseRule(one, o); !r.all {
				rules = append(rules, r)
			}
		}
	}
	candidates := []string{""}
	for _, r := range rules {
		candidates = append(candidates, r.nonces...)
	}
	for _, nonce := range candidates {
		p = permit{nonce: nonce}
		ok = true
		for _, r := range rules {
			switch {
			case r.byNonce(nonce) || r.host:
			case r.hash:
				p.integrity = true
			default:
				ok = false
			}
		}
		if ok {
			return p, true
		}
	}
	return permit{}, false
}

// A scriptRule is what a policy says of scripts by URL.
type scriptRule struct {
	all    bool // it says nothing of them
	host   bool // it allows this one by where it comes from
	hash   bool // it allows this one by what it is
	nonces []string
}

func (r *scriptRule) byNonce(nonce string) bool {
	for _, n := range r.nonces {
		if n == nonce {
			return true
		}
	}
	return false
}

// parseRule reads one policy.
func parseRule(policy string, o origin) scriptRule {
	directives := map[string][]string{}
	for d := range strings.SplitSeq(policy, ";") {
		words := strings.Fields(d)
		if len(words) == 0 {
			continue
		}
		name := strings.ToLower(words[0])
		if _, twice := directives[name]; !twice { // the first counts (CSP3 §2.2.1)
			directives[name] = words[1:]
		}
	}
	if allowed, ok := directives["sandbox"]; ok && !hasFold(allowed, "allow-scripts") {
		return scriptRule{}
	}
	for _, name := range []string{"script-src-elem", "script-src", "default-src"} {
		if sources, ok := directives[name]; ok {
			return parseSources(sources, o)
		}
	}
	return scriptRule{all: true}
}

func parseSources(sources []string, o origin) (r scriptRule) {
	strict := hasFold(sources, "'strict-dynamic'")
	for _, s := range sources {
		low := strings.ToLower(s)
		switch {
		case strings.HasPrefix(low, "'nonce-") && strings.HasSuffix(s, "'"):
			if nonce := s[len("'nonce-") : len(s)-1]; isNonce(nonce) {
				r.nonces = append(r.nonces, nonce)
			}
		case strings.HasPrefix(low, "'sha"):
			r.hash = r.hash || s == o.hash
		case strict:
		case low == "'self'":
			r.host = true
		case !strings.HasPrefix(s, "'"):
			r.host = r.host || o.matches(s)
		}
	}
	return r
}

// matches reports whether a scheme or host source covers the script (CSP3
// §6.7.2.8), as far as that is sure: what is not, does not.
func (o origin) matches(source string) bool {
	low := strings.ToLower(source)
	switch {
	case low == "*":
		return true
	case low == "http:":
		return o.scheme != ""
	case low == "https:":
		return o.scheme == "https"
	case !strings.Contains(low, "://"):
		low = "//" + low
	case !strings.HasPrefix(low, "http://") && (o.scheme != "https" || !strings.HasPrefix(low, "https://")):
		return false
	}
	u, err := url.Parse(low)
	if err != nil || u.RawQuery != "" || u.Host == "" {
		return false
	}
	host := strings.ToLower(o.host)
	wild, isWild := strings.CutPrefix(u.Host, "*")
	if u.Host != host && !(isWild && strings.HasSuffix(host, wild)) {
		return false
	}
	path := source[len(source)-len(u.EscapedPath()):] // paths are told apart by case
	return path == "" || path == o.path || strings.HasSuffix(path, "/") && strings.HasPrefix(o.path, path)
}

func hasFold(list []string, word string) bool {
	for _, w := range list {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// isNonce reports whether s is what may stand in a policy as a nonce (CSP3
// §2.3.1), so that it can go into a tag.
func isNonce(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("+/-_=", c) >= 0) {
			return false
		}
	}
	return s != ""
}
