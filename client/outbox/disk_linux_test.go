package outbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/client"
)

// diskFolder, in the environment, makes TestDisk what happens on the disk.
const diskFolder = "WSR_TEST_DISK"

// TestDisk: on a disk that is full, or that is read-only, what is
// not stored is refused with a reason, what was stored stays, and all goes on when
// there is room again. The disk is a real one, in a namespace of a process of the
// test's own.
func TestDisk(t *testing.T) {
	if dir := os.Getenv(diskFolder); dir != "" {
		onDisk(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDisk$", "-test.v")
	cmd.Env = append(os.Environ(), diskFolder+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
}

func onDisk(t *testing.T, dir string) {
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"))
	remount := func(flags uintptr) { must(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|flags, "size=512k")) }
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 128<<10), 0o600))
	path := filepath.Join(dir, "a.db")
	s := open(t, path, nil)

	stored := uint32(0)
	attempt := func() error {
		return s.Put(&client.StoredMessage{Position: stored + 1, Type: client.MessageText, Data: []byte(fmt.Sprintf("%d %s", stored+1, strings.Repeat("x", 4<<10)))})
	}
	refused := func(what string, err error, words ...string) {
		t.Helper()
		for _, word := range append(words, path) {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: error %v, want %q in it", what, err, word)
			}
		}
	}
	for stored < 1000 {
		if err := attempt(); err != nil {
			refused("a full disk", err, "no room on the disk")
			break
		}
		stored++
	}
	if stored < 5 || stored == 1000 {
		t.Fatalf("%d messages on the disk", stored)
	}
	refused("still full", attempt(), "no room on the disk")
	must(t, os.Remove(ballast))
	must(t, attempt())
	stored++
	must(t, s.Save(session(0, 0)))

	must(t, s.Close())
	remount(unix.MS_RDONLY)
	if _, err := Open(path, nil); err == nil {
		t.Error("a file that cannot be written is opened")
	} else {
		refused("opened read-only", err, "may not be written")
	}
	remount(0)
	s, err := Open(path, nil)
	must(t, err)
	defer s.Close()
	must(t, attempt())
	stored++
	_, messages, err := s.Load()
	must(t, err)
	for i, m := range messages {
		if !strings.HasPrefix(string(m.Data), fmt.Sprintf("%d x", i+1)) {
			t.Errorf("message %d begins with %q", i+1, m.Data[:4])
		}
	}
	if len(messages) != int(stored) || errors.Is(err, ErrDamaged) {
		t.Errorf("%d messages are there, %d were stored", len(messages), stored)
	}
}
