package rig

import (
	"fmt"
	"maps"
	"net"
	"os"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// Roles are what this program is as one of its own processes, so that the
// processor time of each part is that of a process. Each prints its address
// and serves until it is killed:
//
//	echo
//	bare-app [path of a Unix socket]
//	forward loop|copy target
//
// and those of the lab.
func Roles() map[string]proc.Role {
	all := maps.Clone(lab.Roles)
	all["echo"] = func([]string) error { return listen(load.ServeEcho) }
	all["bare-app"] = func(args []string) error {
		if len(args) > 0 {
			return listenUnix(args[0], load.ServeApp)
		}
		return listen(load.ServeApp)
	}
	all["forward"] = func(args []string) error {
		if len(args) != 2 || load.Copiers[args[0]] == nil {
			return fmt.Errorf("rig: forward %q: want loop or copy, and a target", args)
		}
		return listen(func(ln net.Listener) error { return load.ServeForward(ln, args[1], load.Copiers[args[0]]) })
	}
	return all
}

func listenUnix(path string, serve func(net.Listener) error) error {
	ln, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o777); err != nil { // for proxies of another user
		return err
	}
	fmt.Println(load.UnixPrefix + path)
	return serve(ln)
}

func listen(serve func(net.Listener) error) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return serve(ln)
}
