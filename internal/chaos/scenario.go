package main

import (
	"context"
	"time"
)

// A scenario is one way to break things, and what may come of it.
type scenario struct {
	name   string
	about  string
	linked bool // sidecars can be cut from each other
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
	{ // A session whose owner stays out of reach for longer than its lease is adopted.
		name: "peers", about: "cut the sidecars from each other for 30 s, with cuts",
		allow: allowance{tail: true, again: true}, linked: true, size: usualSize, run: peersAway,
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
		name: "storm", about: "cut all connections at once",
		size: stormSize, run: storm,
	},
	{
		name: "apprestart", about: "kill -9 an app under a living sidecar, start it again 3 s later",
		allow: allowance{tail: true, again: true, inLost: true, open: true}, size: usualSize, run: appRestart,
	},
}

func usualSize(o *options) size {
	return size{o.sessions, o.rate, min(o.fast, o.sessions), o.fastRate}
}

// fewSessions is a background for scenarios with connections of their own.
func fewSessions(o *options) size {
	const background = 30
	return size{min(background, o.sessions), o.rate, 0, o.fastRate}
}

// stormSize has few messages, so that what is measured is the storm.
func stormSize(o *options) size {
	const rate = 0.2
	return size{o.storm, rate, 0, rate}
}
