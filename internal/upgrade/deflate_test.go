package upgrade

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseExtensions(t *testing.T) {
	for _, tc := range []struct {
		lines []string
		want  []extension
		bad   bool
	}{
		{nil, nil, false},
		{[]string{"", " , ,"}, nil, false},
		{[]string{"a"}, []extension{{Name: "a"}}, false},
		{[]string{`a ; b ; c = 1;d="x\2" , e`, "f"}, []extension{
			{"a", []extensionParam{{"b", "", true}, {"c", "1", false}, {"d", "x2", false}}}, {Name: "e"}, {Name: "f"}}, false},
		{[]string{"a;"}, nil, true},
		{[]string{"a b"}, nil, true},
		{[]string{"a;b="}, nil, true},
		{[]string{`a;b="`}, nil, true},
		{[]string{`a;b=""`}, nil, true},
		{[]string{`a;b="x y"`}, nil, true},
		{[]string{`a;b="x\`}, nil, true},
		{[]string{"=a"}, nil, true},
		{[]string{"a" + strings.Repeat(";b", maxParams)}, []extension{{"a", repeatParam(maxParams)}}, false},
		{[]string{"a" + strings.Repeat(";b", maxParams+1)}, nil, true},
		{[]string{strings.Repeat("a,", maxExtensions+1)}, nil, true},
	} {
		got, err := parseExtensions(tc.lines)
		if (err != nil) != tc.bad || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: %v, %v; want %v, error %v", tc.lines, got, err, tc.want, tc.bad)
		}
	}
}

func repeatParam(n int) []extensionParam {
	list := make([]extensionParam, n)
	for i := range list {
		list[i] = extensionParam{"b", "", true}
	}
	return list
}

// H27: an offer with bad parameters is not accepted, and the others stand.
func TestDeflateOffers(t *testing.T) {
	for offer, want := range map[string][]DeflateParams{
		"permessage-deflate":                                       {{}},
		"permessage-deflate; client_max_window_bits":               {{ClientBits: 15}},
		"permessage-deflate; client_max_window_bits=15":            {{ClientBits: 15}},
		"permessage-deflate; client_max_window_bits=8":             {{ClientBits: 8}},
		"permessage-deflate; client_max_window_bits=7":             nil,
		"permessage-deflate; client_max_window_bits=16":            nil,
		"permessage-deflate; client_max_window_bits=08":            nil,
		"permessage-deflate; client_max_window_bits=+9":            nil,
		"permessage-deflate; client_max_window_bits=9999999999999": nil,
		// The row calls a quoted number bad, RFC 6455 §9.1 makes it the same.
		`permessage-deflate; client_max_window_bits="15"`:                                      {{ClientBits: 15}},
		"permessage-deflate; server_max_window_bits":                                           nil,
		"permessage-deflate; server_max_window_bits=10":                                        {{ServerBits: 10}},
		"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10":             nil,
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover":           nil,
		"permessage-deflate; server_no_context_takeover=1":                                     nil,
		"permessage-deflate; unknown":                                                          nil,
		"x-webkit-deflate-frame":                                                               nil,
		"permessage-deflate; unknown, x-other, permessage-deflate; client_no_context_takeover": {{ClientNoTakeover: true}},
		"permessage-deflate,;":                                                                 nil,
	} {
		if got := deflateOffers([]string{offer}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", offer, got, want)
		}
	}
}

// What a resilient client is answered, for what its app chose.
func TestDeflateAnswer(t *testing.T) {
	const both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, tc := range []struct{ name, client, toApp, fromApp, answer string }{
		{"a browser", "permessage-deflate; client_max_window_bits", both + "; client_max_window_bits",
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover", both},
		{"the app keeps its right to the client's context", "permessage-deflate", both,
			"permessage-deflate; server_no_context_takeover", both},
		{"the app limits the client", "permessage-deflate; client_max_window_bits", both + "; client_max_window_bits",
			"permessage-deflate; server_no_context_takeover; client_max_window_bits=9", both + "; client_max_window_bits=9"},
		{"the app limits a client that cannot be", "permessage-deflate", both,
			"permessage-deflate; server_no_context_takeover; client_max_window_bits=9", "refused"},
		{"the client limits the app", "permessage-deflate; server_max_window_bits=10", both + "; server_max_window_bits=10",
			"permessage-deflate; server_no_context_takeover; server_max_window_bits=9", both + "; server_max_window_bits=9"},
		{"the app ignores the limit", "permessage-deflate; server_max_window_bits=10", both + "; server_max_window_bits=10",
			"permessage-deflate; server_no_context_takeover", "refused"},
		{"the app exceeds the limit", "permessage-deflate; server_max_window_bits=10", both + "; server_max_window_bits=10",
			"permessage-deflate; server_no_context_takeover; server_max_window_bits=11", "refused"},
		{"a smaller window that nobody asked for", "permessage-deflate", both,
			"permessage-deflate; server_no_context_takeover; server_max_window_bits=11", both},
		{"the app keeps its own context", "permessage-deflate", both, "permessage-deflate", "refused"},
		{"two offers", "permessage-deflate; server_max_window_bits=10, permessage-deflate",
			both + "; server_max_window_bits=10, " + both, "permessage-deflate; server_no_context_takeover", both},
		{"no value in an answer", "permessage-deflate; client_max_window_bits", both + "; client_max_window_bits",
			"permessage-deflate; server_no_context_takeover; client_max_window_bits", "refused"},
		{"the app does not compress", "permessage-deflate", both, "", "none"},
		{"nobody offered", "", "", "permessage-deflate", "refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			offers := deflateOffers([]string{tc.client})
			toApp := extensionHeader(withoutTakeover(offers))
			if toApp != tc.toApp {
				t.Errorf("the app is offered %q, want %q", toApp, tc.toApp)
			}
			params, err := checkExtensions([]string{toApp}, []string{tc.fromApp})
			answer := "none"
			if err != nil {
				answer = "refused"
			} else if params != nil {
				answer, _ = params.AnswerFor(offers)
			}
			if answer != tc.answer {
				t.Errorf("the client is answered %q, %v; want %q", answer, err, tc.answer)
			}
		})
	}
}

// A resume comes with offers of its own, for an app's socket that has been
// compressing for a while.
func TestDeflateAnswerToResume(t *testing.T) {
	for _, tc := range []struct {
		app   DeflateParams
		offer string
		ok    bool
	}{
		{DeflateParams{}, "permessage-deflate", true},
		{DeflateParams{}, "permessage-deflate; server_max_window_bits=14", false}, // the app uses 15
		{DeflateParams{ServerBits: 10}, "permessage-deflate; server_max_window_bits=14", true},
		{DeflateParams{ClientBits: 10}, "permessage-deflate", false}, // the client may use 15
		{DeflateParams{ClientBits: 10}, "permessage-deflate; client_max_window_bits", true},
		{DeflateParams{}, "x-other", false},
	} {
		if answer, ok := tc.app.AnswerFor(deflateOffers([]string{tc.offer})); ok != tc.ok {
			t.Errorf("%+v, %s: %q, %v", tc.app, tc.offer, answer, ok)
		}
	}
}

// Whatever is read as an offer must be read the same when we write it.
func FuzzExtensions(f *testing.F) {
	for _, s := range []string{
		"permessage-deflate; client_max_window_bits", `permessage-deflate; client_max_window_bits="15"`,
		"a;b;b;b,c=1", "permessage-deflate; server_max_window_bits=8, permessage-deflate", ";;", `a;b="\"`,
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, offer, answer string) {
		offers := deflateOffers([]string{offer})
		if len(offers) > 0 {
			if again := deflateOffers([]string{extensionHeader(offers)}); !reflect.DeepEqual(offers, again) {
				t.Fatalf("%+v, then %+v", offers, again)
			}
		}
		header := extensionHeader(withoutTakeover(offers))
		params, err := checkExtensions([]string{header}, []string{answer})
		if err != nil || params == nil {
			return
		}
		said, ok := params.AnswerFor(offers)
		if !ok {
			t.Fatalf("the app was allowed %+v, which no offer of %q permits", params, offer)
		}
		if _, err := checkExtensions([]string{offer}, []string{said}); err != nil {
			t.Fatalf("%q is no answer to %q: %v", said, offer, err)
		}
	})
}
