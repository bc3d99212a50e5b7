package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

// Names of the rivals, by which goals find their numbers.
const (
	nginxAuto      = "nginx, worker per processor"
	nginxOne       = "nginx, 1 worker"
	sidecarPlain   = "sidecar, plain, auto"
	sidecarSession = "sidecar, resilient, auto"
	sidecarOutside = "sidecar, resilient, auto, NATS outside"
)

// connectionRoom is what nginx and HAProxy are laid out for: idleSessions, two
// sockets each, and a sixteenth of it more, since nginx closes connections that
// have not spoken yet when less is left.
const connectionRoom = 19_600

// descriptorRoom is what one process of the largest part opens.
const descriptorRoom = 2*idleSessions + 500

// A rival is a proxy in the comparison.
type rival struct {
	name    string
	offer   wire.Offer
	sidecar bool
	versed  bool // it ends TLS, and knows Unix sockets
	begin   func(r *rig.Rig, upstream string, env ...string) (*instance, error)
}

// An instance is a running rival.
type instance struct {
	*proc.Process
	addr  string
	admin string        // of a sidecar
	app   *proc.Process // of its own; may be nil
}

// beforeApp starts a rival before an app of its own, whose address it returns too.
func (rv *rival) beforeApp(r *rig.Rig, env ...string) (*instance, string, error) {
	app, upstream, err := r.StartRole("bare-app")
	if err != nil {
		return nil, "", err
	}
	p, err := rv.begin(r, upstream, env...)
	if err != nil {
		app.Kill()
		return nil, "", err
	}
	p.app = app
	return p, upstream, nil
}

// rivals are in the order of the tables.
func rivals() []rival {
	list := []rival{
		{name: nginxAuto, versed: true, begin: beginNginx("master_process on; worker_processes auto; worker_cpu_affinity auto;")},
		{name: nginxOne, versed: true, begin: beginNginx("master_process on; worker_processes 1;")},
		{name: "HAProxy", versed: true, begin: func(r *rig.Rig, upstream string, _ ...string) (*instance, error) {
			c, addr, err := r.StartHAProxy(upstream, connectionRoom/2)
			return &instance{Process: c, addr: addr}, err
		}},
		{name: "goroutine forwarder", begin: func(r *rig.Rig, upstream string, _ ...string) (*instance, error) {
			c, addr, err := r.StartRole("forward", "loop", upstream)
			return &instance{Process: c, addr: addr}, err
		}},
	}
	for _, driver := range []string{"auto", "epoll", "goroutine"} {
		list = append(list, sidecarRivals(driver, "", "")...)
	}
	return list
}

// sidecarRivals are the rows of one driver of one binary; "" is the rig's.
func sidecarRivals(driver, binary, suffix string) []rival {
	begin := beginDriver(driver, binary)
	return []rival{
		{name: "sidecar, plain, " + driver + suffix, sidecar: true, versed: true, begin: begin},
		{name: "sidecar, resilient, " + driver + suffix, sidecar: true, versed: true, offer: wire.Offer{Resilient: true}, begin: begin},
	}
}

// contestants are the rivals of a run: those that are wanted, and the rows of
// further binaries.
func (o *compareOptions) contestants() []rival {
	list := rivals()
	for i, binary := range o.sidecars {
		if i > 0 {
			list = append(list, sidecarRivals("auto", binary, ", "+filepath.Base(binary))...)
		}
	}
	return slices.DeleteFunc(list, func(rv rival) bool {
		return rv.name != nginxAuto && rv.name != nginxOne && !named(rv.name, o.rivals)
	})
}

// another is a forwarder of the caller's.
func another(command []string) rival {
	name := filepath.Base(command[0])
	for _, arg := range command[1:] {
		name += " " + arg
	}
	return rival{name: name, begin: func(r *rig.Rig, upstream string, _ ...string) (*instance, error) {
		free, err := proc.FreeAddrs(1)
		if err != nil {
			return nil, err
		}
		addr := free[0]
		c, err := r.Start(name, exec.Command(command[0], append(slices.Clone(command[1:]), addr, upstream)...))
		if err != nil {
			return nil, err
		}
		return &instance{Process: c, addr: addr}, r.AwaitListener(c, addr)
	}}
}

func beginNginx(workers string) func(*rig.Rig, string, ...string) (*instance, error) {
	return func(r *rig.Rig, upstream string, _ ...string) (*instance, error) {
		c, addr, err := r.StartNginxAs(rig.NginxKind{Workers: workers, Connections: connectionRoom}, upstream)
		return &instance{Process: c, addr: addr}, err
	}
}

func beginDriver(driver, binary string) func(*rig.Rig, string, ...string) (*instance, error) {
	return func(r *rig.Rig, upstream string, env ...string) (*instance, error) {
		dir, err := r.Scratch("data")
		if err != nil {
			return nil, err
		}
		if driver != "auto" { // which binaries that do not know the setting have
			env = append(env, "WSR_DRIVER="+driver)
		}
		s, err := r.StartSidecarAs(cmp.Or(binary, r.Sidecar), upstream, dir, rig.TokenKey(), env...)
		if err != nil {
			return nil, err
		}
		return &instance{Process: s.Process, addr: s.Addr, admin: s.Admin}, nil
	}
}

// end stops it: a sidecar has sessions that a clean stop would move away, and
// nginx has workers that a kill would leave behind.
func (p *instance) end() {
	if p.app != nil {
		defer p.app.Kill()
	}
	if p.admin != "" {
		p.Kill()
		return
	}
	rig.Stop(p.Process)
}

// raiseDescriptors gives this process, and those it starts, room for n files.
func raiseDescriptors(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	want := unix.Rlimit{Cur: max(limit.Max, n), Max: max(limit.Max, n)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Errorf("bench: %d open files are allowed, %d are needed: ulimit -Hn %d, as root: %w", limit.Max, n, n, err)
	}
	return nil
}

// A usage is what processes have used so far, or between two moments.
type usage struct{ total, user, system time.Duration }

func (u usage) since(before usage) usage {
	return usage{u.total - before.total, u.user - before.user, u.system - before.system}
}

// family is a process and its children: nginx forwards in those.
func family(pid int) ([]int, error) {
	pids := []int{pid}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the thread ended since Glob
		}
		for _, word := range bytes.Fields(b) {
			child, err := strconv.Atoi(string(word))
			if err != nil {
				return nil, fmt.Errorf("bench: children %q: %w", b, err)
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// used sums over the family. The split is counted in ticks, the total in
// nanoseconds.
func (p *instance) used() (u usage, err error) {
	pids, err := family(p.Pid())
	if err != nil {
		return u, err
	}
	for _, pid := range pids {
		total, err := measure.CPUTime(pid)
		if err != nil {
			return u, err
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return u, err
		}
		user, system, err := measure.ParseTimes(b)
		if err != nil {
			return u, err
		}
		u.total, u.user, u.system = u.total+total, u.user+user, u.system+system
	}
	return u, nil
}

// weight is the resident memory of the family in bytes.
func (p *instance) weight() (sum int64, err error) {
	pids, err := family(p.Pid())
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		n, err := measure.Resident(pid)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
