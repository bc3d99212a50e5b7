package main

import (
	"context"
	"time"
)

// A scenario is one way to break things, and what may come of it.
type scenario struct {
	name   string
	about  string
	pods   int           // 0: podCount
	linked bool          // sidecars can be cut from each other
	blind  bool          // the balancer does not see which pods are ready
	lease  time.Duration // 0: that of the options
	allow  allowance
	size   func(*options) size
	run    func(context.Context, *testbed) error
}

// scenarios, in the order in which they run. Where a pod or an app dies, DESIGN §4
// says what a crash may cost; everywhere else nothing may be missing.
var scenarios = []scenario{
	{
		name: "cuts", about: "clients' connections die in every way, and nothing else",
		size: usualSize, run: cuts,
	},
	{
		name: "kill9", about: "kill -9 a sidecar under a living app, start it again 10 s later",
		allow: allowance{tail: true, again: true}, size: usualSize, run: kill9,
	},
	{
		name: "zombie", about: "stop a sidecar past its lease, wake it",
		allow: allowance{tail: true, again: true}, size: usualSize, run: zombie,
	},
	{
		name: "natsleader", about: "kill -9 the leader of a stream, with cuts",
		size: usualSize, run: natsLeader,
	},
	{
		name: "natsroll", about: "restart the NATS servers one by one, with cuts",
		size: usualSize, run: natsRoll,
	},
	{
		name: "natsaway", about: "cut one sidecar from NATS for 30 s, with cuts",
		size: usualSize, run: natsAway,
	},
	{
		name: "natshangs", about: "stop all NATS servers for minutes, with cuts",
		size: usualSize, run: natsHangs,
	},
	{ // A session whose owner stays out of reach for longer than its lease is adopted.
		name: "peers", about: "cut the sidecars from each other for 30 s, with cuts",
		allow: allowance{tail: true, again: true}, linked: true, size: usualSize, run: peersAway,
	},
	{
		// With two pods, all that one reaches of the other can be cut.
		name: "island", about: "cut a pod from NATS and its peer at once, for half a lease and for 30 s, while clients reach it",
		allow: allowance{tail: true, again: true}, pods: 2, linked: true, size: mixedSize, run: island,
	},
	{
		// The owner lives and keeps its lease, so nothing may be missing.
		name: "queued", about: "stop a sidecar within its lease, while attempts that clients give up pile up in its socket",
		blind: true, lease: 60 * time.Second, size: mixedSize, run: queued,
	},
	{
		name: "race", about: "2, 10 and 100 connections resume one session at once, on one pod and on three",
		size: fewSessions, run: race,
	},
	{
		name: "raceadopt", about: "the same for a session whose owner has just died",
		allow: allowance{tail: true, again: true}, size: fewSessions, run: raceAdopt,
	},
	{
		name: "roll", about: "replace all pods one by one, over and over",
		allow: allowance{gap: 250 * time.Millisecond}, size: usualSize, run: roll,
	},
	{
		name: "update", about: "replace all pods and NATS servers one by one, with apps that stream or answer in 0 to 2 s",
		allow: allowance{gap: 250 * time.Millisecond}, size: mixedSize, run: update,
	},
	{
		name: "releases", about: "replace all pods by those of the next release, which has other formats, and back, with cuts",
		size: usualSize, run: releases,
	},
	{
		name: "storm", about: "cut all connections at once",
		size: stormSize, run: storm,
	},
	{
		name: "apprestart", about: "kill -9 an app under a living sidecar, start it again 3 s later",
		allow: allowance{tail: true, again: true, inLost: true, open: true}, size: usualSize, run: appRestart,
	},
}

func usualSize(o *options) size {
	return size{sessions: o.sessions, rate: o.rate, fast: min(o.fast, o.sessions), fastRate: o.fastRate, kinds: []kind{stream}}
}

// mixedSize has every kind of app. Gaps are measured on those that answer soon.
func mixedSize(o *options) size {
	sz := usualSize(o)
	sz.kinds = []kind{stream, answer(0), answer(50 * time.Millisecond), answer(300 * time.Millisecond), answer(2 * time.Second)}
	return sz
}

// fewSessions is a background for scenarios with connections of their own.
func fewSessions(o *options) size {
	const background = 30
	return size{sessions: min(background, o.sessions), rate: o.rate, kinds: []kind{stream}}
}

// stormSize has few messages, so that what is measured is the storm.
func stormSize(o *options) size {
	const rate = 0.2
	return size{sessions: o.storm, rate: rate, kinds: []kind{stream}}
}
