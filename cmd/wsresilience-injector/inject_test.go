package main

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	injectSpec    = "{containers: [{name: a, image: i, ports: [{name: http, containerPort: 8080}]}]}"
	injectPod     = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: " + injectSpec + "\n"
	injectService = "apiVersion: v1\nkind: Service   # stays as it is\nmetadata: {name: chat}\nspec: {selector: {app: chat}, ports: [{port: 80, targetPort: 8080}]}\n"
	injectDeploy  = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: chat}\nspec: {selector: {matchLabels: {app: chat}}, template: {metadata: {labels: {app: chat}}, spec: " + injectSpec + "}}\n"
)

// run is one command line, in a directory with these files.
func run(t *testing.T, files map[string]string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code = command(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// TestInjectSays what it did on standard error, and prints manifests only.
func TestInjectSays(t *testing.T) {
	const prefix = "wsresilience-injector: inject: "
	files := map[string]string{
		"service.yaml": injectService, "deployment.yaml": injectDeploy,
		"host.yaml":     strings.Replace(injectPod, "{containers", "{hostNetwork: true, containers", 1),
		"disabled.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {wsresilience.io/inject: disabled}}\n---\n" + strings.Replace(injectPod, "{name: a}", "{name: a, namespace: shop}", 1),
		"bad.yaml":      injectService + "---\nkind: [\n",
		"value.yaml":    injectService + "---\n" + strings.Replace(injectPod, "{name: a}", "{name: a, annotations: {wsresilience.io/port: none!}}", 1),
		"good.conf":     goodConfig,
		"typo.conf":     strings.Replace(goodConfig, "image:", "imaage:", 1),
		"env.conf":      strings.Replace(goodConfig, "nats: true", "nats: true, env: {WSR_SESSION_TTL: '5'}", 1),
	}
	tests := []struct {
		name, args string
		code       int
		starts     string // of standard output, of which there is else nothing
		has        string // somewhere in it
		want       string // standard error
	}{
		{
			name: "a numeric target", args: "-image w -f service.yaml -f deployment.yaml",
			starts: injectService + "---\napiVersion: apps/v1\n", has: "name: wsr-http\n",
			want: "Deployment/chat: injected, mode named, port 8080\n" +
				"Deployment/chat: warning: Service chat, port 80, reaches the app's port 8080 past the sidecar. Write targetPort: http.\n",
		},
		{
			name: "a numeric target, redirected", args: "-image w -mode redirect -f service.yaml -f deployment.yaml",
			starts: injectService, has: "name: wsresilience-redirect\n",
			want: "Deployment/chat: injected, mode redirect, port 8080\n",
		},
		{
			name: "an old cluster", args: "-image w -kubernetes v1.29 -f deployment.yaml", starts: "apiVersion: apps/v1\n", has: "restartPolicy: Always\n",
			want: "Deployment/chat: injected, mode named, port 8080\n" +
				"Deployment/chat: warning: Container a hears SIGTERM at once when the pod stops, since Kubernetes before 1.30 has no preStop sleep. Give it a preStop that takes 27 s.\n",
		},
		{
			name: "the webhook's settings", args: "-settings good.conf -f deployment.yaml", starts: "apiVersion: apps/v1\n", has: "image: wsresilience:1\n",
			want: "Deployment/chat: injected, mode named, port 8080\n",
		},
		{
			name: "refused", args: "-image w -f host.yaml", starts: files["host.yaml"],
			want: "Pod/a: refused (HostNetwork): The pod uses the host's network, where the sidecar's ports would be those of the node. Take hostNetwork away, or forbid the sidecar with the label wsresilience.io/inject: disabled.\n",
		},
		{
			name: "a namespace without", args: "-image w -f disabled.yaml", starts: files["disabled.yaml"],
			want: "Pod/a: skipped (Disabled): The label wsresilience.io/inject of the namespace shop is disabled.\n",
		},
		{
			name: "no YAML", args: "-image w -f bad.yaml", code: exitUsage,
			want: prefix + "manifest: document 2: yaml: line 2: did not find expected node content\n",
		},
		{
			name: "a bad value", args: "-image w -f value.yaml", code: exitUsage,
			want: prefix + "manifest: document 2: Pod/a: wsresilience.io/port is \"none!\"; allowed is the name of a port, or a number from 1 to 65535 other than 15801 to 15804\n",
		},
		{
			name: "settings with a typing error", args: "-settings typo.conf -f deployment.yaml", code: exitUsage,
			want: prefix + "typo.conf: unknown field \"sidecar.imaage\"\n",
		},
		{
			name: "settings with a bad value", args: "-settings env.conf -f deployment.yaml", code: exitUsage,
			want: prefix + "env.conf: sidecar.env.WSR_SESSION_TTL: given is \"5\", which is wrong: a number without a unit: write 5s or 5ms; allowed is a duration with its unit, such as 500ms, 30s, 5m, from 1s to 24h\n",
		},
		{
			name: "no image", args: "-f deployment.yaml", code: exitUsage,
			want: prefix + "no image for the sidecar; give -image, or -settings with sidecar.image\n",
		},
		{
			name: "no such mode", args: "-image w -mode x -f deployment.yaml", code: exitUsage,
			want: prefix + "mode is \"x\"; allowed is named, redirect, explicit\n",
		},
		{
			name: "no such version", args: "-image w -kubernetes 2 -f deployment.yaml", code: exitUsage,
			want: prefix + "-kubernetes is \"2\"; allowed is a version such as 1.31\n",
		},
		{
			name: "a file without -f", args: "-image w -f service.yaml deployment.yaml", code: exitUsage,
			want: prefix[:len(prefix)-1] + " \"deployment.yaml\" is no flag; files are given with -f\n",
		},
		{
			name: "no such file", args: "-image w -f none.yaml", code: exitFailed,
			want: prefix + "open none.yaml: no such file or directory\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := run(t, files, "", append([]string{"inject"}, strings.Fields(test.args)...)...)
			if code != test.code || stderr != test.want {
				t.Errorf("exit code %d, %q\nwant %d, %q", code, stderr, test.code, test.want)
			}
			if !strings.HasPrefix(stdout, test.starts) || !strings.Contains(stdout, test.has) || (stdout == "") != (test.starts == "") {
				t.Errorf("it prints %s", stdout)
			}
		})
	}
}

// TestInjectAndBack: what inject prints, uninject makes what it was, byte for
// byte where nothing was changed.
func TestInjectAndBack(t *testing.T) {
	stream := injectService + "---\n" + injectDeploy + "---\n" + injectPod
	code, out, errs := run(t, nil, stream, "inject", "-image", "w", "-f", "-")
	if code != exitOK {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	code, back, errs := run(t, nil, out, "uninject", "-f", "-")
	if code != exitOK || errs != "Deployment/chat: uninjected\nPod/a: uninjected\n" {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	if got, want := injectDocuments(t, back), injectDocuments(t, stream); !strings.HasPrefix(back, injectService) || !reflect.DeepEqual(got, want) {
		t.Errorf("it is\n%v\nand was\n%v", got, want)
	}
	code, again, errs := run(t, nil, stream, "uninject", "-f", "-")
	if code != exitOK || errs != "" || again != stream {
		t.Errorf("without a sidecar: exit code %d, %q, %s", code, errs, again)
	}
}

func injectDocuments(t *testing.T, stream string) []any {
	t.Helper()
	var list []any
	for document := range strings.SplitSeq(stream, "\n---\n") {
		var v any
		if err := yaml.UnmarshalStrict([]byte(document), &v); err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

func TestInjectUsage(t *testing.T) {
	for _, args := range [][]string{{"inject"}, {"inject", "-what"}, {"uninject"}, {"uninject", "-what"}, {"uninject", "-f", "-", "more"}} {
		if code, stdout, stderr := run(t, nil, injectPod, args...); code != exitUsage || stdout != "" || stderr == "" {
			t.Errorf("%q: exit code %d, %q, %q", args, code, stdout, stderr)
		}
	}
	if code, _, stderr := run(t, nil, "", "inject", "-help"); code != exitOK || !strings.HasPrefix(stderr, "usage: ") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
