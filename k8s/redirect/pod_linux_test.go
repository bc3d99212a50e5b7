package redirect

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleEnv says what a process that a test started is: the pod, in which that
// test goes on, or the client outside. Each has a network namespace of its own,
// and a cable leads from one to the other.
const roleEnv = "WSR_TEST_REDIRECT"

// Addresses at the two ends of the cable.
const (
	podIPv4, clientIPv4 = "10.0.0.1", "10.0.0.2"
	podIPv6, clientIPv6 = "fd00::1", "fd00::2"
)

// patience is for a machine that is busy; nothing here takes long.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "client" {
		os.Exit(beClient(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// inPod runs the calling test once more, in a network namespace that it can do
// with as it likes, and is true there. Root makes one. Others are root in a
// user namespace; where the kernel allows them none, there is nothing to test
// with, which is the only reason to skip.
func inPod(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleEnv) == "pod" {
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatalf("the network of this test is made by ip(8): install iproute2 (%v)", err)
	}
	pod := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	pod.Env = append(os.Environ(), roleEnv+"=pod")
	pod.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	root := os.Getuid() == 0
	if !root {
		pod.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		pod.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		pod.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	var out strings.Builder
	pod.Stdout, pod.Stderr = &out, &out
	switch err := pod.Start(); {
	case err != nil && root:
		t.Fatalf("root may make no network namespace: %v", err)
	case err != nil:
		t.Skipf("this kernel allows user %d no network namespace: %v", os.Getuid(), err)
	}
	if err := pod.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if want := "--- PASS: " + t.Name(); !strings.Contains(out.String(), want) {
		t.Fatalf("no %q in\n%s", want, &out)
	}
	return false
}

// A client sits outside the pod.
type client struct {
	t     *testing.T
	ask   io.Writer
	reply *bufio.Scanner
}

// plugIn starts a client and lays the cable to it.
func plugIn(t *testing.T) *client {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=client")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	ask, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	reply, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ask.Close() // which ends it
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	for _, args := range []string{
		"link set lo up",
		fmt.Sprintf("link add cable type veth peer name cable netns %d", cmd.Process.Pid),
		"address add " + podIPv4 + "/24 dev cable",
		"address add " + podIPv6 + "/64 dev cable nodad",
		"link set cable up",
	} {
		if err := ip(args); err != nil {
			t.Fatal(err)
		}
	}
	c := &client{t, ask, bufio.NewScanner(reply)}
	if got := c.say("up"); got != "up" {
		t.Fatalf("the client's end of the cable: %s", got)
	}
	return c
}

// want connects from outside, over IPv4 and IPv6, and checks who is there.
func (c *client) want(port int, name string) {
	c.t.Helper()
	for _, host := range []string{podIPv4, podIPv6} {
		addr := net.JoinHostPort(host, fmt.Sprint(port))
		if got := c.say(addr); got != name {
			c.t.Errorf("%s from outside: %s, want %s", addr, got, name)
		}
	}
}

func (c *client) say(line string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.ask, line); err != nil {
		c.t.Fatal(err)
	}
	if !c.reply.Scan() {
		c.t.Fatalf("the client is gone: %v", c.reply.Err())
	}
	return c.reply.Text()
}

// beClient answers each line: "up" when its end of the cable is up, and to an
// address who is there.
func beClient(in io.Reader, out io.Writer) (code int) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer := "up"
		if addr := lines.Text(); addr != "up" {
			answer = whoIsAt(addr)
		} else if err := clientUp(); err != nil {
			answer = err.Error()
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return 1
		}
	}
	return 0
}

func clientUp() error {
	for _, args := range []string{
		"address add " + clientIPv4 + "/24 dev cable",
		"address add " + clientIPv6 + "/64 dev cable nodad",
		"link set cable up",
	} {
		if err := ip(args); err != nil {
			return err
		}
	}
	return nil
}

// ip runs ip(8). Its error is one line.
func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %q", args, err, out)
	}
	return nil
}

// serve answers every connection to port with name, at all addresses.
func serve(t *testing.T, port int, name string) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("[::]:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			fmt.Fprint(conn, name)
			conn.Close()
		}
	}()
}

// whoIsAt returns the name that is served at addr, or "nobody".
func whoIsAt(addr string) string {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return "nobody"
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(patience))
	name, err := io.ReadAll(conn)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(name)
}
