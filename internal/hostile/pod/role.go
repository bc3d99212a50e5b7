package pod

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// attackRoleName is what an attacker is in a process of its own, so that it takes no
// time of the innocents' but that of the machine.
const attackRoleName = "attack"

// Roles are what a program that uses this package can be as a process of its own.
// Its main or TestMain calls proc.RunRole with them first.
func Roles() map[string]proc.Role {
	roles := maps.Clone(lab.Roles)
	roles[attackRoleName] = attackRole
	return roles
}

// attackRole attacks: its arguments are attackers, address, time, scale, and the
// sizes of a storm.
func attackRole(args []string) error {
	if len(args) != 6 {
		return fmt.Errorf("pod: an attack has 6 arguments, not %d", len(args))
	}
	lasts, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	var numbers [3]int
	for i := range numbers {
		if numbers[i], err = strconv.Atoi(args[3+i]); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	t := &target{addr: args[1], scale: numbers[0], sizes: Sizes{HalfOpen: numbers[1], Detached: numbers[2]}}
	var all sync.WaitGroup
	for name := range strings.SplitSeq(args[0], ",") {
		for _, a := range attackers[name] {
			all.Go(func() { a.run(ctx, t) })
		}
	}
	all.Wait()
	return nil
}

// attack lets the attackers loose, all of what each can do at once, and returns
// when they have gone.
func (s *stage) attack(ctx context.Context, o Options) error {
	var last *proc.Process
	for _, share := range o.Sizes.shares() {
		p, err := s.attacker(o, share)
		if err != nil {
			return err
		}
		defer p.Kill()
		last = p
	}
	if o.meanwhile != nil {
		return o.meanwhile(ctx, s)
	}
	select {
	case <-last.Over():
	case <-time.After(o.Lasts + holds):
		return fmt.Errorf("pod: the attack does not end")
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// attacker starts a process with its share of an attack.
func (s *stage) attacker(o Options, share Sizes) (*proc.Process, error) {
	cmd, err := proc.InRole(attackRoleName, strings.Join(o.Attackers, ","), s.sidecar.Addr, o.Lasts.String(), strconv.Itoa(o.Scale),
		strconv.Itoa(share.HalfOpen), strconv.Itoa(share.Detached))
	if err != nil {
		return nil, err
	}
	if nice, err := exec.LookPath("nice"); o.Fair && err == nil {
		// What innocents wait for is to be the sidecar's doing, and not that the
		// machine has no processor left for it.
		cmd.Path, cmd.Args = nice, append([]string{nice, "-n", "19", cmd.Path}, cmd.Args[1:]...)
	}
	return s.starter.Start("attack", cmd)
}
