package tidy

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A layer is a row of the import table (docs/ARCHITECTURE.md). A package
// imports only from rows below its own, and of other modules only what it
// lists.
type layer map[string][]string // package, or folder that ends in /, to modules

// layers go from the bottom to the top.
var layers = []layer{
	{ // What mechanisms may share.
		"internal/monotime": nil, "internal/pathpattern": nil, "internal/appaddr": nil, "internal/jsonpointer": nil, "internal/keepalive": nil,
		"internal/formats": nil, "internal/instance": nil, "internal/clientaddr": nil,
		"internal/budget": nil, "internal/traceparent": nil,
	},
	{ // And of these one over another.
		"internal/match": nil, "internal/merge": nil,
	},
	{ // Mechanisms: otherwise the standard library only.
		"seqwindow": nil, "dedupe": nil, "heartbeat": nil,
		"internal/backoff": nil, "internal/frame": {"github.com/gobwas/ws"}, "internal/deflate": nil, "internal/http1": nil, "internal/keyring": nil, "internal/replytime": nil, "internal/rate": nil, "internal/otlp": nil,
		"snapshot": {"github.com/evanphx/json-patch/v5"}, "internal/idempotency": nil, "internal/sharing": nil,
		"internal/program": nil,
		"internal/script":  nil, // scenarios as text, for tests
		// For experiments: a network that breaks, certificates, statistics.
		"internal/losslink":  {"golang.org/x/sys"},
		"internal/faultlink": nil, "internal/lab/certs": nil, "internal/lab/stats": nil, "internal/lab/table": nil,
	},
	{ // Formats and contracts.
		"wire": {"github.com/gobwas/ws"}, "store": nil,
		"internal/config": {"github.com/caarlos0/env/v11"},
		// What is known of app protocols, each for itself.
		"snapshot/actioncable": nil, "snapshot/centrifuge": nil, "snapshot/graphql": nil, "snapshot/jupyter": nil, "snapshot/mqtt": nil,
		"snapshot/phoenix": nil, "snapshot/signalr": nil, "snapshot/socketio": nil, "snapshot/stomp": nil, "snapshot/ywebsocket": nil,
		"snapshot/snapshottest": nil,
		// What a rehearsal's clients do and go through, and pictures of it.
		"internal/rehearse/profile": nil, "internal/rehearse/plan": nil, "internal/rehearse/tally": nil,
		"internal/lab/plot": nil,
	},
	{ // The machine, and the stores. The table of app protocols. The settings of an
		// agent, which the injector checks too.
		"internal/agent/settings": {"github.com/caarlos0/env/v11"},
		"snapshot/presets":        nil,
		"session":                 {"github.com/gobwas/ws"},
		"store/natsstore":         {"github.com/nats-io/", "github.com/synadia-io/orbit.go/", "golang.org/x/sys"},
		"store/storetest":         nil,
	},
	{ // Decisions over what the machine and the journal say, and what is reported.
		"internal/admission": nil, "internal/drain": nil, "internal/redial": nil, "internal/reauth": nil,
		"internal/doctor/diagnosis": nil,
		"event":                     nil,
	},
	{ // What the proxy is made of: sockets, HTTP/1 heads,
		"internal/transport":     {"github.com/valyala/bytebufferpool", "golang.org/x/sys"},
		"internal/httpguard":     nil,
		"internal/certfile":      nil,
		"internal/page":          {"github.com/andybalholm/brotli", "github.com/klauspost/compress"},
		"internal/otlp/exporter": nil, "internal/otlp/otlptest": nil,
		"internal/proxytest": nil, // both ends of a proxy for tests
		"internal/sim/seam":  nil, // where the client shows its machine to the simulator
	},
	{ // both handshakes,
		"internal/upgrade": nil,
	},
	{ // plain HTTP, and the way to other sidecars.
		"internal/passthrough": nil,
		"internal/peer":        {"golang.org/x/sys"},
	},
	{ // Sockets, operating, the Go client.
		"proxy":            {"github.com/gobwas/ws"},
		"client":           {"github.com/gobwas/ws", "golang.org/x/net"},
		"observe":          {"github.com/prometheus/client_golang"},
		"internal/tracing": nil,
		"k8s":              {"k8s.io/api/", "k8s.io/apimachinery/"},
		// What is wrong between a client and an app.
		"internal/doctor": {"github.com/gobwas/ws", "golang.org/x/net/http2/hpack"}, "internal/doctor/pod": {"golang.org/x/sys"},
	},
	{ // Whole fleets as one deterministic program.
		"internal/sim": {"github.com/gobwas/ws"},
	},
	{ // What a program keeps of its sessions.
		"client/outbox": {"github.com/ncruces/go-sqlite3"},
	},
	{ // For a program that cannot be changed.
		"internal/agent": {"github.com/caarlos0/env/v11", "github.com/coder/websocket", "github.com/prometheus/client_golang"},
	},
	{ // How an operator looks into a running sidecar.
		"internal/console": nil,
	},
	{ // What experiments run, and what apps say of it. The processes of one build commands.
		"internal/lab/ledger": nil, "internal/lab/proc": nil,
		"internal/rehearse/report": nil,
	},
	{ // An ordinary client.
		"internal/lab/reconnect": {"github.com/coder/websocket"},
	},
	{ // Clients that do what a profile says, plain or with a session.
		"internal/rehearse/load": {"github.com/coder/websocket"},
	},
	{ // A load with faults on the user's own app, which the sidecar links too.
		"internal/rehearse": {"github.com/coder/websocket", "golang.org/x/term", "golang.org/x/sys", "google.golang.org/protobuf"},
	},
	{ // The parties of an experiment.
		"internal/lab": anything, "internal/bench/load": anything, "internal/bench/measure": nil, "internal/bench/fake": anything,
	},
	{ // What the sidecar is for, shown.
		"internal/console/crowd": anything, // a console without a sidecar
		"internal/demo":          anything, "internal/bench/rig": anything, "internal/hostile/pod": anything,
		// What the injector does with a cluster, and a cluster for its tests.
		"k8s/admission": anything, "k8s/certs": anything, "k8s/cluster": anything, "k8s/manifest": anything, "k8s/redirect": anything, "k8s/tenants": anything,
		"k8s/cluster/clustertest": anything,
	},
	{ // What proves it.
		"internal/sim/": anything,
	},
	{ // Wiring, and what measures the whole.
		"cmd/": anything, "demo": nil, "internal/documented": nil, "internal/site": {"github.com/yuin/goldmark"}, "internal/bench": anything, "internal/bench/libraries": anything, "internal/bench/sqlite": anything, "packaging": {"sigs.k8s.io/yaml"},
		"internal/endtoend": anything, "internal/differential": anything, "internal/differential/grpc": anything, "internal/chaos": anything, "internal/rehearsal": anything, "internal/hostile": anything, "internal/fronts": anything, "internal/kubetest": anything, "charts": anything, "internal/realapps": anything, "internal/tidy": nil,
	},
}

var anything = []string{""}

// find returns the row of a package and the modules it may import; row -1
// means that it is in none.
func find(pkg string) (row int, modules []string) {
	for row, l := range layers {
		for name, modules := range l {
			if name == pkg || strings.HasSuffix(name, "/") && strings.HasPrefix(pkg+"/", name) || strings.HasPrefix(pkg, name+"/testdata/") {
				return row, modules
			}
		}
	}
	return -1, nil
}

func TestImportsPointDownward(t *testing.T) {
	checked := 0
	for _, s := range sources(t) {
		if s.test {
			continue // a test may bring whatever it needs to the package
		}
		row, modules := find(s.dir)
		if row < 0 {
			t.Errorf("%s: package %s is in no layer: add it to the table of this test and to docs/ARCHITECTURE.md", s.file, s.dir)
			continue
		}
		for _, imported := range s.imports() {
			checked++
			if pkg, ours := strings.CutPrefix(imported, module+"/"); ours {
				below, _ := find(pkg)
				if within := strings.HasPrefix(pkg, "cmd/") && strings.HasPrefix(s.dir, "cmd/"); below >= row && !within {
					t.Errorf("%s imports %s, which is not below it", s.file, pkg)
				}
				continue
			}
			foreign := strings.Contains(strings.Split(imported, "/")[0], ".")
			if foreign && !slices.ContainsFunc(modules, func(m string) bool { return strings.HasPrefix(imported, m) }) {
				t.Errorf("%s imports %s, which is not for %s", s.file, imported, s.dir)
			}
		}
	}
	if checked < leastFiles {
		t.Errorf("only %d imports were seen", checked)
	}
}

// forRehearsals is what the sidecar links of experiments and of the other end of a
// connection: a user who has the binary can rehearse. As in the
// image it is 1.1 MB of 24.6, and none of it runs in a pod that is not asked to.
var forRehearsals = []string{
	"client", "internal/faultlink", "internal/lab/plot", "internal/lab/proc", "internal/lab/reconnect", "internal/lab/stats", "internal/lab/table",
}

// TestSidecarLinks: the sidecar runs in every pod, so it links nothing of a
// client library that is larger than itself, and, but for rehearsals, nothing that
// is for experiments or for the other end of a connection.
func TestSidecarLinks(t *testing.T) {
	const sidecar = "cmd/wsresilience-sidecar"
	if !exists(sidecar) {
		return
	}
	cmd := exec.Command("go", "list", "-deps", "./"+sidecar)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"/proxy") {
		t.Errorf("the sidecar does not link proxy: is the list right?")
	}
	never := []string{"k8s.io", "sigs.k8s.io"}
	for _, ours := range []string{"client", "internal/demo", "internal/faultlink", "internal/lab"} {
		if !exists(ours) {
			t.Errorf("there is no %s: is the list right?", ours)
		}
		never = append(never, module+"/"+ours)
	}
	for _, dep := range deps {
		for _, not := range never {
			if slices.Contains(forRehearsals, strings.TrimPrefix(dep, module+"/")) {
				continue
			}
			if strings.HasPrefix(dep+"/", not+"/") {
				t.Errorf("the sidecar links %s", dep)
			}
		}
	}
}

// TestLayersAreDocumented: the table in docs/ARCHITECTURE.md names every
// package of this one, and no others.
func TestLayersAreDocumented(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "docs/ARCHITECTURE.md"), "\n## Layers\n")
	section, _, found := strings.Cut(rest, "\n## ")
	if !found {
		t.Fatal("docs/ARCHITECTURE.md has no section Layers")
	}
	named := map[string]bool{}
	for _, m := range code.FindAllString(section, -1) {
		named[strings.Trim(m, "`")] = true
	}
	for _, l := range layers {
		for pkg := range l {
			if !strings.HasSuffix(pkg, "/") && !named[pkg] {
				t.Errorf("docs/ARCHITECTURE.md: package %s is in no row of the table", pkg)
			}
		}
	}
	for name := range named {
		if row, _ := find(name); row < 0 && exists(name) {
			t.Errorf("docs/ARCHITECTURE.md: %s is in no layer of this test", name)
		}
	}
}
