package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// An exchange is what a client does on one connection.
type exchange struct {
	name      string
	websocket bool // of a server that has them
	full      bool // of a server with /duplex and /early
	session   bool // the client offers one: what it is refused with is compared
	steps     []step
}

// A step sends bytes, and then waits for answers to requests with these methods,
// or for bytes.
type step struct {
	send    string
	answers []string
	until   string // or until these bytes
	soon    bool   // or not for long, since there may be none
	half    bool   // then the client sends no more

	switched bool // only where the answer before was a 101
}

const (
	host = "Host: app.example\r\n"
	key  = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

func get(target, fields string) string {
	return "GET " + target + " HTTP/1.1\r\n" + host + fields + "\r\n"
}

func ask(name, send, method string) exchange {
	return exchange{name: name, steps: []step{{send: send, answers: []string{method}}}}
}

// recorded are exchanges that were seen to differ, and their kind.
func recorded() []exchange {
	post := func(fields, body string) string { return "POST /echo HTTP/1.1\r\n" + host + fields + "\r\n" + body }
	list := []exchange{
		ask("a page", get("/", ""), "GET"),
		ask("HEAD", "HEAD / HTTP/1.1\r\n"+host+"\r\n", "HEAD"),
		ask("OPTIONS *", "OPTIONS * HTTP/1.1\r\n"+host+"\r\n", "OPTIONS"),
		ask("a strange target", get("//{}%2f..%2findex.html", ""), "GET"),
		ask("an encoded target", get("/a%2Fb/%2e%2e/%7Ex?a=1&&b=%20", ""), "GET"),
		ask("absolute form", get("http://app.example/echo", ""), "GET"),
		ask("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET"),
		ask("HTTP/1.0, kept", "GET / HTTP/1.0\r\n"+host+"Connection: keep-alive\r\n\r\n", "GET"),
		ask("an empty line in front", "\r\n"+get("/", ""), "GET"),
		ask("close", get("/", "Connection: close\r\n"), "GET"),
		ask("an unknown method", "BREW / HTTP/1.1\r\n"+host+"\r\n", "BREW"),
		ask("names in odd cases", get("/", "x-LOWER: 1\r\nACCEPT: */*\r\nx-b:2\r\nSOAPAction:  \"x\" \r\n"), "GET"),
		ask("latin-1", get("/", "X-Name: J\xfcrgen\r\n"), "GET"),
		ask("a length", post("Content-Length: 5\r\n", "hello"), "POST"),
		ask("no body", post("Content-Length: 0\r\n", ""), "POST"),
		ask("chunks", post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), "POST"),
		ask("chunks with trailers", post("Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "POST"),
		ask("a range", get("/index.html", "Range: bytes=0-3\r\n"), "GET"),
		ask("a long head", get("/", "Cookie: "+strings.Repeat("a", 6000)+"\r\n"), "GET"),
		{name: "three in a row", steps: []step{{send: get("/", ""), answers: []string{"GET"}}, {send: post("Content-Length: 2\r\n", "ab"), answers: []string{"POST"}}, {send: get("/none", ""), answers: []string{"GET"}}}},
		{name: "in small pieces", steps: []step{{send: "GET /"}, {send: " HTTP/1.1\r"}, {send: "\nHost: a"}, {send: "pp.example\r\n\r\n", answers: []string{"GET"}}}},
		{name: "a body in pieces", steps: []step{{send: post("Content-Length: 6\r\n", "he")}, {send: "l"}, {send: "lo!", answers: []string{"POST"}}}},
		{name: "the client sends no more", steps: []step{{send: get("/", ""), half: true}}},
		{name: "nothing", steps: []step{{half: true}}},
		{name: "half a body", steps: []step{{send: post("Content-Length: 100\r\n", "half"), half: true}}},
		{name: "100-continue", steps: []step{{send: post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"), answers: []string{"POST"}}}},
		{name: "a stream", full: true, steps: []step{{send: get("/stream", ""), answers: []string{"GET"}}}},
		{name: "an early answer", full: true, steps: []step{{send: "POST /early HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\n", until: "who are you?"}, {send: "hello"}}},
		{name: "answers to parts", full: true, steps: []step{{send: "POST /duplex HTTP/1.1\r\n" + host + "Content-Length: 4\r\n\r\nab", until: "ab\r\n"}, {send: "cd", until: "cd\r\n"}}},
	}
	return append(append(list, handshakes()...), refusals()...)
}

// offer is of a client that would have a session.
const offer = "Sec-WebSocket-Protocol: wsr.v1\r\n"

// refusals are handshakes of sessions, to what is no WebSocket.
func refusals() (list []exchange) {
	for name, head := range map[string]string{
		"nothing there":     get("/none", key+offer),
		"a page":            get("/", key+offer),
		"an echo":           get("/echo", offer+key),
		"odd names":         get("/none?a=%2f&b", "x-lower: 1\r\nX-UPPER: 2\r\nCookie: a=1; b=2\r\n"+key+offer+"authorization: Basic eA==\r\n"),
		"an odd target":     get("//none/../%2e%2e", key+offer),
		"a page, by a page": get("/index.html", key+offer+"Origin: http://app.example\r\n"),
	} {
		list = append(list, exchange{name: "refused session: " + name, session: true, steps: []step{{send: head, answers: []string{"GET"}}}})
	}
	return list
}

// handshakes are of WebSockets, with some frames behind them.
func handshakes() []exchange {
	// "hello", a ping and a close, with masks of zeros.
	const frames = "\x81\x85\x00\x00\x00\x00hello\x89\x81\x00\x00\x00\x00p\x88\x82\x00\x00\x00\x00\x03\xe8"
	list := []exchange{
		{name: "refused", websocket: true, steps: []step{{send: get("/none", key), answers: []string{"GET"}}, {send: get("/", ""), answers: []string{"GET"}}}},
	}
	for name, head := range map[string]string{
		"usual":                 get("/ws", key+"Origin: http://app.example\r\n"),
		"subprotocol":           get("/ws", key+"Sec-WebSocket-Protocol: chat, superchat\r\n"),
		"odd subprotocols":      get("/ws", key+"Sec-WebSocket-Protocol: a/b, chat\r\n"),
		"doubled subprotocols":  get("/ws", key+"Sec-WebSocket-Protocol: chat, chat\r\n"),
		"compression":           get("/ws", key+"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
		"server window bits":    get("/ws", key+"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12\r\n"),
		"no takeover":           get("/ws", key+"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"),
		"unknown extensions":    get("/ws", key+"Sec-WebSocket-Extensions: x-webkit-deflate-frame, foo; bar=1\r\n"),
		"the key of the RFC":    get("/ws", strings.Replace(key, "dGhlIHNhbXBsZSBub25jZQ==", "x3JJHMbDL1EzLkh9GBhXDw==", 1)),
		"a short key":           get("/ws", strings.Replace(key, "dGhlIHNhbXBsZSBub25jZQ==", "AA==", 1)),
		"a key that is not one": get("/ws", strings.Replace(key, "dGhlIHNhbXBsZSBub25jZQ==", "hello world", 1)),
		"no key":                get("/ws", strings.Replace(key, "Sec-WebSocket-Key", "X", 1)),
		"version 8":             get("/ws", strings.Replace(key, ": 13", ": 8", 1)),
		"version 7":             get("/ws", strings.Replace(key, ": 13", ": 7", 1)),
		"HTTP/1.0":              "GET /ws HTTP/1.0\r\n" + host + key + "\r\n",
		"absolute form":         get("http://app.example/ws", key),
		"lists":                 get("/ws", strings.Replace(key, "Connection: Upgrade", "connection: keep-alive, Upgrade", 1)),
		"another case":          get("/ws", strings.ToLower(strings.ReplaceAll(key, "dGhlIHNhbXBsZSBub25jZQ==", "aaaaaaaaaaaaaaaaaaaaaa=="))),
	} {
		list = append(list, exchange{name: "handshake: " + name, websocket: true, steps: []step{{send: head, answers: []string{"GET"}}, {send: frames, until: "\x88", switched: true}}})
	}
	return list
}

// generated returns n exchanges of requests that are all right, however odd. The
// same seed gives the same.
func generated(seed uint64, n int) (list []exchange) {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		x := exchange{name: fmt.Sprintf("generated %d", i)}
		for range 1 + r.IntN(3) {
			head, body, method := request(r)
			x.steps = append(x.steps, cut(r, head+body, method)...)
		}
		list = append(list, x)
	}
	return list
}

// cut cuts a request into segments, of which the last is answered. One with
// trailers stays whole: the sidecar checks them before it passes them on, in one
// piece, and Puma reads pieces otherwise.
func cut(r *rand.Rand, s, method string) (steps []step) {
	for r.IntN(3) == 0 && len(s) > 1 && !strings.Contains(s, "X-Sum") {
		n := 1 + r.IntN(len(s)-1)
		steps = append(steps, step{send: s[:n]})
		s = s[n:]
	}
	return append(steps, step{send: s, answers: []string{method}})
}

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

func request(r *rand.Rand) (head, body, method string) {
	method = pick(r, "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH")
	target := pick(r, "/", "/echo", "/none", "/echo?x=%20y&z", "/a//b/../c", "/%41%2f", "/echo;v=1", "/?"+strings.Repeat("q", r.IntN(500)))
	fields := []string{pick(r, "Host: app.example", "host: app.example", "HOST:app.example ")}
	for range r.IntN(12) {
		name := strings.Map(func(c rune) rune {
			if r.IntN(2) == 0 {
				return c
			}
			return []rune(strings.ToUpper(string(c)))[0]
		}, pick(r, "accept", "x-some-thing", "x-a", "cookie", "accept-language", "cache-control", "user-agent", "x-y", "te", "priority", "if-none-match"))
		fields = append(fields, name+pick(r, ":", ": ", ":\t", ":  ")+pick(r, "", "1", "a, b;q=0.5", "\"x\"", "é", strings.Repeat("v", r.IntN(300)), "trailers"))
	}
	if method == "POST" || method == "PUT" || method == "PATCH" {
		content := strings.Repeat("abcdefghij", r.IntN(200))
		if r.IntN(20) == 0 {
			target = "/echo" // others answer before it has come
			content = strings.Repeat("0123456789abcdef", 16<<10)
		}
		if r.IntN(2) == 0 {
			fields = append(fields, fmt.Sprintf("%s: %d", pick(r, "Content-Length", "content-length"), len(content)))
			body = content
		} else {
			fields = append(fields, pick(r, "Transfer-Encoding: chunked", "transfer-encoding: Chunked"))
			body = chunked(r, content)
		}
	}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return method + " " + target + " HTTP/1.1\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n", body, method
}

func chunked(r *rand.Rand, content string) string {
	var b strings.Builder
	for len(content) > 0 {
		n := min(len(content), 1+r.IntN(3000))
		fmt.Fprintf(&b, pick(r, "%x\r\n", "%X\r\n", "0%x\r\n"), n)
		b.WriteString(content[:n] + "\r\n")
		content = content[n:]
	}
	b.WriteString("0\r\n" + pick(r, "", "", "X-Sum: 1\r\n") + "\r\n")
	return b.String()
}
