package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Namespaces of the run. That of the app is examples/echo's.
const (
	releaseSpace    = "wsr-system"
	appSpace        = "wsr-echo"
	clientSpace     = "wsr-clients"
	restrictedSpace = "wsr-restricted"
	redirectSpace   = "wsr-redirect"
	intruderSpace   = "wsr-intruder"
	openShiftSpace  = "wsr-openshift"
)

// patience is for anything that a cluster does in seconds.
const patience = 3 * time.Minute

// A cluster is the cluster under test. It is used by one goroutine.
type cluster struct {
	*options
	say     func(format string, args ...any)
	work    string // folder
	results []result
}

// output runs a command and returns what it prints. Its error has the command
// and what it said.
func (c *cluster) output(ctx context.Context, name string, args ...string) (string, error) {
	return c.feed(ctx, "", name, args...)
}

func (c *cluster) feed(ctx context.Context, stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), &commandError{command: name + " " + strings.Join(args, " "), said: strings.TrimSpace(said.String() + "\n" + out.String()), err: err}
	}
	return out.String() + said.String(), nil
}

// A commandError is a command that failed.
type commandError struct {
	command, said string
	err           error
}

func (e *commandError) Error() string { return fmt.Sprintf("%s: %v\n%s", e.command, e.err, e.said) }
func (e *commandError) Unwrap() error { return e.err }

func (c *cluster) kube(ctx context.Context, args ...string) (string, error) {
	return c.output(ctx, c.kubectl, args...)
}

// apply applies manifests and returns what kubectl prints, warnings too.
func (c *cluster) apply(ctx context.Context, manifests string) (string, error) {
	return c.feed(ctx, manifests, c.kubectl, "apply", "-f", "-")
}

func (c *cluster) helmRun(ctx context.Context, args ...string) (string, error) {
	return c.output(ctx, c.helm[0], append(c.helm[1:len(c.helm):len(c.helm)], args...)...)
}

// values are what this cluster needs of the chart: there may be no storage
// class, and images are there already.
func (c *cluster) values(more ...string) []string {
	repository, tag, _ := cutLast(c.image, ":")
	args := []string{"--namespace", c.namespace, "--wait", "--timeout", patience.String(),
		"--set", "image.repository=" + repository, "--set", "image.tag=" + tag,
		"--set", "nats.bundled.persistence.enabled=false"}
	for _, v := range slices.Concat(c.set, more) {
		args = append(args, "--set", v)
	}
	return args
}

func cutLast(text, at string) (before, after string, found bool) {
	if i := strings.LastIndex(text, at); i >= 0 {
		return text[:i], text[i+len(at):], true
	}
	return text, "", false
}

// prepare brings everything up: the release, the app, the clients.
func (c *cluster) prepare(ctx context.Context) (err error) {
	if c.work, err = os.MkdirTemp("", "kubetest"); err != nil {
		return err
	}
	if err := c.images(ctx); err != nil {
		return err
	}
	c.say("installing the chart")
	if _, err := c.helmRun(ctx, append([]string{"install", "wsresilience", c.chart, "--create-namespace"}, c.values()...)...); err != nil {
		return err
	}
	if _, err := c.helmRun(ctx, "test", "wsresilience", "--namespace", c.namespace); err != nil {
		return err
	}
	c.say("deploying the app")
	after, err := os.ReadFile("examples/echo/after.yaml")
	if err != nil {
		return err
	}
	if _, err := c.apply(ctx, string(after)); err != nil {
		return err
	}
	if err := c.rollout(ctx); err != nil {
		return err
	}
	c.say("connecting %d clients", c.clients)
	return c.connect(ctx, clientSpace, "ws://echo."+appSpace+".svc.cluster.local/echo", c.clients)
}

// connect runs clients in a namespace of its own, and waits for them.
func (c *cluster) connect(ctx context.Context, space, url string, clients int) error {
	if _, err := c.apply(ctx, fmt.Sprintf(clientManifest, space, clientImage, url, clients)); err != nil {
		return err
	}
	return c.connected(ctx, space)
}

// connected waits until each client of a namespace has an echo.
func (c *cluster) connected(ctx context.Context, space string) error {
	if _, err := c.kube(ctx, "wait", "-n", space, "pod/clients", "--for=condition=Ready", "--timeout="+patience.String()); err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Second) {
		t, err := c.ask(ctx, space, "settle")
		if err != nil {
			return err
		}
		if t.Settled && t.Resilient.Longest.N == t.Resilient.Clients && t.Plain.Longest.N == t.Plain.Clients {
			return nil
		}
		if _, err := c.ask(ctx, space, "go"); err != nil {
			return err
		}
		time.Sleep(2 * time.Second)
	}
	return errors.New("kubetest: not all clients have got an echo")
}

// ask asks the pod of the clients, through the API server: this works wherever
// kubectl does.
func (c *cluster) ask(ctx context.Context, space, what string) (*account, error) {
	text, err := c.kube(ctx, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/clients:8080/proxy/%s", space, what))
	if err != nil {
		return nil, err
	}
	t := new(account)
	if err := json.Unmarshal([]byte(text), t); err != nil {
		return nil, fmt.Errorf("kubetest: what the clients said of %s: %w", what, err)
	}
	return t, nil
}

// rollout waits until the app is as wanted, and its old pods are gone.
func (c *cluster) rollout(ctx context.Context) error {
	if _, err := c.kube(ctx, "rollout", "status", "-n", appSpace, "deployment/echo", "--timeout="+patience.String()); err != nil {
		return err
	}
	return c.leavers(ctx, appSpace)
}

// leavers waits until no pod of a namespace is on its way out.
func (c *cluster) leavers(ctx context.Context, space string) error {
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(500 * time.Millisecond) {
		out, err := c.kube(ctx, "get", "pods", "-n", space, "-o", `jsonpath={range .items[*]}{.metadata.deletionTimestamp}{"\n"}{end}`)
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) == "" {
			return nil
		}
	}
	return fmt.Errorf("kubetest: pods in %s did not go within %v", space, patience)
}

// explain says what can be known of a cluster that did not do as it should.
func (c *cluster) explain(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"logs", "-n", c.namespace, "-l", "app.kubernetes.io/component=injector", "--tail=20"},
		{"logs", "-n", appSpace, "-l", "app=echo", "-c", "wsresilience", "--tail=20"},
	} {
		out, _ := c.kube(ctx, args...) // whatever there is
		lines := strings.Split(out, "\n")
		c.say("$ kubectl %s\n%s", strings.Join(args, " "), strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}

// clean removes what the run has made.
func (c *cluster) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = c.helmRun(ctx, "uninstall", "wsresilience", "--namespace", c.namespace) // it may be gone
	args := []string{"delete", "namespace", "--ignore-not-found", "--wait=false", appSpace, clientSpace, restrictedSpace, agentSpace, redirectSpace, intruderSpace, openShiftSpace, c.namespace}
	if _, err := c.kube(ctx, args...); err != nil {
		c.say("%v", err)
	}
	_, _ = c.kube(ctx, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding,mutatingadmissionpolicy,mutatingadmissionpolicybinding", "--ignore-not-found", openShiftSpace) // it may never have been there
	_ = os.RemoveAll(c.work)                                                                                                                                                                // only build output
}

// clientManifest has the namespace, the image, the URL and the number of clients.
const clientManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: Pod
metadata: {name: clients, namespace: %[1]s}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: clients
      image: %[2]s
      imagePullPolicy: IfNotPresent
      args: [clients, -url, "%[3]s", -clients, "%[4]d"]
      ports: [{containerPort: 8080}]
      readinessProbe: {httpGet: {path: /tally, port: 8080}, periodSeconds: 1}
`
