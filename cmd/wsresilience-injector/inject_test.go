package main

import (
	"bytes"
	"strings"
	"testing"
)

const injectPod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: i, ports: [{name: http, containerPort: 8080}]}]}\n"

func TestInjectAndBack(t *testing.T) {
	var out, errs, back bytes.Buffer
	code := command(t.Context(), []string{"inject", "-image", "w", "-kubernetes", "v1.29", "-f", "-"}, strings.NewReader(injectPod), &out, &errs)
	if code != exitOK || !strings.Contains(errs.String(), "Pod/a: injected, mode named, port 8080") || !strings.Contains(errs.String(), "before 1.30") {
		t.Fatalf("exit code %d, %s", code, &errs)
	}
	code = command(t.Context(), []string{"uninject", "-f", "-"}, &out, &back, &errs)
	if code != exitOK || strings.Contains(back.String(), "wsresilience") || !strings.Contains(back.String(), "containerPort: 8080") {
		t.Errorf("exit code %d, %s", code, &back)
	}
}

func TestInjectPrintsNothingOfABadStream(t *testing.T) {
	for _, args := range [][]string{
		{"inject"}, {"inject", "-f", "-"}, {"inject", "-image", "w", "-f", "-", "more"},
		{"inject", "-image", "w", "-kubernetes", "2", "-f", "-"}, {"inject", "-image", "w", "-mode", "x", "-f", "-"},
		{"uninject"}, {"uninject", "-what"},
	} {
		var out, errs bytes.Buffer
		if code := command(t.Context(), args, strings.NewReader(injectPod), &out, &errs); code != exitUsage || out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("%q: exit code %d, %q, %q", args, code, &out, &errs)
		}
	}
}
