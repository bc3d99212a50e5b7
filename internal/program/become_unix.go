//go:build unix

package program

import "syscall"

// Become goes on as another program, which has this one's process. It returns only
// after an error.
func Become(file string, args, environ []string) (code int, err error) {
	return 0, syscall.Exec(file, append([]string{file}, args...), environ)
}
