package documented

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// leastCommands is far below what the pages show. Fewer means that nothing is found.
const leastCommands = 100

const module = "github.com/wsresilience/wsresilience"

// TestCommandsExist: each command of a page that is ours can be typed as it stands.
func TestCommandsExist(t *testing.T) {
	found := all(t)
	if len(found) < leastCommands {
		t.Fatalf("only %d commands were found", len(found))
	}
	for _, c := range append(found, helpCommands(t)...) {
		for _, problem := range problems(t, c) {
			t.Errorf("%s: %s", c, problem)
		}
	}
}

// TestProblems: what could be wrong with a command is found.
func TestProblems(t *testing.T) {
	for line, want := range map[string]string{
		"wsresilience-sidecar dance":                                                                "no command dance",
		"wsresilience-sidecar drain -fast":                                                          "no flag -fast",
		"kubectl exec web -c wsresilience -- /wsresilience-sidecar sessions -old":                   "no flag -old",
		"wsresilience-sidecar rehearse record -plain x":                                             "no flag -plain",
		"docker run image; nohup wsresilience-demo -page x":                                         "no flag -page",
		"wsresilience-injector inject -f deployment.yaml | kubectl apply -f -":                      "no image for the sidecar",
		"WSR_NOTHING=1 wsresilience-sidecar":                                                        "no setting WSR_NOTHING",
		"docker run -e WSR_NOTHING=1 image":                                                         "no setting WSR_NOTHING",
		"make coffee":                                                                               "no target coffee",
		"helm install wsresilience charts/wsresilience --set certificates.certManager.enabled=true": "no value certificates.certManager.enabled",
		"helm upgrade … --set nats.url=x,nats.uri=y":                                                "no value nats.uri",
		"helm install wsresilience charts/other":                                                    "no charts/other",
		"go run ./nothing":                                                                          "no package ./nothing",
		"go run " + module + "/nothing@latest":                                                      "no package",
		"npm run fly":                                                                               "no script fly",
	} {
		var got []string
		for _, c := range split("page", line) {
			got = append(got, problems(t, c)...)
		}
		if !strings.Contains(strings.Join(got, "; "), want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// problems are what is wrong with one command.
func problems(t *testing.T, c command) []string {
	t.Helper()
	judges := map[string]func(*testing.T, command) []string{
		"wsresilience-sidecar": programProblems, "wsresilience-injector": programProblems,
		"wsresilience-agent": programProblems, "wsresilience-demo": programProblems,
		"make": makeProblems, "helm": helmProblems, "go": goProblems, "npm": npmProblems,
	}
	found := append(fileProblems(c), settingProblems(t, c)...)
	for i, word := range c.words {
		if judge := judges[filepath.Base(word)]; judge != nil && (i == 0 || runs(c.words[:i])) {
			return append(found, judge(t, command{c.page, c.words[i:], c.settings})...)
		}
	}
	return found
}

// runs reports whether words before a program are those of another that runs it.
func runs(before []string) bool {
	return slices.Contains(before, "--") || slices.Contains([]string{"nohup", "time", "nice", "npx"}, before[len(before)-1])
}

// built is the folder of the commands, once there is one.
var built string

// programs builds the commands once.
var programs = sync.OnceValues(func() (folder string, err error) {
	if built, err = os.MkdirTemp("", "wsresilience-documented-"); err == nil {
		err = exec.Command("go", "build", "-o", built+string(filepath.Separator), "../../cmd/...").Run()
	}
	return built, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(built) // "" is nothing
	os.Exit(code)
}

// said is what programs have printed, by their words: pages say the same again.
var said = map[string]string{}

// help is what a program prints of itself.
func help(t *testing.T, words ...string) string {
	t.Helper()
	line := strings.Join(words, " ")
	if _, ok := said[line]; !ok {
		said[line], _ = output(t, words[0], words[1:]...)
	}
	return said[line]
}

// output is what a program prints, and whether it succeeds.
func output(t *testing.T, name string, args ...string) (text string, ok bool) {
	t.Helper()
	folder, err := programs()
	if err != nil {
		t.Fatalf("building the commands: %v", err)
	}
	cmd := exec.Command(filepath.Join(folder, name), args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH="}
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// helpCommands are those that the programs' help suggests.
func helpCommands(t *testing.T) (found []command) {
	t.Helper()
	for _, name := range []string{"wsresilience-sidecar", "wsresilience-injector", "wsresilience-agent"} {
		_, try, ok := strings.Cut(help(t, name, "help"), "\ntry:\n")
		if !ok {
			t.Errorf("%s help suggests nothing", name)
			continue
		}
		for line := range strings.SplitSeq(try, "\n") {
			if strings.Contains(line, name) && strings.HasPrefix(line, "  ") {
				found = append(found, split(name+" help", line)...)
			}
		}
	}
	return found
}

var (
	subcommand = regexp.MustCompile(`(?m)^  ([a-z]+) {2,}`)
	flagName   = regexp.MustCompile(`(?m)^\s+-([a-z][a-z0-9-]*)`)
)

// programProblems asks a program's own help for its subcommand and flags, and has
// inject and uninject do their work on a Deployment.
func programProblems(t *testing.T, c command) (problems []string) {
	t.Helper()
	name, args := filepath.Base(c.words[0]), c.words[1:]
	var ask []string
	if name != "wsresilience-demo" && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		known := []string{"run", "help", "version"}
		for _, m := range subcommand.FindAllStringSubmatch(help(t, name, "help"), -1) {
			known = append(known, m[1])
		}
		if regexp.MustCompile(`^[a-z]+$`).MatchString(args[0]) {
			if !slices.Contains(known, args[0]) {
				return []string{"it has no command " + args[0]}
			}
			ask = []string{args[0]}
			if args = args[1:]; len(args) > 0 && args[0] == "record" {
				ask, args = append(ask, "record"), args[1:]
			}
		}
	}
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") }) {
		return nil
	}
	text := help(t, append(append([]string{name}, ask...), "-h")...)
	var flags []string
	for _, m := range flagName.FindAllStringSubmatch(text, -1) {
		flags = append(flags, m[1])
	}
	for _, a := range args {
		flag, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if strings.HasPrefix(a, "-") && a != "-" && !slices.Contains(append(flags, "h", "help", "version"), flag) {
			problems = append(problems, "it has no flag "+a)
		}
	}
	if len(problems) == 0 && len(ask) > 0 && (ask[0] == "inject" || ask[0] == "uninject") && slices.Contains(args, "-f") {
		args = slices.Clone(args)
		args[slices.Index(args, "-f")+1] = filepath.Join(root, "examples/echo/before.yaml")
		if text, ok := output(t, name, append(ask, args...)...); !ok {
			problems = append(problems, "it fails: "+text)
		}
	}
	return problems
}

func makeProblems(t *testing.T, c command) (problems []string) {
	t.Helper()
	targets := regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(read(t, "Makefile"), -1)
	for _, word := range c.words[1:] {
		known := slices.ContainsFunc(targets, func(m []string) bool { return m[1] == word })
		if !known && !strings.Contains(word, "=") && !strings.HasPrefix(word, "-") {
			problems = append(problems, "there is no target "+word)
		}
	}
	return problems
}

// helmProblems looks for each --set in the chart's schema.
func helmProblems(t *testing.T, c command) (problems []string) {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, "charts/wsresilience/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(c.words, func(w string) bool { return strings.Contains(w, "wsresilience") || w == "…" || w == "..." }) {
		return nil // another chart's
	}
	for i, word := range c.words {
		value, joined := strings.CutPrefix(word, "--set=")
		if word == "--set" && i+1 < len(c.words) {
			value, joined = c.words[i+1], true
		}
		if !joined {
			continue
		}
		for pair := range strings.SplitSeq(value, ",") {
			path, _, _ := strings.Cut(pair, "=")
			if !inSchema(schema, strings.Split(path, ".")) {
				problems = append(problems, "the chart has no value "+path)
			}
		}
	}
	return problems
}

// inSchema reports whether a schema knows a path, or lets a map have any key.
func inSchema(schema map[string]any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	properties, _ := schema["properties"].(map[string]any)
	if next, ok := properties[path[0]].(map[string]any); ok {
		return inSchema(next, path[1:])
	}
	return len(properties) == 0
}

// goProblems looks for the package of go run, and for what go test and go build name.
func goProblems(_ *testing.T, c command) (problems []string) {
	for _, word := range c.words[1:] {
		path, ok := strings.CutPrefix(word, module)
		if path, _, _ = strings.Cut(path, "@"); !ok {
			if path, ok = strings.CutPrefix(word, "."); !ok || word == "." {
				continue
			}
		}
		path = strings.TrimSuffix(strings.TrimSuffix(path, "..."), "/")
		if found, _ := filepath.Glob(filepath.Join(root, path, "*.go")); len(found) == 0 && path != "" && !strings.HasSuffix(word, "...") {
			problems = append(problems, "there is no package "+word)
		}
	}
	return problems
}

// npmProblems looks for the script that npm runs, in the SDK.
func npmProblems(t *testing.T, c command) (problems []string) {
	t.Helper()
	var manifest struct{ Scripts map[string]string }
	if err := json.Unmarshal([]byte(read(t, "sdk/js/package.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	if i := slices.Index(c.words, "run"); i >= 0 && i+1 < len(c.words) {
		if script := c.words[i+1]; manifest.Scripts[script] == "" && !strings.HasPrefix(script, "-") {
			problems = append(problems, "there is no script "+script)
		}
	}
	return problems
}

// folders of the repository that pages name files in.
var folders = regexp.MustCompile(`^(\./)?(charts|cmd|docs|examples|internal|packaging|sdk|testdata|tools)/[A-Za-z0-9]`)

func fileProblems(c command) (problems []string) {
	for _, word := range c.words {
		word = strings.TrimSuffix(strings.TrimSuffix(word, "..."), "/")
		if !folders.MatchString(word) || strings.ContainsAny(word, "…*<$") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, word)); err != nil {
			problems = append(problems, "there is no "+word)
		}
	}
	return problems
}

// settingProblems looks for what is set by the environment in the generated tables.
func settingProblems(t *testing.T, c command) (problems []string) {
	t.Helper()
	known := read(t, "docs/CONFIG.md") + read(t, "docs/AGENT.md")
	for _, word := range append(slices.Clone(c.settings), c.words...) {
		for _, name := range regexp.MustCompile(`\bWSR_[A-Z0-9_]+`).FindAllString(word, -1) {
			agent := "WSR_" + strings.TrimPrefix(name, "WSR_AGENT_")
			if !strings.Contains(known, "`"+name+"`") && !strings.Contains(known, "`"+agent+"`") && !strings.HasSuffix(name, "_") {
				problems = append(problems, "there is no setting "+name)
			}
		}
	}
	return problems
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// annotation is a name of ours in Kubernetes.
var annotation = regexp.MustCompile(`\b((?:agent\.|config\.)?wsresilience\.io)/([a-z][a-z-]*[a-z])`)

// TestAnnotationsExist: each label and annotation that a page names is one that the
// injector knows.
func TestAnnotationsExist(t *testing.T) {
	var code strings.Builder
	files, err := filepath.Glob(filepath.Join(root, "k8s", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range append(files, filepath.Join(root, "k8s/cluster/secrets.go"), filepath.Join(root, "k8s/cluster/rotation.go"), filepath.Join(root, "k8s/cluster/objects.go")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	settings := read(t, "docs/CONFIG.md") + read(t, "docs/AGENT.md")
	seen := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range annotation.FindAllStringSubmatch(string(text), -1) {
			seen++
			name := m[1] + "/" + m[2]
			ok := strings.Contains(code.String(), `"`+name+`"`) || strings.Contains(code.String(), `"`+m[2]+`"`)
			if m[1] != "wsresilience.io" {
				setting := strings.ToUpper(strings.ReplaceAll(m[2], "-", "_"))
				ok = strings.Contains(settings, "`WSR_"+setting+"`") || strings.Contains(settings, "`WSR_AGENT_"+setting+"`")
			}
			if !ok {
				t.Errorf("%s: nobody knows %s", page, name)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d were found", seen)
	}
}
