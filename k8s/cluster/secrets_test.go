package cluster

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// ours is a Secret that the injector made.
func ours(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "wsresilience", Labels: map[string]string{managedBy: manager}}, Data: data,
	}
}

func space(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func data(keysAndValues ...string) map[string][]byte {
	d := map[string][]byte{}
	for i := 0; i < len(keysAndValues); i += 2 {
		d[keysAndValues[i]] = []byte(keysAndValues[i+1])
	}
	return d
}

func foreignSecret(d map[string][]byte) *corev1.Secret {
	s := ours(d)
	s.Labels = nil
	return s
}

func TestEnsure(t *testing.T) {
	const keys, url = k8s.SecretTokenKeys, k8s.SecretNATSURL
	tests := []struct {
		name    string
		have    *corev1.Secret
		source  map[string][]byte // of the Secret "nats"; nil: URL is given instead
		want    map[string][]byte // but for keys that are made
		wantErr string
	}{
		{name: "made", want: data(url, "nats://u")},
		{name: "made from the source", source: data(url, "nats://s", k8s.SecretNATSCA, "ca", "other", "x"), want: data(url, "nats://s", k8s.SecretNATSCA, "ca")},
		{name: "keys stay", have: ours(data(keys, "k", url, "nats://u")), want: data(keys, "k", url, "nats://u")},
		{name: "the address follows", have: ours(data(keys, "k", url, "old", "mine", "m")), want: data(keys, "k", url, "nats://u", "mine", "m")},
		{name: "keys that were removed", have: ours(data(url, "nats://u")), want: data(url, "nats://u")},
		{name: "unmanaged", have: foreignSecret(data(keys, "k", url, "own")), want: data(keys, "k", url, "own")},
		{name: "unmanaged without keys", have: foreignSecret(data(url, "own")), want: data(url, "own"), wantErr: "has no token-keys and is not the injector's"},
		{name: "unmanaged without NATS", have: foreignSecret(data(keys, "k")), want: data(keys, "k"), wantErr: "has no nats-url"},
		{name: "source without an address", source: data("x", "y"), wantErr: "the Secret nats of namespace own has no nats-url"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server, client := start(t)
			s := &Secrets{Client: client, Name: "wsresilience", Namespace: "own", URL: "nats://u"}
			if test.source != nil {
				s.NATS, s.URL = "nats", ""
				server.PutSecret(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "own", Name: "nats"}, Data: test.source})
			}
			if test.have != nil {
				server.PutSecret(test.have)
			}
			there, err := s.Ensure(t.Context(), space("shop"))
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) || there {
					t.Errorf("there %v, %v", there, err)
				}
			} else if err != nil || !there {
				t.Fatalf("there %v, %v", there, err)
			}
			got := map[string][]byte{}
			if secret := server.Secret("shop", "wsresilience"); secret != nil {
				got = secret.Data
			}
			if _, given := test.want[keys]; !given && test.wantErr == "" {
				if len(got[keys]) != 44 {
					t.Errorf("made keys of %d characters", len(got[keys]))
				}
				delete(got, keys)
			}
			if len(got) != len(test.want) {
				t.Errorf("keys %d, want %d", len(got), len(test.want))
			}
			for name, value := range test.want {
				if string(got[name]) != string(value) {
					t.Errorf("%s is %q, want %q", name, got[name], value)
				}
			}
		})
	}
}

func TestEnsureAsksOnceAMinute(t *testing.T) {
	server, client := start(t)
	s := &Secrets{Client: client, Name: "wsresilience"}
	for range 3 {
		if _, err := s.Ensure(t.Context(), space("shop")); err != nil {
			t.Fatal(err)
		}
	}
	if calls := server.Calls(); len(calls) != 2 {
		t.Errorf("calls %q", calls)
	}
	// Later the cluster is asked again; when it is away, the Secret was there.
	s.seen["shop"] = sighting{at: time.Now().Add(-2 * secretTTL)}
	server.Before(func(string) int { return http.StatusInternalServerError })
	if there, err := s.Ensure(t.Context(), space("shop")); !there || err == nil {
		t.Errorf("there %v, %v", there, err)
	}
	if there, err := s.Ensure(t.Context(), space("other")); there || err == nil {
		t.Errorf("there %v, %v", there, err)
	}
}

// TestEnsureRace: while one replica makes the Secret, so does the other. Both
// end with the same keys.
func TestEnsureRace(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		t.Run(method, func(t *testing.T) {
			server, client := start(t)
			if method == http.MethodPut {
				server.PutSecret(ours(data(k8s.SecretNATSURL, "old")))
			}
			raced := false
			server.Before(func(call string) int {
				if strings.HasPrefix(call, method) && !raced {
					raced = true
					server.PutSecret(ours(data(k8s.SecretTokenKeys, "theirs")))
				}
				return 0
			})
			s := &Secrets{Client: client, Name: "wsresilience", URL: "nats://u"}
			if _, err := s.Ensure(t.Context(), space("shop")); err != nil {
				t.Fatal(err)
			}
			got := server.Secret("shop", "wsresilience").Data
			if !raced || string(got[k8s.SecretTokenKeys]) != "theirs" || string(got[k8s.SecretNATSURL]) != "nats://u" {
				t.Errorf("raced %v: %q", raced, got)
			}
		})
	}
}
