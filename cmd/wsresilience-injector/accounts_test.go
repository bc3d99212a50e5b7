package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster"
	"github.com/wsresilience/wsresilience/k8s/cluster/clustertest"
	"github.com/wsresilience/wsresilience/k8s/tenants"
	"github.com/wsresilience/wsresilience/store/natsstore"
	"github.com/wsresilience/wsresilience/store/storetest"
)

const accountsConfig = `
namespace: wsresilience
service: injector
webhook: injector
certificates: {secret: certificate}
secrets: {managed: true, natsURL: "NATS", accounts: {secret: operator, make: true, storage: 64Mi, connections: 4}}
sidecar: {image: "wsresilience:1", nats: true, natsAccounts: true, env: {WSR_NATS_REPLICAS: "1"}}
`

// natsServer is the chart's, which reads what the injector wrote into the
// operator's Secret, and keeps its accounts and streams in a folder.
func natsServer(t *testing.T, dir string, port int, operator *corev1.Secret) *natsserver.Server {
	t.Helper()
	config := filepath.Join(dir, "nats.conf")
	text := `include "operator.conf"
		resolver { type: full, dir: "` + dir + `/accounts", allow_delete: true }
		jetstream { store_dir: "` + dir + `", max_file_store: 1GiB, max_memory_store: 16MiB }`
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "operator.conf"), operator.Data[tenants.KeyServersConfig], 0o600)); err != nil {
		t.Fatal(err)
	}
	o, err := natsserver.ProcessConfigFile(config)
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port, o.NoLog, o.NoSigs = "127.0.0.1", port, true, true
	s, err := natsserver.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server does not start")
	}
	return s
}

// sidecarJournal opens the journal with what the Secret of a namespace says.
func sidecarJournal(t *testing.T, secret *corev1.Secret) (*natsstore.Store, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.creds")
	if err := os.WriteFile(file, secret.Data[k8s.SecretNATSCreds], 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := natsstore.Open(t.Context(), natsstore.Config{URL: string(secret.Data[k8s.SecretNATSURL]), CredsFile: file, Keys: storetest.Ring(t), Replicas: 1, ExpectStreams: true})
	if err == nil {
		t.Cleanup(func() { j.Close() })
		err = j.Ready(t.Context())
	}
	return j, err
}

// eventually waits for what happens in another process.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// TestAccountsOfNamespaces runs the injector and NATS as a cluster does: the
// servers wait for what the injector writes, pods do not wait for the servers,
// and accounts come and go with their namespaces.
func TestAccountsOfNamespaces(t *testing.T) {
	api := clustertest.New(t)
	api.PutWebhooks("injector", "namespace.inject", "pod.inject")
	api.PutNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "k1"}})
	add := func(name string, uid types.UID) {
		api.PutNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid, Labels: map[string]string{k8s.LabelInject: k8s.Enabled}}})
	}
	add("shop", "s1")
	add("chat", "c1")
	free, err := proc.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	binary, address := build(t), netip.MustParseAddrPort(free[0])
	config := strings.Replace(accountsConfig, "NATS", "nats://"+address.String(), 1)
	p := startProcess(t, binary, config, api)

	// NATS is not there yet: the pod is admitted at once.
	start := time.Now()
	if response := p.ask(t, reviewIn("shop")); !response.Allowed || response.Patch == nil {
		t.Fatalf("%+v", response)
	}
	if took := time.Since(start); took > 2*applyWait {
		t.Errorf("the pod waited %v for NATS", took)
	}
	eventually(t, "the operator's Secret", func() bool { return api.Secret("wsresilience", "operator") != nil })
	dir := t.TempDir()
	s := natsServer(t, dir, int(address.Port()), api.Secret("wsresilience", "operator"))
	// The next pod finds the servers, and brings its namespace an account.
	eventually(t, "the account of shop", func() bool {
		p.ask(t, reviewIn("shop"))
		_, err := sidecarJournal(t, api.Secret("shop", "wsresilience"))
		return err == nil
	})
	if response := p.ask(t, reviewIn("chat")); !response.Allowed {
		t.Fatalf("%+v", response)
	}
	shop, chat := api.Secret("shop", "wsresilience"), api.Secret("chat", "wsresilience")
	if _, err := sidecarJournal(t, chat); err != nil {
		t.Fatal(err)
	}
	if string(shop.Data[k8s.SecretNATSCreds]) == string(chat.Data[k8s.SecretNATSCreds]) || strings.Contains(string(shop.Data[k8s.SecretNATSURL]), "@") {
		t.Error("two namespaces have the same credentials")
	}
	if n := s.NumActiveAccounts(); n < 2 {
		t.Errorf("%d accounts are in use", n)
	}

	// The servers lose everything: the injector tells them again by itself.
	s.Shutdown()
	s.WaitForShutdown()
	natsServer(t, t.TempDir(), int(address.Port()), api.Secret("wsresilience", "operator"))
	eventually(t, "the accounts after NATS has lost its volumes", func() bool {
		_, err1 := sidecarJournal(t, shop)
		_, err2 := sidecarJournal(t, chat)
		return err1 == nil && err2 == nil
	})

	// A longer session lengthens the streams, which sidecars may not.
	longer := reviewIn("shop")
	longer.Request.Object.Object.(*corev1.Pod).Annotations = map[string]string{k8s.ConfigPrefix + "session-ttl": "1h"}
	if response := p.ask(t, longer); !response.Allowed {
		t.Fatalf("%+v", response)
	}
	file := filepath.Join(t.TempDir(), "nats.creds")
	if err := os.WriteFile(file, shop.Data[k8s.SecretNATSCreds], 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := natsstore.Open(t.Context(), natsstore.Config{URL: string(shop.Data[k8s.SecretNATSURL]), CredsFile: file, Keys: storetest.Ring(t), Replicas: 1, SessionTTL: time.Hour, ExpectStreams: true})
	if err != nil {
		t.Fatalf("a sidecar with longer sessions: %v", err)
	}
	j.Close()

	// A namespace that is made again is another tenant; what the first one had
	// is removed by the next injector.
	api.DeleteNamespace("chat")
	add("chat", "c2")
	if response := p.ask(t, reviewIn("chat")); !response.Allowed {
		t.Fatalf("%+v", response)
	}
	again := api.Secret("chat", "wsresilience")
	if again == nil || string(again.Data[k8s.SecretNATSCreds]) == string(chat.Data[k8s.SecretNATSCreds]) {
		t.Error("the new namespace has the credentials of the former one, or none")
	}
	p.stop(t)
	// Somebody has a copy of the credentials of shop: they are taken out.
	taken := api.Secret("shop", "wsresilience")
	delete(taken.Data, k8s.SecretNATSCreds)
	api.PutSecret(taken)
	next := startProcess(t, binary, config, api)
	eventually(t, "new credentials, and the end of the former ones", func() bool {
		c, err := nats.Connect(string(shop.Data[k8s.SecretNATSURL]), nats.UserCredentialBytes(shop.Data[k8s.SecretNATSCreds]), nats.NoReconnect())
		if err == nil {
			c.Close()
		}
		return err != nil && len(api.Secret("shop", "wsresilience").Data[k8s.SecretNATSCreds]) > 0
	})
	shop = api.Secret("shop", "wsresilience")
	eventually(t, "the end of the former account", func() bool {
		c, err := nats.Connect(string(chat.Data[k8s.SecretNATSURL]), nats.UserCredentialBytes(chat.Data[k8s.SecretNATSCreds]), nats.NoReconnect())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if _, err := sidecarJournal(t, again); err != nil {
		t.Errorf("the new namespace: %v", err)
	}
	if _, err := sidecarJournal(t, shop); err != nil {
		t.Errorf("the namespace beside it: %v", err)
	}
	if log := next.stop(t); strings.Contains(log, "SUA") || strings.Contains(log, "SOA") || strings.Contains(log, "eyJ") {
		t.Errorf("the log shows a key: %s", log)
	}
}

// reviewIn is of a pod in a namespace.
func reviewIn(namespace string) *admissionv1.AdmissionReview {
	review, no := checkReview(namespace), false
	review.Request.DryRun = &no
	return review
}

// TestOperatorIsMadeOnce: of two injectors that start at the same time one makes
// the operator's keys, and both use them. A Secret that cannot be read is never
// replaced: all accounts hang on it.
func TestOperatorIsMadeOnce(t *testing.T) {
	api := clustertest.New(t)
	api.PutNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "k1"}})
	t.Setenv("KUBECONFIG", api.Kubeconfig(t))
	client, err := cluster.Connect()
	if err != nil {
		t.Fatal(err)
	}
	config, err := parseConfig([]byte(strings.Replace(accountsConfig, "NATS", "nats://127.0.0.1:1", 1)))
	if err != nil {
		t.Fatal(err)
	}
	injector := func() *accounts {
		return &accounts{config: config, client: client, log: slog.New(slog.DiscardHandler), failed: func() {}, again: func() {}, refused: func(*corev1.Namespace) time.Time { return time.Time{} }}
	}
	first, second := injector(), injector()
	raced := false
	api.Before(func(call string) int {
		if strings.HasPrefix(call, http.MethodPost) && !raced {
			raced = true
			if err := second.open(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return 0
	})
	if err := first.open(t.Context()); err != nil || !raced {
		t.Fatalf("raced %v, %v", raced, err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "s1"}}
	one, err1 := first.credentials(namespace, nil, time.Time{})
	two, err2 := second.credentials(namespace, one, time.Time{})
	if err1 != nil || err2 != nil || string(one) != string(two) {
		t.Errorf("two injectors make different credentials: %v, %v", err1, err2)
	}
	broken := api.Secret("wsresilience", "operator")
	broken.Data = map[string][]byte{"operator-seed": []byte("SOhunter2")}
	api.PutSecret(broken)
	if err := injector().open(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") || string(api.Secret("wsresilience", "operator").Data["operator-seed"]) != "SOhunter2" {
		t.Errorf("a Secret that cannot be used: %v", err)
	}
}
