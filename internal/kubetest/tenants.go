package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tenantsApart: a namespace with sidecars of its own, whose author uses all that
// its Secret gives, neither reaches the journal of the app's namespace nor its
// sidecars' peer port, and its account is refused the other's Secret. Tokens of
// either namespace are worth nothing in the other. The app's clients notice nothing.
func tenantsApart(ctx context.Context, c *cluster, r *result) error {
	victim, err := c.kube(ctx, "get", "pods", "-n", appSpace, "-l", "app=echo", "-o", "jsonpath={.items[0].status.podIP}")
	if err != nil {
		return err
	}
	manifest := fmt.Sprintf(intruderManifest, "nats://wsresilience-nats."+c.namespace+".svc:4222", net.JoinHostPort(victim, "15801"))
	if _, err := c.apply(ctx, manifest); err != nil {
		return err
	}
	if _, err := c.kube(ctx, "wait", "-n", intruderSpace, "pod/intruder", "--for=jsonpath={.status.containerStatuses[0].state.terminated.reason}=Completed", "--timeout=120s"); err != nil {
		logs, _ := c.kube(ctx, "logs", "-n", intruderSpace, "intruder", "-c", "intruder")
		return fmt.Errorf("%w\n%s", err, logs)
	}
	logs, err := c.kube(ctx, "logs", "-n", intruderSpace, "intruder", "-c", "intruder")
	if err != nil {
		return err
	}
	var found intrusion
	if err := json.Unmarshal([]byte(logs), &found); err != nil {
		return fmt.Errorf("kubetest: what the intruder says: %w\n%s", err, logs)
	}
	r.expect(found.Messages == 0, "it sees %d messages of others", found.Messages)
	r.expect(len(found.Allowed) == 0, "it may %v", found.Allowed)
	r.expect(found.Full && found.Refused, "its own journal took everything (full %v), or its own streams can be changed (refused %v)", found.Full, found.Refused)
	r.expect(!found.Proof && found.Peer != "", "the peer port proves itself to a stranger: %q", found.Peer)
	r.expect(found.Back == "resumed" || found.Back == "adopted", "the app's namespace does not know its own token: %q", found.Back)
	r.expect(strings.HasPrefix(found.TheirsHere, "reset"), "a token of the app's namespace, in the intruder's: %q", found.TheirsHere)
	r.expect(strings.HasPrefix(found.OursThere, "reset"), "a token of the intruder's namespace, in the app's: %q", found.OursThere)
	r.note = fmt.Sprintf("%d connections were let in, the peer port says %q", found.Connections, found.Peer)
	for _, verb := range []string{"get", "update"} {
		out, _ := c.kube(ctx, "auth", "can-i", verb, "secrets/wsresilience", "-n", appSpace, "--as", "system:serviceaccount:"+intruderSpace+":default")
		r.expect(strings.HasPrefix(strings.TrimSpace(out), "no"), "the tenant's account may %s the other's Secret: %q", verb, out)
	}
	secret := func(space string) (string, error) {
		return c.kube(ctx, "get", "secret", "wsresilience", "-n", space, "-o", "jsonpath={.data}")
	}
	mine, err := secret(intruderSpace)
	if err != nil {
		return err
	}
	theirs, err := secret(appSpace)
	r.expect(mine != theirs && strings.Contains(mine, "nats-creds"), "both namespaces have the same Secret, or none with credentials")
	return err
}

// intruderManifest has the address of NATS and the victim's.
const intruderManifest = `
apiVersion: v1
kind: Namespace
metadata:
  name: ` + intruderSpace + `
  labels: {wsresilience.io/inject: enabled}
---
apiVersion: v1
kind: Pod
metadata: {name: intruder, namespace: ` + intruderSpace + `}
spec:
  restartPolicy: Never
  volumes: [{name: creds, secret: {secretName: wsresilience}}]
  containers:
    - name: intruder
      image: ` + clientImage + `
      imagePullPolicy: IfNotPresent
      args: [intruder, -nats, "%s", -creds, /creds/nats-creds, -peer, "%s"]
      ports: [{name: http, containerPort: 8080}]
      volumeMounts: [{name: creds, mountPath: /creds, readOnly: true}]
`

// An intrusion is what an intruder could do.
type intrusion struct {
	Messages    uint64   // in the journal that it sees, of others
	Allowed     []string // requests that were answered and should not be
	Refused     bool     // changing its own streams is
	Full        bool     // its own journal takes no more after a while
	Connections int      // that it got at once
	Peer        string   // what the other's sidecar answers, asked as by a peer
	Proof       bool     // it proved something
	crossing
}

// maxProbes bounds what an intruder tries of one kind.
const maxProbes = 1200

// runIntruder does in a pod what an author of pods can do with the Secret of the
// namespace, and prints what came of it.
func runIntruder(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(roleIntruder, flag.ContinueOnError)
	url := flags.String("nats", "", "address of NATS")
	creds := flags.String("creds", "", "credentials file")
	peer := flags.String("peer", "", "address of another namespace's sidecar")
	if err := flags.Parse(args); err != nil {
		return err
	}
	go serveEcho(":8080")
	var found intrusion
	denied := make(chan error, maxProbes)
	dial := func() (*nats.Conn, error) {
		return nats.Connect(*url, nats.UserCredentials(*creds), nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case denied <- err:
			default:
			}
		}))
	}
	c, err := dial()
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); c, err = dial() {
		time.Sleep(time.Second) // the account is being made
	}
	if err != nil {
		return err
	}
	defer c.Close()
	js, err := jetstream.New(c)
	if err != nil {
		return err
	}
	for shard := range 4 {
		stream, err := js.Stream(ctx, fmt.Sprint("WSR_LOG_", shard))
		if err != nil {
			return err
		}
		found.Messages += stream.CachedInfo().State.Msgs
	}
	for _, subject := range []string{"$JS.API.STREAM.NAMES", "$JS.API.STREAM.UPDATE.WSR_LOG_0", "$JS.API.STREAM.DELETE.WSR_LOG_0", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.SERVER.PING"} {
		if answer, err := c.Request(subject, []byte("{}"), time.Second); err == nil {
			found.Allowed = append(found.Allowed, subject+" "+string(answer.Data))
		}
	}
	for len(denied) > 0 {
		found.Refused = errors.Is(<-denied, nats.ErrPermissionViolation) || found.Refused
	}
	for i := range maxProbes {
		if _, err := js.Publish(ctx, fmt.Sprintf("wsr.log.0.junk%d", i), make([]byte, 512<<10)); err != nil {
			found.Full = true
			break
		}
	}
	var all []*nats.Conn
	for range maxProbes {
		more, err := dial()
		if err != nil {
			break
		}
		all = append(all, more)
	}
	found.Connections = len(all)
	for _, more := range all {
		more.Close()
	}
	found.Peer, found.Proof = askPeer(*peer)
	if found.crossing, err = cross(ctx, "127.0.0.1:15801", *peer); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// askPeer asks a sidecar as another one would, without its keys.
func askPeer(address string) (status string, proof bool) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "no connection", false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/.well-known/wsr-peer", nil)
	if err != nil {
		return err.Error(), false
	}
	request.Header.Set("Wsr-Peer", strings.Repeat("A", 200))
	if err := request.Write(c); err != nil {
		return "closed", false
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), request)
	if err != nil {
		return "closed", false
	}
	defer answer.Body.Close()
	return answer.Status, answer.Header.Get("Wsr-Peer") != ""
}
