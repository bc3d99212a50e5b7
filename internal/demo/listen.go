package demo

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

const (
	// pageAddress is where the page is found unless -listen says otherwise or
	// another program is there.
	pageAddress = "127.0.0.1:15800"

	// listenVariable is where the image says that a container's port is reached
	// from outside of it.
	listenVariable = "WSRESILIENCE_DEMO_LISTEN"
)

// defaultListen is -listen where it is not given.
func defaultListen(getenv func(string) string) string {
	if address := getenv(listenVariable); address != "" {
		return address
	}
	return pageAddress
}

// checkListen judges an address to listen on. "" is none.
func checkListen(address string) error {
	if address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err != nil {
		return fmt.Errorf(`-listen %q: want an address and a port, such as %s, or :15800 for all addresses, or "" for no page`, address, pageAddress)
	}
	return nil
}

// listen listens on an address. Unless it was given, another port will do as well.
func listen(address string, given bool) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil && address == pageAddress && !given {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	return l, err
}

// pageURLs are where a browser on this machine finds what listens at an address,
// and one on another machine, "" if that cannot. machine is this machine's
// address in its network, if it has one.
func pageURLs(at netip.AddrPort, machine netip.Addr) (here, others string) {
	url := func(host netip.Addr) string {
		return "http://" + netip.AddrPortFrom(host, at.Port()).String() + "/"
	}
	switch {
	case at.Addr().IsLoopback():
		return url(at.Addr()), ""
	case !at.Addr().IsUnspecified():
		return url(at.Addr()), url(at.Addr())
	case machine.IsValid():
		others = url(machine)
	}
	return url(netip.AddrFrom4([4]byte{127, 0, 0, 1})), others
}

// machineAddress returns the first address of this machine at which its network
// may find it.
func machineAddress() netip.Addr {
	addresses, _ := net.InterfaceAddrs() // none is as good as an error
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Is4() && prefix.Addr().IsGlobalUnicast() {
			return prefix.Addr()
		}
	}
	return netip.Addr{}
}
