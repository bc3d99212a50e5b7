package upgrade

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// An app on loopback takes more connections than there are local ports. The test
// runs once more in a network namespace, where there are few.
func TestMoreConnectionsThanPorts(t *testing.T) {
	const role = "WSR_TEST_FEW_PORTS"
	if os.Getenv(role) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), role+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		}
		out, err := cmd.CombinedOutput()
		if os.Getuid() != 0 && cmd.Process == nil {
			t.Skipf("this kernel allows user %d no network namespace: %v", os.Getuid(), err)
		}
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40009"), 0); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	app, err := ParseApp("http://127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	short, none := 0, 0
	app.PortsShort = func(n bool) {
		if short++; n {
			none++
		}
	}
	from := map[string]int{}
	for range 50 {
		c, err := app.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		from[c.LocalAddr().(*net.TCPAddr).IP.String()]++
	}
	if len(from) < 5 || from["127.0.0.1"] == 0 || from["127.0.0.2"] == 0 || short == 0 || none != 0 {
		t.Errorf("from %v, short %d times, without any port %d", from, short, none)
	}
}
