package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds a file that is read as a whole: 16 keys are 1 KiB.
const maxFile = 64 << 10

// File is the path of a file that exists and can be read.
type File string

// Allowed describes the value.
func (File) Allowed() string { return "path of a readable file" }

// check returns what is wrong with the file, and whether it is loose: readable
// by every user. That is only worth a warning, since Kubernetes mounts secrets
// with mode 0644 by default, and a container has no other users.
func (f File) check() (loose bool, err error) {
	info, err := os.Stat(string(f))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, errors.New("there is no such file")
	case err != nil:
		return false, errors.New("its permissions cannot be read by this user")
	case !info.Mode().IsRegular():
		return false, errors.New("not a regular file")
	case info.Mode().Perm()&0o002 != 0:
		return false, fmt.Errorf("mode %04o lets every user write it", info.Mode().Perm())
	}
	opened, err := os.Open(string(f))
	if err != nil {
		return false, errors.New("cannot be read by this user")
	}
	return info.Mode().Perm()&0o004 != 0, opened.Close()
}

// read returns the content of a file that has passed check.
func (f File) read() ([]byte, error) {
	opened, err := os.Open(string(f))
	if err != nil {
		return nil, errors.New("cannot be read by this user")
	}
	defer opened.Close()
	text, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	switch {
	case err != nil:
		return nil, errors.New("cannot be read")
	case len(text) > maxFile:
		return nil, fmt.Errorf("larger than %s", Bytes(maxFile))
	}
	return text, nil
}
