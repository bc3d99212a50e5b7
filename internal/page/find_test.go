package page

import (
	"strings"
	"testing"
)

// TestFind: "|" is where the tag goes; without one it goes nowhere.
func TestFind(t *testing.T) {
	pad := strings.Repeat(" ", 900)
	for name, c := range map[string]struct {
		page   string
		finder finder
	}{
		"a page":                      {page: `<!doctype html><html><head>|<title>x</title><script>1</script>`},
		"in capitals":                 {page: "<!DOCTYPE HTML>\n<HTML LANG=en>\n<HEAD>|<TITLE>x</TITLE>"},
		"attributes with >":           {page: `<!doctype html><html data-a="<head>"><head prefix='a>b'>|<title>x</title>`},
		"a quote outside of a value":  {page: `<html><head it's>|<title>x</title>`},
		"comments":                    {page: "<!-- <head> -->\n<!doctype html><!-- <script> --><html><!-- > --><head>|</head>"},
		"no head":                     {page: `<!doctype html><html>|<body><script>1</script>`},
		"no html":                     {page: `<!doctype html>|<title>x</title>`},
		"no doctype":                  {page: `|<script>1</script>`},
		"frames":                      {page: `<!doctype html>|<frameset></frameset>`},
		"text behind a doctype":       {page: `<!doctype html> |hello`},
		"header is not head":          {page: `<!doctype html>|<header>x</header>`},
		"a byte order mark":           {page: "\xef\xbb\xbf<!doctype html><head>|<meta charset=latin1>"},
		"UTF-16":                      {page: "\xff\xfe<\x00h\x00t\x00m\x00l\x00>\x00"},
		"a part of a page":            {page: `<div><script>1</script></div>`},
		"JSON":                        {page: `{"a":"<head>"}`},
		"text":                        {page: `hello <head>`},
		"nothing":                     {page: ``},
		"an end tag":                  {page: `</html>`},
		"a doctype alone":             {page: `<!doctype html>`},
		"an encoding early":           {page: `<head>|<meta charset="utf-8">`},
		"an encoding that would move": {page: `<head><title>` + pad + `</title><meta charset=utf-8>|<script>1</script>`, finder: finder{length: 120}},
		"the older form":              {page: `<head><title>` + pad + `</title><meta http-equiv=Content-Type content="text/html; Charset=x">|`, finder: finder{length: 120}},
		"behind a script":             {page: `<head><script>1</script><title>` + pad + `</title><meta charset=utf-8>`, finder: finder{length: 120}},
		"in a script":                 {page: `<head>|<script>"<meta charset=x>"</script><title>` + pad + `</title>`, finder: finder{length: 120}},
		"in a comment":                {page: `<head>|<!-- <meta charset=x> --><title>` + pad + pad + `</title>`, finder: finder{length: 120}},
		"later than browsers look":    {page: `<head>|<title>` + pad + pad + `</title><meta charset=utf-8>`, finder: finder{length: 120}},
		"known from the header":       {page: `<head>|<title>` + pad + `</title><meta charset=utf-8>`, finder: finder{length: 120, charset: true}},
		"XHTML":                       {page: `<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head>|<title/>`, finder: finder{xml: true}},
		"XHTML without a head":        {page: `<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>`, finder: finder{xml: true}},
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.IndexByte(c.page, '|')
			text := strings.Replace(c.page, "|", "", 1)
			at, is, _ := c.finder.find([]byte(text), true)
			if want < 0 && is != placeNone || want >= 0 && (is != placeFound || at != want) {
				t.Errorf("at %d, %d, want %d", at, is, want)
			}
			// However it comes, nothing else is found, and the end decides at the latest.
			for n := range len(text) {
				if a, is, _ := c.finder.find([]byte(text[:n]), false); is == placeFound && a != want || is == placeNone && want >= 0 {
					t.Fatalf("after %d bytes: at %d, %d, want %d", n, a, is, want)
				}
			}
		})
	}
}

func TestFindsEarly(t *testing.T) {
	for page, charset := range map[string]bool{
		`<!doctype html><html><head><`:                       true,
		`<!doctype html><html><head><meta charset=utf-8><ti`: false,
		`<!doctype html><html><head></head><bo`:              false,
	} {
		if _, is, _ := (finder{charset: charset}).find([]byte(page), false); is != placeFound {
			t.Errorf("%s: %d", page, is)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte(`<!doctype html><html><head><meta charset=utf-8><script>1</script>`), false, false)
	f.Add([]byte("<!-- --><?xml?><head a='>'>"), true, true)
	f.Fuzz(func(t *testing.T, text []byte, charset, xml bool) {
		fd := finder{charset: charset, xml: xml, length: 60}
		at, is, _ := fd.find(text, true)
		if is == placeMore || at > len(text) {
			t.Fatalf("at %d of %d, %d", at, len(text), is)
		}
		for n := range min(len(text), 200) {
			if a, early, _ := fd.find(text[:n], false); early == placeFound && (is != placeFound || a != at) {
				t.Fatalf("at %d after %d bytes, and %d in the end (%d)", a, n, at, is)
			}
		}
	})
}
