package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/manifest"
)

const injectUsage = `usage: wsresilience-injector inject -f file [-f file] [-settings file] [-image image] [-nats] [-mode mode] [-kubernetes version]

Prints the manifests with the sidecar in every Pod, Deployment, StatefulSet,
DaemonSet, ReplicaSet, Job and CronJob without the label
wsresilience.io/inject: disabled. A Namespace among them counts for its pods, by
its label and its annotations. Everything else comes out as it is. What is
changed loses its comments. What was done, and why not, is on standard error.

The Secret of the sidecars is not made: a namespace needs one named
wsresilience with the key token-keys, and with -nats the key nats-url.

`

// injectCommand prints manifests with the sidecar.
func injectCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var files fileList
	flags := flag.NewFlagSet("inject", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, injectUsage); flags.PrintDefaults() }
	flags.Var(&files, "f", "`file` with manifests, - is standard input; may be repeated")
	settings := flags.String("settings", "", "`file` with the webhook's settings, as the chart writes it")
	image := flags.String("image", "", "the sidecar's `image`")
	nats := flags.Bool("nats", false, "the journal is in NATS")
	mode := flags.String("mode", "", "named, redirect or explicit, for pods without the annotation")
	version := flags.String("kubernetes", "", "`version` of the cluster, such as 1.31; a current one if not given")
	if code, done := parseFiles(flags, args, files.given, stderr); done {
		return code
	}
	s, err := injectSettings(*settings)
	if err == nil && *version != "" {
		s.Cluster.Minor, err = minorOf(*version)
	}
	if *image != "" {
		s.Image = *image
	}
	if *mode != "" {
		s.Mode = k8s.Mode(*mode)
	}
	s.NATS = s.NATS || *nats
	if err == nil && s.Image == "" {
		err = errors.New("no image for the sidecar; give -image, or -settings with sidecar.image")
	}
	if err == nil {
		for _, e := range s.Check() {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-injector: inject: %v\n", err)
		return exitUsage
	}
	return files.rewrite("inject", stdin, stdout, stderr, func(stream []byte) ([]byte, []manifest.Result, error) {
		return manifest.Inject(stream, s)
	})
}

// injectSettings are those of the file, if there is one.
func injectSettings(path string) (k8s.Settings, error) {
	if path == "" {
		return k8s.Settings{}, nil
	}
	c, err := readConfig(path)
	if err != nil {
		return k8s.Settings{}, err
	}
	return c.Sidecar, nil
}

// minorOf reads a version of Kubernetes: 1.31, v1.31 or v1.31.4.
func minorOf(version string) (int, error) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(version, "v"), "1.")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("-kubernetes is %q; allowed is a version such as 1.31", version)
	}
	return n, nil
}

// fileList is a flag that may be repeated.
type fileList []string

func (l *fileList) String() string { return strings.Join(*l, ",") }

func (l *fileList) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func (l *fileList) given() bool { return len(*l) > 0 }

// parseFiles parses flags of which -f is required; done says that the command
// ends with code.
func parseFiles(flags *flag.FlagSet, args []string, given func() bool, stderr io.Writer) (code int, done bool) {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK, true
	case err != nil:
		return exitUsage, true
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "wsresilience-injector: %s: %q is no flag; files are given with -f\n", flags.Name(), flags.Arg(0))
		return exitUsage, true
	case !given():
		flags.Usage()
		return exitUsage, true
	}
	return exitOK, false
}

// rewrite reads all files as one stream, so that a Service in one is seen with
// a Deployment in another, and prints it only if there is no mistake in it.
func (l *fileList) rewrite(name string, stdin io.Reader, stdout, stderr io.Writer, how func([]byte) ([]byte, []manifest.Result, error)) int {
	fail := func(code int, err error) int {
		fmt.Fprintf(stderr, "wsresilience-injector: %s: %v\n", name, err)
		return code
	}
	stream, err := l.read(stdin)
	if err != nil {
		return fail(exitFailed, err)
	}
	out, results, err := how(stream)
	if err != nil {
		return fail(exitUsage, err)
	}
	for _, r := range results {
		printResult(stderr, name, r)
	}
	if _, err := stdout.Write(out); err != nil {
		return fail(exitFailed, err)
	}
	return exitOK
}

func (l *fileList) read(stdin io.Reader) ([]byte, error) {
	var stream bytes.Buffer
	for _, path := range *l {
		if stream.Len() > 0 {
			if !bytes.HasSuffix(stream.Bytes(), []byte("\n")) {
				stream.WriteByte('\n')
			}
			stream.WriteString("---\n")
		}
		if err := readInto(&stream, path, stdin); err != nil {
			return nil, err
		}
	}
	return stream.Bytes(), nil
}

func readInto(stream *bytes.Buffer, path string, stdin io.Reader) error {
	from := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		from = file
	}
	// One byte more than is allowed is enough for manifest to refuse it.
	_, err := io.Copy(stream, io.LimitReader(from, manifest.MaxStream+1))
	return err
}

// printResult prints what became of one object.
func printResult(w io.Writer, name string, r manifest.Result) {
	switch r.Report.Outcome {
	case "":
		fmt.Fprintf(w, "%s: %sed\n", r.Object, name)
	case k8s.Injected:
		what := fmt.Sprintf("mode %s, port %d", r.Report.Mode, r.Report.Port)
		switch {
		case r.Report.Agent && r.Report.Mode == "":
			what = "the agent"
		case r.Report.Agent:
			what += ", and the agent"
		}
		fmt.Fprintf(w, "%s: injected, %s\n", r.Object, what)
	default:
		fmt.Fprintf(w, "%s: %s (%s): %s\n", r.Object, r.Report.Outcome, r.Report.Reason, r.Report.Message)
	}
	for _, warning := range r.Report.Warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", r.Object, warning)
	}
}
