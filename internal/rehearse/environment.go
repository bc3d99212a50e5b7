package rehearse

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// environment is what the numbers depend on and this side knows.
func environment() [][2]string {
	list := [][2]string{
		{"load from", fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())},
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
