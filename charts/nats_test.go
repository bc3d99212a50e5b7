package charts

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wsresilience/wsresilience/k8s/tenants"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// natsEnv is the environment of the servers' container, as Kubernetes makes it
// of what is there and of the Secret.
func natsEnv(t *testing.T, r *release) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, e := range one[*appsv1.StatefulSet](t, r, fullname+"-nats").Spec.Template.Spec.Containers[0].Env {
		value := e.Value
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			ref := e.ValueFrom.SecretKeyRef
			value = string(one[*corev1.Secret](t, r, ref.Name).Data[ref.Key])
		}
		for name, known := range env {
			value = strings.ReplaceAll(value, "$("+name+")", known)
		}
		env[e.Name] = value
	}
	return env
}

// operatorSecret is what the injector puts into the operator's Secret.
var operatorSecret = sync.OnceValues(tenants.NewSecret)

// natsOptions reads nats.conf as the server does.
func natsOptions(t *testing.T, r *release, env map[string]string) *server.Options {
	t.Helper()
	for name, value := range env {
		if strings.HasPrefix(name, "NATS_") {
			t.Setenv(name, value)
		}
	}
	dir := t.TempDir()
	data, err := operatorSecret()
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "nats-operator"), 0o700)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "nats"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "nats-operator", tenants.KeyServersConfig), data[tenants.KeyServersConfig], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nats", "nats.conf")
	text := one[*corev1.ConfigMap](t, r, fullname+"-nats").Data["nats.conf"]
	// The servers' disk is not there.
	text = strings.Replace(text, "/data/accounts", dir+"/accounts", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return options
}

func TestNATSConfig(t *testing.T) {
	for values, replicas := range map[string]int{"": 3, "nats: {bundled: {replicas: 1}}": 1, "nats: {bundled: {replicas: 5}}": 5} {
		r := decode(t, rendered(t, values))
		env := natsEnv(t, r)
		o := natsOptions(t, r, env)
		set := one[*appsv1.StatefulSet](t, r, fullname+"-nats")
		if !o.JetStream || !o.SyncAlways || o.MaxPayload != natsstore.DefaultMaxPayload {
			t.Errorf("JetStream %v, sync always %v, max payload %d", o.JetStream, o.SyncAlways, o.MaxPayload)
		}
		volume := set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().Value()
		if o.JetStreamMaxStore < natsstore.DefaultMaxBytes+4<<20 || o.JetStreamMaxStore > volume/10*9 {
			t.Errorf("store %d on a volume of %d", o.JetStreamMaxStore, volume)
		}
		container := set.Spec.Template.Spec.Containers[0]
		if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == o.StoreDir }) {
			t.Errorf("%s is no volume", o.StoreDir)
		}
		if grace := *set.Spec.Template.Spec.TerminationGracePeriodSeconds; float64(grace) < o.LameDuckDuration.Seconds()+o.LameDuckGracePeriod.Seconds()+10 {
			t.Errorf("%d s to stop, of which the lame duck takes %v", grace, o.LameDuckDuration)
		}
		ports := map[string]int{}
		for _, p := range container.Ports {
			ports[p.Name] = int(p.ContainerPort)
		}
		if ports["client"] != o.Port || ports["monitor"] != o.HTTPPort || replicas > 1 && ports["cluster"] != o.Cluster.Port {
			t.Errorf("ports %v; the server's are %d, %d, %d", ports, o.Port, o.HTTPPort, o.Cluster.Port)
		}
		if int(*set.Spec.Replicas) != replicas || len(o.Routes) != map[bool]int{true: replicas, false: 0}[replicas > 1] {
			t.Errorf("%d replicas, %d routes", *set.Spec.Replicas, len(o.Routes))
		}
		for i, route := range o.Routes {
			host := set.Name + "-" + string(rune('0'+i)) + "." + set.Spec.ServiceName + "." + namespace + ".svc"
			if password, _ := route.User.Password(); route.Hostname() != host || password != o.Cluster.Password || password != env["NATS_ROUTE_PASSWORD"] {
				t.Errorf("route %d goes to %s as %s, want %s", i, route.Hostname(), route.User, host)
			}
		}
		if len(o.TrustedOperators) != 1 || o.SystemAccount == "" || o.AccountResolver == nil || len(o.Users) != 0 || env["NATS_PASSWORD"] != "" {
			t.Errorf("%d operators, %d users", len(o.TrustedOperators), len(o.Users))
		}
	}
}

// shared has one user for all namespaces.
const shared = "nats: {accounts: {enabled: false}}"

// TestSharedUser: without accounts there is one user, whose password is in the
// Secret alone.
func TestSharedUser(t *testing.T) {
	r := decode(t, rendered(t, shared))
	env := natsEnv(t, r)
	o := natsOptions(t, r, env)
	if len(o.Users) != 1 || len(o.TrustedOperators) != 0 || o.Users[0].Password != env["NATS_PASSWORD"] || o.Users[0].Password == o.Cluster.Password {
		t.Errorf("%d users, %d operators; or the passwords are not those of the Secret, or the same", len(o.Users), len(o.TrustedOperators))
	}
}

// TestAccountsFit: by default a volume has room for a few namespaces.
func TestAccountsFit(t *testing.T) {
	r := decode(t, rendered(t, ""))
	o := natsOptions(t, r, natsEnv(t, r))
	c := configOf(t, r)
	if n := o.JetStreamMaxStore / c.Secrets.Accounts.Storage.Value(); n < 8 {
		t.Errorf("room for %d namespaces", n)
	}
}

// TestNATSSizes: the smallest volume that the schema takes holds the journal,
// in an emptyDir too.
func TestNATSSizes(t *testing.T) {
	r := decode(t, rendered(t, "nats: {bundled: {persistence: {enabled: false, size: 6Gi}}}"))
	o := natsOptions(t, r, natsEnv(t, r))
	set := one[*appsv1.StatefulSet](t, r, fullname+"-nats")
	if len(set.Spec.VolumeClaimTemplates) != 0 {
		t.Error("there is a volume")
	}
	var limit *resource.Quantity
	for _, v := range set.Spec.Template.Spec.Volumes {
		if v.EmptyDir != nil {
			limit = v.EmptyDir.SizeLimit
		}
	}
	if limit == nil || limit.String() != "6Gi" || o.JetStreamMaxStore < natsstore.DefaultMaxBytes+4<<20 {
		t.Errorf("limit %v, store %d", limit, o.JetStreamMaxStore)
	}
}

// TestNATSPermissions: the user may do what docs/OPERATING.md lists, and
// update streams, whose age grows with the longest WSR_SESSION_TTL.
func TestNATSPermissions(t *testing.T) {
	text, err := os.ReadFile("../docs/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := func(row string) (subjects []string) {
		line := regexp.MustCompile(`(?m)^\| ` + row + ` \| (.*) \|$`).FindStringSubmatch(string(text))
		if line == nil {
			t.Fatalf("docs/OPERATING.md has no row %q", row)
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line[1], -1) {
			subjects = append(subjects, m[1])
		}
		slices.Sort(subjects)
		return subjects
	}
	r := decode(t, rendered(t, shared))
	p := natsOptions(t, r, natsEnv(t, r)).Users[0].Permissions
	publish := slices.DeleteFunc(slices.Sorted(slices.Values(p.Publish.Allow)), func(s string) bool { return s == "$JS.API.STREAM.UPDATE.*" })
	if len(publish) >= len(p.Publish.Allow) && !slices.Contains(documented("publish"), "$JS.API.STREAM.UPDATE.*") {
		t.Error("the user may not update streams")
	}
	want := slices.DeleteFunc(documented("publish"), func(s string) bool { return s == "$JS.API.STREAM.UPDATE.*" })
	if !slices.Equal(publish, want) {
		t.Errorf("publish %q, documented %q", publish, want)
	}
	if got := slices.Sorted(slices.Values(p.Subscribe.Allow)); !slices.Equal(got, documented("subscribe")) {
		t.Errorf("subscribe %q, documented %q", got, documented("subscribe"))
	}
}

// TestNATSVersion: the server that is bundled is the one that the journal is
// tested with.
func TestNATSVersion(t *testing.T) {
	image := one[*appsv1.StatefulSet](t, decode(t, rendered(t, "")), fullname+"-nats").Spec.Template.Spec.Containers[0].Image
	if want := "nats:" + server.VERSION + "-alpine"; image != want {
		t.Errorf("the image is %s, want %s", image, want)
	}
	image = one[*appsv1.StatefulSet](t, decode(t, rendered(t, everything)), fullname+"-nats").Spec.Template.Spec.Containers[0].Image
	if want := "registry.example:5000/nats@sha256:abcdef"; !strings.HasPrefix(image, want) {
		t.Errorf("with a digest the image is %s, want %s...", image, want)
	}
}
