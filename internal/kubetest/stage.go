package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Namespaces of the run, beside the release's. That of the app is
// examples/echo's.
const (
	appSpace        = "wsr-echo"
	crowdSpace      = "wsr-crowd"
	restrictedSpace = "wsr-restricted"
	redirectSpace   = "wsr-redirect"
)

// patience is for anything that a cluster does in seconds.
const patience = 3 * time.Minute

// A stage is the cluster under test. It is used by one goroutine.
type stage struct {
	*options
	say     func(format string, args ...any)
	work    string // folder
	results []result
}

// output runs a command and returns what it prints. Its error has the command
// and what it said.
func (s *stage) output(ctx context.Context, name string, args ...string) (string, error) {
	return s.feed(ctx, "", name, args...)
}

func (s *stage) feed(ctx context.Context, stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
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

func (s *stage) kube(ctx context.Context, args ...string) (string, error) {
	return s.output(ctx, s.kubectl, args...)
}

// apply applies manifests and returns what kubectl prints, warnings too.
func (s *stage) apply(ctx context.Context, manifests string) (string, error) {
	return s.feed(ctx, manifests, s.kubectl, "apply", "-f", "-")
}

func (s *stage) helmRun(ctx context.Context, args ...string) (string, error) {
	return s.output(ctx, s.helm[0], append(s.helm[1:len(s.helm):len(s.helm)], args...)...)
}

// values are what this cluster needs of the chart: there may be no storage
// class, and images are there already.
func (s *stage) values(more ...string) []string {
	repository, tag, _ := cutLast(s.image, ":")
	args := []string{"--namespace", s.namespace, "--wait", "--timeout", patience.String(),
		"--set", "image.repository=" + repository, "--set", "image.tag=" + tag,
		"--set", "nats.bundled.persistence.enabled=false"}
	for _, v := range more {
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

// prepare brings everything up: the release, the app, the crowd.
func (s *stage) prepare(ctx context.Context) (err error) {
	if s.work, err = os.MkdirTemp("", "kubetest"); err != nil {
		return err
	}
	if err := s.images(ctx); err != nil {
		return err
	}
	s.say("installing the chart")
	if _, err := s.helmRun(ctx, append([]string{"install", "wsresilience", s.chart, "--create-namespace"}, s.values()...)...); err != nil {
		return err
	}
	if _, err := s.helmRun(ctx, "test", "wsresilience", "--namespace", s.namespace); err != nil {
		return err
	}
	s.say("deploying the app")
	after, err := os.ReadFile("examples/echo/after.yaml")
	if err != nil {
		return err
	}
	if _, err := s.apply(ctx, string(after)); err != nil {
		return err
	}
	if err := s.rollout(ctx, "deployment/echo"); err != nil {
		return err
	}
	s.say("connecting %d clients", s.clients)
	return s.connect(ctx, crowdSpace, "ws://echo."+appSpace+".svc.cluster.local/echo", s.clients)
}

// connect runs a crowd in a namespace of its own, and waits until each client
// has an echo.
func (s *stage) connect(ctx context.Context, space, url string, clients int) error {
	if _, err := s.apply(ctx, fmt.Sprintf(crowdManifest, space, crowdImage, url, clients)); err != nil {
		return err
	}
	if _, err := s.kube(ctx, "wait", "-n", space, "pod/crowd", "--for=condition=Ready", "--timeout="+patience.String()); err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Second) {
		t, err := s.ask(ctx, space, "settle")
		if err != nil {
			return err
		}
		if t.Settled && t.Resilient.Sent >= t.Resilient.Clients && t.Plain.Sent >= t.Plain.Clients {
			return nil
		}
		if _, err := s.ask(ctx, space, "go"); err != nil {
			return err
		}
		time.Sleep(2 * time.Second)
	}
	return errors.New("kubetest: not all clients have got an echo")
}

// ask asks a crowd, through the API server: this works wherever kubectl does.
func (s *stage) ask(ctx context.Context, space, what string) (*tally, error) {
	text, err := s.kube(ctx, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/crowd:8080/proxy/%s", space, what))
	if err != nil {
		return nil, err
	}
	t := new(tally)
	if err := json.Unmarshal([]byte(text), t); err != nil {
		return nil, fmt.Errorf("kubetest: what the crowd said of %s: %w", what, err)
	}
	return t, nil
}

// rollout waits until a workload of the app's namespace is as wanted, and its
// old pods are gone.
func (s *stage) rollout(ctx context.Context, workload string) error {
	if _, err := s.kube(ctx, "rollout", "status", "-n", appSpace, workload, "--timeout="+patience.String()); err != nil {
		return err
	}
	return s.leavers(ctx, appSpace)
}

// leavers waits until no pod of a namespace is on its way out.
func (s *stage) leavers(ctx context.Context, space string) error {
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(500 * time.Millisecond) {
		out, err := s.kube(ctx, "get", "pods", "-n", space, "-o", `jsonpath={range .items[*]}{.metadata.deletionTimestamp}{"\n"}{end}`)
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
func (s *stage) explain(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"logs", "-n", s.namespace, "-l", "app.kubernetes.io/component=injector", "--tail=20"},
		{"logs", "-n", appSpace, "-l", "app=echo", "-c", "wsresilience", "--tail=20"},
	} {
		out, _ := s.kube(ctx, args...) // whatever there is
		lines := strings.Split(out, "\n")
		s.say("$ kubectl %s\n%s", strings.Join(args, " "), strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
	return nil
}

// clean removes what the run has made.
func (s *stage) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = s.helmRun(ctx, "uninstall", "wsresilience", "--namespace", s.namespace) // it may be gone
	args := []string{"delete", "namespace", "--ignore-not-found", "--wait=false", appSpace, crowdSpace, restrictedSpace, redirectSpace, s.namespace}
	if _, err := s.kube(ctx, args...); err != nil {
		s.say("%v", err)
	}
	_ = os.RemoveAll(s.work) // only build output
}

// crowdManifest has the namespace, the image, the URL and the number of clients.
const crowdManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: Pod
metadata: {name: crowd, namespace: %[1]s}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: crowd
      image: %[2]s
      imagePullPolicy: IfNotPresent
      args: [crowd, -url, "%[3]s", -clients, "%[4]d"]
      ports: [{containerPort: 8080}]
      readinessProbe: {httpGet: {path: /tally, port: 8080}, periodSeconds: 1}
`
