package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Pod are the surroundings of a sidecar, as a command beside it sees them.
type Pod struct {
	Settings []string // what is wrong with them; then nothing else was looked at
	Warnings []string // of settings that are likely mistakes

	Version string // of this program
	Sidecar Running
	App     Reach
	Ports   []Port // that a sidecar could not listen on; only if none runs
	Journal Journal
	Self    string   // WSR_ADVERTISE
	Local   []string // addresses of this machine
	Peers   []Peer

	Files     []CertFile
	OpenFiles uint64 // limit; 0: not known
	Dialled   int    // local ports to dial from; 0: not known
	Memory    int64  // limit of the container in bytes; 0: none
	Budget    int64  // WSR_MEMORY_BUDGET
}

// Running is the sidecar of this pod, by its admin port.
type Running struct {
	Address string
	Err     string // why it does not answer
	Ready   bool
	Why     string // it is not ready
	Version string
}

// Reach is whether something takes connections.
type Reach struct {
	Address string
	Cause   Cause
	Err     string
	Took    time.Duration
}

// Port is one that cannot be listened on.
type Port struct{ Setting, Address, Err string }

// Journal is the journal.
type Journal struct {
	Embedded bool
	Dir      string // of an embedded one
	DirErr   string
	Free     int64 // bytes

	Server    string
	RTT       time.Duration
	Err       string
	Streams   string // missing or wrong
	Missing   bool
	Expect    bool // WSR_NATS_STREAMS
	Denied    []string
	Foreign   int
	Clock     *Clock
	SharedKey bool // WSR_TOKEN_KEYS is set
}

// A Peer is another sidecar, or this one, as others see it.
type Peer struct {
	Name, Address string
	Self          bool
	Proved        bool
	Gone          bool // nobody listens, or another process is there
	Err           string
	Draining      bool
}

// A CertFile is a certificate of a setting.
type CertFile struct {
	Setting, Err string
	NotAfter     time.Time
	Now          time.Time
}

// Bounds of what a pod needs.
const (
	minOpenFiles = 4096
	minPorts     = 10000
	minFree      = 1 << 30 // what an embedded journal may take
)

// DiagnosePod judges the surroundings.
func DiagnosePod(p *Pod) *Report {
	c := &findings{}
	for _, s := range p.Settings {
		c.add(Finding{ID: "settings", Severity: Problem, Blame: []Party{Sidecar}, What: "The settings cannot be used: " + s}, NoSymptom)
	}
	for _, w := range p.Warnings {
		c.add(Finding{ID: "setting-odd", Severity: Warning, Blame: []Party{Sidecar}, What: w}, NoSymptom)
	}
	if len(p.Settings) == 0 {
		for _, rule := range []func(*Pod, *findings){running, reach, journal, peers, files, limits} {
			rule(p, c)
		}
	}
	sortFindings(c.list)
	return &Report{Behind: []string{}, Checks: podChecks(p), Findings: c.list}
}

func running(p *Pod, c *findings) {
	s := p.Sidecar
	switch {
	case s.Err != "":
		c.add(Finding{ID: "no-sidecar-here", Severity: Note, Blame: []Party{Sidecar}, What: "No sidecar answers at " + s.Address + ".", Seen: []string{s.Err},
			Do: "If one should run here: with the same WSR_ADMIN_LISTEN as this command? In Kubernetes wsresilience-injector check -pod NAMESPACE/NAME tells why a pod has none."}, NoSymptom)
	case !s.Ready:
		c.add(Finding{ID: "not-ready", Severity: Problem, Blame: []Party{Sidecar}, What: "The sidecar is not ready.", Seen: []string{s.Why}}, NoSymptom)
	}
	if s.Err == "" && s.Version != "" && p.Version != "" && s.Version != p.Version {
		c.add(Finding{ID: "other-version", Severity: Note, What: fmt.Sprintf("The sidecar that runs is %s, and this command %s.", s.Version, p.Version)}, NoSymptom)
	}
	for _, port := range p.Ports {
		c.add(Finding{ID: "port-taken", Severity: Problem, Blame: []Party{Sidecar, App}, What: fmt.Sprintf("A sidecar cannot listen on %s=%s.", port.Setting, port.Address),
			Seen: []string{port.Err}, Do: "Something else listens there, or it needs a right: let the one or the other use another port."}, NoSymptom)
	}
}

func reach(p *Pod, c *findings) {
	if p.App.Cause == None {
		return
	}
	do := "Is the app up, and does it listen at WSR_UPSTREAM?"
	if p.App.Cause == Refused && strings.Contains(p.App.Address, "localhost") {
		do += " It may listen on one of 127.0.0.1 and ::1 only: name that."
	}
	c.add(Finding{ID: "app-away", Severity: Problem, Blame: []Party{App, Sidecar}, What: "The app does not take connections at " + p.App.Address + ".", Seen: []string{p.App.Err}, Do: do}, NoSymptom)
}

func journal(p *Pod, c *findings) {
	j := p.Journal
	fi := Finding{ID: "journal", Severity: Problem, Blame: []Party{Sidecar}}
	switch {
	case j.Embedded && j.DirErr != "":
		fi.What, fi.Seen, fi.Do = "The folder of the embedded journal cannot be used: "+j.Dir+".", []string{j.DirErr}, "Set WSR_DATA_DIR to a folder that the sidecar's user can write."
		c.add(fi, NoSymptom)
	case j.Embedded && j.Free > 0 && j.Free < minFree:
		fi.Severity, fi.What = Warning, fmt.Sprintf("%s has %s left, and an embedded journal takes up to 1 GiB.", j.Dir, size(int(j.Free)))
		c.add(fi, NoSymptom)
	case j.Embedded:
	case j.Err != "":
		fi.What, fi.Seen = "NATS cannot be used.", []string{j.Err}
		fi.Do = "Check WSR_NATS_URL, credentials (WSR_NATS_CREDS, WSR_NATS_NKEY), WSR_NATS_CA and NetworkPolicies, and that JetStream is on."
		c.add(fi, NoSymptom)
	default:
		external(j, fi, c)
	}
}

// external judges a journal that was reached.
func external(j Journal, fi Finding, c *findings) {
	for _, d := range j.Denied {
		c.add(Finding{ID: "nats-right", Severity: Problem, Blame: []Party{Sidecar}, What: "The NATS user may not do what sidecars have to: " + d, Do: "Permit it what docs/OPERATING.md lists."}, NoSymptom)
	}
	if j.Streams != "" {
		fi.ID, fi.What, fi.Seen = "streams", "The streams of the journal are not as they have to be.", strings.Split(j.Streams, "\n")
		fi.Do = "Make them, or change them, as docs/OPERATING.md says; or set WSR_NATS_STREAMS=create."
		if !j.Expect {
			fi.Severity, fi.Do = Warning, "A sidecar changes them back, as far as its user may."
			if j.Missing {
				fi.Severity, fi.Do = Note, "The first sidecar makes what is missing, as far as its user may."
			}
		}
		c.add(fi, NoSymptom)
	}
	if j.Foreign > 0 {
		c.add(Finding{ID: "foreign-leases", Severity: Warning, Blame: []Party{Sidecar}, What: fmt.Sprintf("%d sidecars share the journal with other keys, or somebody writes to its bucket.", j.Foreign),
			Do: "Give all pods of a service the same WSR_TOKEN_KEYS; services that are not one need an account each."}, NoSymptom)
	}
	if j.Clock != nil {
		clocks(&Facts{Clocks: []Clock{*j.Clock}}, c)
	}
	if !j.SharedKey {
		c.add(Finding{ID: "no-keys", Severity: Problem, Blame: []Party{Sidecar}, What: "WSR_TOKEN_KEYS is not set: no other pod, and no sidecar after a restart, can resume a session.", Do: "Give all pods the same: openssl rand -base64 32."}, NoSymptom)
	}
}

func peers(p *Pod, c *findings) {
	if host := hostOf(p.Self); host != "" && !p.Journal.Embedded && len(p.Local) > 0 && numeric(host) && !slices.Contains(p.Local, host) {
		c.add(Finding{ID: "advertise", Severity: Warning, Blame: []Party{Sidecar}, What: fmt.Sprintf("WSR_ADVERTISE=%s is none of this machine's addresses (%s).", p.Self, strings.Join(p.Local, ", ")),
			Do: "Other pods reach this one by it. In Kubernetes set POD_IP from the downward API."}, NoSymptom)
	}
	var dead, gone []string
	for _, o := range p.Peers {
		switch {
		case o.Proved:
		case o.Gone && !o.Self:
			gone = append(gone, o.Address+": "+o.Err)
		default:
			dead = append(dead, o.Address+": "+o.Err)
		}
	}
	if len(dead) > 0 {
		c.add(Finding{ID: "peer-unreachable", Severity: Problem, Blame: []Party{Path, Sidecar}, What: fmt.Sprintf("%d of %d sidecars cannot be reached from here: clients that come to the wrong pod are told to try again, or their sessions are adopted.", len(dead), len(p.Peers)), Seen: dead,
			Do: "Let pods reach each other's proxy port (NetworkPolicy, service mesh; 15801, with mutual TLS 15803), by the address in WSR_ADVERTISE. One that answers and does not prove itself has other keys (WSR_TOKEN_KEYS), or a clock that is minutes off."}, NoSymptom)
	}
	if len(gone) > 0 {
		c.add(Finding{ID: "peer-gone", Severity: Note, Blame: []Party{Sidecar}, What: fmt.Sprintf("%d sidecars are gone whose leases have not run out yet.", len(gone)), Seen: gone}, NoSymptom)
	}
}

func files(p *Pod, c *findings) {
	for _, f := range p.Files {
		switch {
		case f.Err != "":
			c.add(Finding{ID: "certificate-file", Severity: Problem, Blame: []Party{Sidecar}, What: "The certificate of " + f.Setting + " cannot be used.", Seen: []string{f.Err}}, NoSymptom)
		case f.NotAfter.Before(f.Now):
			c.add(Finding{ID: "certificate-expired", Severity: Problem, Blame: []Party{Sidecar}, What: "The certificate of " + f.Setting + " has expired.", Seen: []string{f.NotAfter.UTC().Format(time.RFC3339)}}, NoSymptom)
		}
	}
}

func limits(p *Pod, c *findings) {
	if p.OpenFiles > 0 && p.OpenFiles < minOpenFiles {
		c.add(Finding{ID: "open-files", Severity: Warning, Blame: []Party{Sidecar}, What: fmt.Sprintf("The limit on open files is %d: each session takes two.", p.OpenFiles), Do: "Raise it (ulimit -n, LimitNOFILE)."}, NoSymptom)
	}
	if p.Dialled > 0 && p.Dialled < minPorts {
		c.add(Finding{ID: "local-ports", Severity: Warning, Blame: []Party{Sidecar}, What: fmt.Sprintf("There are %d local ports to dial the app from: each session takes one.", p.Dialled), Do: "Widen net.ipv4.ip_local_port_range, or let the app listen on a Unix socket."}, NoSymptom)
	}
	if p.Memory > 0 && p.Budget > p.Memory/10*9 {
		c.add(Finding{ID: "memory", Severity: Warning, Blame: []Party{Sidecar}, What: fmt.Sprintf("WSR_MEMORY_BUDGET is %s, and the container may take %s in all.", size(int(p.Budget)), size(int(p.Memory))),
			Do: "Leave room for the process itself, and for an embedded journal: raise the limit, or lower the budget."}, NoSymptom)
	}
}

func hostOf(address string) string {
	i := strings.LastIndex(address, ":")
	if i < 0 {
		return ""
	}
	return strings.Trim(address[:i], "[]")
}

func numeric(host string) bool {
	return strings.Trim(host, "0123456789.") == "" || strings.Contains(host, ":")
}

// podChecks lists what was looked at.
func podChecks(p *Pod) []Check {
	var list []Check
	say := func(name string, ok bool, format string, args ...any) {
		list = append(list, Check{name, ok, fmt.Sprintf(format, args...)})
	}
	say("settings", len(p.Settings) == 0, "%s", map[bool]string{true: "can be used", false: "cannot be used"}[len(p.Settings) == 0])
	if len(p.Settings) > 0 {
		return list
	}
	s := p.Sidecar
	say("sidecar", s.Err == "" && s.Ready, "%s", s.Address+": "+or(s.Err, or(s.Why, "ready"))+map[bool]string{true: ", " + s.Version}[s.Version != ""])
	say("app", p.App.Cause == None, "%s: %s", p.App.Address, or(p.App.Err, "connected after "+short(p.App.Took)))
	switch j := p.Journal; {
	case j.Embedded:
		say("journal", j.DirErr == "", "embedded, %s: %s", j.Dir, or(j.DirErr, size(int(j.Free))+" free"))
	case j.Err != "":
		say("journal", false, "%s", j.Err)
	default:
		say("journal", j.Streams == "", "%s, round trip %s", j.Server, short(j.RTT))
		say("rights", len(j.Denied) == 0, "%d missing", len(j.Denied))
		if k := j.Clock; k != nil {
			say("clock", k.Low <= maxSkew && k.High >= -maxSkew, "of %s: between %s and %s from ours", k.Of, short(k.Low), short(k.High))
		}
	}
	for _, o := range p.Peers {
		name := "peer"
		if o.Self {
			name = "itself"
		}
		say(name, o.Proved, "%s: %s%s", o.Address, or(o.Err, "proved itself"), map[bool]string{true: ", draining"}[o.Draining])
	}
	for _, f := range p.Files {
		say("file", f.Err == "" && f.NotAfter.After(f.Now), "%s: %s", f.Setting, or(f.Err, "valid until "+f.NotAfter.UTC().Format(time.DateOnly)))
	}
	if p.OpenFiles > 0 {
		say("limits", p.OpenFiles >= minOpenFiles, "%d open files, %d local ports", p.OpenFiles, p.Dialled)
	}
	if p.Memory > 0 {
		say("memory", p.Budget <= p.Memory/10*9, "budget %s of %s", size(int(p.Budget)), size(int(p.Memory)))
	}
	return list
}
