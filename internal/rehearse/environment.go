package rehearse

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// connects is how often the way to the target is measured.
const connects = 3

// way is how long it takes to connect to the target from here, at best; 0 if it
// cannot be reached.
func way(ctx context.Context, target string) (best time.Duration) {
	for range connects {
		began := time.Now()
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", target)
		if err != nil {
			continue
		}
		took := time.Since(began)
		_ = c.Close()
		if best == 0 || took < best {
			best = took
		}
	}
	return best
}

// environment is what the numbers depend on and this side knows.
func (r *run) environment() [][2]string {
	list := [][2]string{
		{"load from", fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())},
	}
	if r.way > 0 {
		list = append(list, [2]string{"connecting to the target, without faults", tally.Millis(stats.Millis(r.way))})
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				list = append(list, [2]string{"processor", strings.TrimSpace(value)})
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		list = append(list, [2]string{"kernel", strings.TrimSpace(string(text))})
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control"); err == nil {
		list = append(list, [2]string{"congestion control of TCP", strings.TrimSpace(string(text))})
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		list = append(list, [2]string{"machine load at the end (1, 5, 15 min)", strings.Join(strings.Fields(string(text))[:3], ", ")})
	}
	return list
}
