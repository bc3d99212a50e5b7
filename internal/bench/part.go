package main

import (
	"fmt"
	"strings"

	"github.com/wsresilience/wsresilience/internal/bench/rig"
)

// A part is one of the measurements, with a table of its own.
type part struct {
	name    string
	sidecar bool // it makes no sense without
	run     func(r *rig.Rig, rep *report, o *options) error
}

// parts are in the order of a run.
func parts() []part {
	return []part{
		{"cpu", false, runCPU},
		{"memory", false, runMemory},
		{"startup", true, runStartup},
		{"resume", true, runResume},
		{"adoption", true, runAdoption},
		{"durability", true, runDurability},
		{"console", true, runConsole},
	}
}

func partNames() string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return strings.Join(names, ",")
}

// checkParts wants a list of known names, or nothing for all.
func checkParts(only string) error {
	known := "," + partNames() + ","
	for name := range strings.SplitSeq(only, ",") {
		if only != "" && !strings.Contains(known, ","+name+",") {
			return fmt.Errorf("bench: -only %s: the parts are %s", name, partNames())
		}
	}
	return nil
}

// wants reports whether a part is to be run.
func (o *options) wants(name string) bool {
	return o.only == "" || strings.Contains(","+o.only+",", ","+name+",")
}

// measureAll writes each table as soon as it is known.
func measureAll(r *rig.Rig, rep *report, o *options) error {
	for _, p := range parts() {
		if !o.wants(p.name) || p.sidecar && r.Sidecar == "" {
			continue
		}
		if err := p.run(r, rep, o); err != nil {
			return err
		}
	}
	return nil
}

func runCPU(r *rig.Rig, rep *report, o *options) error {
	rows, err := measureCPU(r, o)
	if err == nil {
		reportCPU(rep, rows, o)
	}
	return err
}

func runMemory(r *rig.Rig, rep *report, o *options) error {
	rows, err := measureMemory(r, o)
	if err == nil {
		reportMemory(rep, rows, o)
	}
	return err
}

func runStartup(r *rig.Rig, rep *report, o *options) error {
	m, err := measureStartup(r, o)
	if err == nil {
		reportStartup(rep, &m)
	}
	return err
}

func runResume(r *rig.Rig, rep *report, o *options) error {
	m, err := measureResume(r, o)
	if err == nil {
		reportResume(rep, m, o)
	}
	return err
}

func runAdoption(r *rig.Rig, rep *report, o *options) error {
	rows, err := measureAdoption(r, o)
	if err == nil {
		reportAdoption(rep, rows, o)
	}
	return err
}

func runDurability(r *rig.Rig, rep *report, o *options) error {
	rows, err := measureDurability(r)
	if err == nil {
		reportDurability(rep, rows)
	}
	return err
}

func runConsole(r *rig.Rig, rep *report, o *options) error {
	m, err := measureConsole(r, o)
	if err == nil {
		reportConsole(rep, &m, o)
	}
	return err
}
