// Package appaddr reads the address of the app, as WSR_UPSTREAM has it:
// http://host:port or unix:/path.
package appaddr

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Forms are the forms that Parse accepts.
const Forms = "http://host:port, or unix:/path"

const (
	unixPrefix = "unix:"

	// maxSocketPath is what sun_path holds on Linux, less the final zero.
	maxSocketPath = 107
)

// Parse returns what net.Dial takes: tcp and host:port, or unix and a path. Its
// errors are reasons, without s: it may hold a password.
func Parse(s string) (network, address string, err error) {
	if file, ok := strings.CutPrefix(s, unixPrefix); ok {
		return "unix", file, checkSocket(file)
	}
	if strings.Contains(s, "@") {
		return "", "", errors.New("credentials have no place here: they are not sent to the app")
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", "", errors.New("not a URL")
	}
	if err := checkScheme(u.Scheme); err != nil {
		return "", "", err
	}
	return "tcp", u.Host, checkURL(u)
}

func checkSocket(file string) error {
	switch {
	case !path.IsAbs(file), path.Clean(file) != file, file == "/":
		return errors.New("the socket's path is not absolute and clean")
	case strings.ContainsRune(file, 0):
		return errors.New("the socket's path holds a zero byte")
	case len(file) > maxSocketPath:
		return fmt.Errorf("a socket's path has at most %d bytes", maxSocketPath)
	}
	return nil
}

func checkScheme(scheme string) error {
	switch scheme {
	case "http":
		return nil
	case "https":
		return errors.New("the scheme is not http: TLS is not spoken to the app, which shares a pod or a host with the sidecar")
	}
	return errors.New("the scheme is not http")
}

// checkURL checks what follows the scheme.
func checkURL(u *url.URL) error {
	switch {
	case u.Opaque != "" || u.Hostname() == "":
		return errors.New("the host is missing")
	case u.Port() == "":
		return errors.New("the port is missing")
	case !validPort(u.Port()):
		return errors.New("the port is not a number from 1 to 65535")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("a path or query has no place here: requests keep their own")
	}
	return nil
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
