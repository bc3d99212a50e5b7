package main

import (
	"fmt"
	"net"
)

// roleArg makes the program one of its own subprocesses, so that the
// processor time of each part is that of a process.
const roleArg = "role"

// runRole is the subprocess: it prints its address and serves until it is
// killed.
//
//	echo
//	app
//	forward loop|copy target
//	nats name folder [own-route route...]
func runRole(args []string) error {
	if len(args) >= 3 && args[0] == "nats" {
		return serveNATS(args[1], args[2], args[3:])
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	switch {
	case len(args) == 1 && args[0] == "echo":
		return serveEcho(ln)
	case len(args) == 1 && args[0] == "app":
		return serveApp(ln)
	case len(args) == 3 && args[0] == "forward" && copiers[args[1]] != nil:
		return serveForward(ln, args[2], copiers[args[1]])
	}
	return fmt.Errorf("bench: role %q: unknown", args)
}
