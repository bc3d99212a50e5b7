package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/wsresilience/wsresilience/internal/bench/measure"
	layout "github.com/wsresilience/wsresilience/internal/lab/table"
)

// A report is the output of a run and its verdict.
type report struct {
	w      io.Writer
	failed []string
}

type table = layout.Table

// header says what produced the numbers.
func (rep *report) header(args []string) {
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Fprintf(rep.w, "command    %s\n", strings.Join(append([]string{"bench"}, args...), " "))
	fmt.Fprintf(rep.w, "processor  %s, %d usable\n", measure.ParseModel(cpuinfo), runtime.NumCPU())
	fmt.Fprintf(rep.w, "system     %s/%s %s\n", runtime.GOOS, runtime.GOARCH, strings.TrimSpace(string(kernel)))
	fmt.Fprintf(rep.w, "go         %s\n", runtime.Version())
}

// note is a remark that a reader of the numbers needs.
func (rep *report) note(text string) { fmt.Fprintf(rep.w, "note       %s\n", text) }

func (rep *report) section(title string, about ...string) {
	fmt.Fprintf(rep.w, "\n%s\n", title)
	for _, line := range about {
		fmt.Fprintf(rep.w, "  %s\n", line)
	}
	fmt.Fprintln(rep.w)
}

// judge notes a failure and returns the word for it.
func (rep *report) judge(what string, pass bool) string {
	if pass {
		return "PASS"
	}
	rep.failed = append(rep.failed, what)
	return "FAIL"
}

func (rep *report) table(t table) {
	for _, line := range t.Lines() {
		fmt.Fprintf(rep.w, "  %s\n", line)
	}
}

// verdict is the last line, and the exit code.
func (rep *report) verdict() int {
	if len(rep.failed) > 0 {
		fmt.Fprintf(rep.w, "\nFAIL: %s\n", strings.Join(rep.failed, "; "))
		return 1
	}
	fmt.Fprint(rep.w, "\nPASS\n")
	return 0
}
