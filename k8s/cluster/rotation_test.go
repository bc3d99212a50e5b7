package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

const week = 7 * 24 * time.Hour

func TestRotate(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	of := func(keys string, at stage, since time.Time) keyState {
		return keyState{Version: rotationVersion, Stage: at, Since: since, Digest: digest(splitKeys(keys))}
	}
	many := strings.TrimSuffix(strings.Repeat("k,", maxKeys), ",")
	tests := []struct {
		name  string
		every time.Duration
		keys  string
		state keyState
		want  string
		stage stage // "": nothing changes
		since time.Time
	}{
		{"off", 0, "a", of("a", steady, ago(99*week)), "a", "", now},
		{"first seen", week, "a", keyState{}, "a", steady, now},
		{"young", week, "a", of("a", steady, ago(week-1)), "a", "", now},
		{"due", week, "a", of("a", steady, ago(week)), "a,new", announced, now},
		{"not everywhere yet", week, "a,b", of("a,b", announced, ago(Spread-1)), "a,b", "", now},
		{"everywhere", week, "a,b", of("a,b", announced, ago(Spread)), "b,a", promoted, now},
		{"the former is in use", week, "b,a", of("b,a", promoted, ago(Keep-1)), "b,a", "", now},
		{"the former is not in use", week, "b,a", of("b,a", promoted, ago(Keep)), "b", steady, ago(Keep)},
		{"missed for long", week, "a,b", of("a,b", announced, ago(9*week)), "b,a", promoted, now},
		{"an operator's list", week, "a,x", of("a", steady, ago(9*week)), "a,x", steady, now},
		{"an operator's list while a key is announced", week, "x", of("a,b", announced, ago(9*week)), "x", steady, now},
		{"a list that an operator wrote long ago", week, "a,x", of("a,x", steady, ago(week)), "a,new,x", announced, now},
		{"in the last place", week, "a,new,x", of("a,new,x", announced, ago(Spread)), "new,a,x", promoted, now},
		{"full", week, many, of(many, steady, ago(9*week)), many, "", now},
		{"lines", week, "a\nb\n", of("a,b", announced, ago(Spread)), "b,a", promoted, now},
		{"a newer injector's", week, "a", keyState{Version: 2, Stage: steady, Since: ago(9 * week)}, "a", "", now},
		{"a stage that is none", week, "a", of("a", "?", ago(9*week)), "a", "", now},
		{"the clock was wrong", week, "a", of("a", steady, now.Add(week)), "a", "", now},
		{"no keys", week, "", keyState{}, "", "", now},
	}
	for _, test := range tests {
		next, s, changed := Rotation{test.every}.rotate(now, splitKeys(test.keys), test.state, func() string { return "new" })
		if got := strings.Join(next, ","); got != strings.Join(splitKeys(test.want), ",") || changed != (test.stage != "") {
			t.Errorf("%s: %s, changed %v; want %s", test.name, got, changed, test.want)
		}
		if changed && (s.Stage != test.stage || !s.Since.Equal(test.since) || s.Digest != digest(next)) {
			t.Errorf("%s: %+v, want %s since %v", test.name, s, test.stage, test.since)
		}
		if !changed && s != test.state {
			t.Errorf("%s: the state changes: %+v", test.name, s)
		}
	}
}

// TestRotationLosesNothing: whenever a sidecar reads its file, within Spread of
// each change, it can open what any other seals then, and what was sealed up to
// almost Keep before.
func TestRotationLosesNothing(t *testing.T) {
	const step = 5 * time.Minute // a round of the injector
	var (
		every  = MinRotation
		now    = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		secret = ours(data(k8s.SecretTokenKeys, "k0"))
		made   int
		lists  [][]string // one for each step
	)
	for range int(5*every/step) + 1 {
		var s keyState
		keys := splitKeys(string(secret.Data[k8s.SecretTokenKeys]))
		if text := secret.Annotations[annotationKeys]; text != "" {
			s = mustState(t, text)
		}
		next, s, changed := Rotation{every}.rotate(now, keys, s, func() string { made++; return fmt.Sprint("k", made) })
		if changed {
			secret.Annotations = map[string]string{annotationKeys: stateText(t, s)}
			secret.Data[k8s.SecretTokenKeys] = []byte(strings.Join(next, ","))
		}
		lists = append(lists, next)
		now = now.Add(step)
	}
	if made < 3 {
		t.Fatalf("only %d keys were made", made)
	}
	late := int(Spread/step) - 1 // how many steps behind a sidecar may be
	for i := range lists {
		for behind := 0; behind <= min(late, i); behind++ {
			reader := lists[i-behind]
			for other := 0; other <= min(late, i); other++ {
				if sealer := lists[i-other]; !slices.Contains(reader, sealer[0]) {
					t.Fatalf("step %d: a sidecar with %v cannot open what one with %v seals", i, reader, sealer)
				}
			}
		}
		if long := i - int((Keep-2*Spread)/step); long >= 0 && !slices.Contains(lists[i], lists[long][0]) {
			t.Fatalf("step %d: %v cannot open what was sealed with %s", i, lists[i], lists[long][0])
		}
		if len(lists[i]) > 2 {
			t.Fatalf("step %d: %v", i, lists[i])
		}
	}
}

// TestRotationInTheCluster: injectors rotate the keys of a namespace's Secret,
// not those of somebody else's, and of two at the same time one does it.
func TestRotationInTheCluster(t *testing.T) {
	server, client := start(t)
	now := time.Now()
	old := stateText(t, keyState{Version: rotationVersion, Stage: steady, Since: now.Add(-2 * week), Digest: digest([]string{"k"})})
	put := func(secret *corev1.Secret) {
		secret.Annotations = map[string]string{annotationKeys: old}
		server.PutSecret(secret)
	}
	put(ours(data(k8s.SecretTokenKeys, "k")))
	foreign := foreignSecret(data(k8s.SecretTokenKeys, "k"))
	foreign.Namespace = "other"
	put(foreign)
	raced := false
	s := &Secrets{Client: client, Name: "wsresilience", Rotation: Rotation{week}}
	server.Before(func(call string) int {
		if strings.HasPrefix(call, "PUT") && !raced {
			raced = true
			another := &Secrets{Client: client, Name: "wsresilience", Rotation: Rotation{week}}
			if _, err := another.Update(t.Context(), space("shop")); err != nil {
				t.Error(err)
			}
		}
		return 0
	})
	for _, name := range []string{"shop", "other"} {
		if there, err := s.Update(t.Context(), space(name)); err != nil || !there {
			t.Fatalf("%v, %v", there, err)
		}
	}
	if keys := splitKeys(string(server.Secret("shop", "wsresilience").Data[k8s.SecretTokenKeys])); !raced || len(keys) != 2 || keys[0] != "k" || len(keys[1]) != 44 {
		t.Errorf("raced %v: %d keys", raced, len(keys))
	}
	if got := server.Secret("other", "wsresilience").Data[k8s.SecretTokenKeys]; string(got) != "k" {
		t.Errorf("the keys of somebody else are %s", got)
	}
	if !s.Usable("shop") {
		t.Error("after a round the Secret is not known to be usable")
	}
	if there, err := s.Update(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "empty"}}); there || err != nil || server.Secret("empty", "wsresilience") != nil {
		t.Errorf("a namespace without the Secret: %v, %v", there, err)
	}
}

func stateText(t *testing.T, s keyState) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mustState(t *testing.T, text string) (s keyState) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKeyState: what a newer injector wrote is left alone, whatever its form.
func TestKeyState(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "{": 0, `{"version":2,"since":5}`: 2, `{"version":1,"since":5}`: 0, `{"version":1,"stage":"steady"}`: 1, `[]`: 0,
	} {
		if got := readKeyState(text); got.Version != want {
			t.Errorf("%s: %+v, want version %d", text, got, want)
		}
	}
}
