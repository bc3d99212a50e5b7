package natsstore

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// diskEnv names the directory on which the test binary, in a mount namespace
// of its own, mounts a small disk.
const diskEnv = "WSR_TEST_SMALL_DISK"

// TestDiskFull fills a real file system, in a process that has a mount
// namespace of its own and is root in it. Where the system does not allow
// that, TestSwitchedOff, which runs anyway, tests the same with a server whose
// JetStream was switched off and whose directory cannot be written.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(diskEnv); dir != "" {
		testSmallDisk(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
	cmd.Env = append(os.Environ(), diskEnv+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Logf("no mount namespace on this machine (%v): only TestSwitchedOff tells", err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	default:
		t.Logf("%s", out)
	}
}

// mountSmall mounts or resizes the disk. It does not reach beyond the
// namespace.
func mountSmall(t *testing.T, dir, size string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("wsr", dir, "tmpfs", flags, "size="+size); err != nil {
		t.Fatal(err)
	}
}

// testSmallDisk: the disk fills up under a journal, and gets room again.
func testSmallDisk(t *testing.T, dir string) {
	mountSmall(t, dir, "24m", 0)
	cfg := embeddedConfig(t)
	cfg.Embedded.Dir, cfg.Embedded.MaxStore = dir, 256<<20
	s := mustOpen(t, cfg)
	changes := watched(t, s)
	changes.want(t, true, 5*time.Second)
	var ids []store.ID
	var err error
	var took time.Duration
	for err == nil {
		began := time.Now()
		id := storetest.NewID()
		if _, err = s.Append(t.Context(), id, 0, oneMiB()); err == nil {
			ids = append(ids, id)
		}
		took = time.Since(began)
	}
	t.Logf("full after %d MiB and %v: %v", len(ids), took, err)
	if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrFull) || took > time.Second {
		t.Errorf("the append that found no room: %v after %v", err, took)
	}
	changes.want(t, false, 2*time.Second)
	for range 20 { // full for a while: quick refusals
		began := time.Now()
		if _, err := s.Append(t.Context(), storetest.NewID(), 0, oneMiB()); err == nil || time.Since(began) > time.Second {
			t.Errorf("append to a full disk: %v after %v", err, time.Since(began))
		}
		time.Sleep(repairPause / 10)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	wantAll(t, s, ids) // what is there can be read all the while

	mountSmall(t, dir, "64m", syscall.MS_REMOUNT)
	changes.want(t, true, 10*time.Second)
	wantAll(t, s, ids)
	if _, err := s.Append(t.Context(), storetest.NewID(), 0, oneMiB()); err != nil {
		t.Error(err)
	}
}
