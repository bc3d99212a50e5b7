package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// options are the command line's.
type options struct {
	kubeconfig string
	kubectl    string
	helm       []string
	chart      string

	image     string // of the product
	imageTar  string // to be imported, unless the cluster has the image
	importer  []string
	clients   int
	keep      bool
	run       *regexp.Regexp // nil: all scenarios
	set       []string       // further values of the chart
	namespace string         // of the release
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("kubetest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "of the cluster (default $KUBECONFIG)")
	flags.StringVar(&o.kubectl, "kubectl", "kubectl", "command")
	helm := flags.String("helm", "go tool -modfile=tools/go.mod helm", "command")
	flags.StringVar(&o.chart, "chart", "charts/wsresilience", "folder of the chart")
	flags.StringVar(&o.image, "image", "docker.io/wsresilience/wsresilience:dev", "image of the sidecar and the injector")
	flags.StringVar(&o.imageTar, "image-tar", "", "archive with that image; empty: the cluster has it")
	importer := flags.String("import", "", "command that loads an image archive, whose path is its last argument, into all nodes")
	flags.IntVar(&o.clients, "clients", 200, "how many, half of them resilient")
	flags.BoolVar(&o.keep, "keep", false, "leave everything in the cluster")
	flags.Func("set", "a value of the chart, key=value; may be repeated", func(v string) error { o.set = append(o.set, v); return nil })
	run := flags.String("run", "", "regular expression of the scenarios to play, each of which may need what is before it")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *run != "" {
		var err error
		if o.run, err = regexp.Compile(*run); err != nil {
			return nil, fmt.Errorf("kubetest: -run: %w", err)
		}
	}
	o.helm, o.importer, o.namespace = strings.Fields(*helm), strings.Fields(*importer), releaseSpace
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("kubetest: unexpected %q", flags.Args())
	case o.kubeconfig == "":
		return nil, fmt.Errorf("kubetest: no cluster: set KUBECONFIG or -kubeconfig")
	case len(o.importer) == 0:
		return nil, fmt.Errorf("kubetest: -import is missing: a command that loads an image archive into the nodes, such as \"kind load image-archive\" or \"ctr -n k8s.io images import\"")
	case len(o.helm) == 0 || o.clients < 2:
		return nil, fmt.Errorf("kubetest: -helm is empty, or -clients below 2")
	}
	return o, nil
}
