package upgrade

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

// An app on loopback is dialled from other addresses when the ports of one are
// all taken; any other cannot be.
func TestSources(t *testing.T) {
	taken := os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
	for _, tt := range []struct {
		name    string
		address string
		full    int // addresses whose ports are taken
		from    string
		short   int
		err     error
	}{
		{"ports are left", "127.0.0.1:80", 0, "", 0, nil},
		{"the first address is full", "127.0.0.1:80", 1, "127.0.0.2", 1, nil},
		{"three are", "localhost:80", 3, "127.0.0.4", 3, nil},
		{"all are", "127.0.0.1:80", maxSources, "", maxSources + 1, ErrPorts},
		{"another host", "10.0.0.1:80", 1, "", 1, ErrPorts},
		{"another host by name", "app:80", 1, "", 1, ErrPorts},
		{"loopback by IPv6", "[::1]:80", 1, "", 1, ErrPorts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			short, from := 0, ""
			s := &sources{many: isLoopback(tt.address), short: func(bool) { short++ }}
			s.dial = func(_ context.Context, local net.Addr, _, _ string) (net.Conn, error) {
				n := 0
				if from = ""; local != nil {
					ip := local.(*net.TCPAddr).IP
					n, from = int(ip[len(ip)-1])-1, ip.String()
				}
				if n < tt.full {
					return nil, taken
				}
				return nil, nil
			}
			_, err := s.Dial(t.Context(), "tcp", tt.address)
			if !errors.Is(err, tt.err) || err == nil && from != tt.from || short != tt.short {
				t.Errorf("from %q, short %d times, %v; want %q, %d, %v", from, short, err, tt.from, tt.short, tt.err)
			}
			before := short
			if _, err := s.Dial(t.Context(), "tcp", tt.address); err == nil && short != before {
				t.Error("the next dial begins with an address that is full")
			}
		})
	}
}
