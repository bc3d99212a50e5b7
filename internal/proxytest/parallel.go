package proxytest

import (
	"flag"
	"strconv"
)

// Parallel lets n tests of this process run at a time, unless -parallel says
// otherwise. It is for tests that mostly wait, of which more than there are
// processors can run together. TestMain calls it.
func Parallel(n int) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		_ = flag.Set("test.parallel", strconv.Itoa(n))
	}
}
