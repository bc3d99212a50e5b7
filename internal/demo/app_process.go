package demo

import (
	"errors"
	"fmt"
	"time"
)

// appProcess is an app as the demo sees it.
type appProcess struct {
	number  int
	address string
	child   *child
}

// startApp returns when the app listens.
func startApp(w *audience, address string, number int) (*appProcess, error) {
	listens := make(chan string, 1)
	first := true
	c, err := startChild(w.options.program, []string{"demo", appArg, address, fmt.Sprint(number)}, nil, func(line string) {
		if first {
			listens <- line
			first = false
			return
		}
		w.report(line)
	}, func(line string) { w.say("%s", line) })
	if err != nil {
		return nil, err
	}
	limit := time.NewTimer(podStart)
	defer limit.Stop()
	select {
	case address = <-listens:
		return &appProcess{number, address, c}, nil
	case <-c.over:
	case <-limit.C:
		c.kill()
	}
	return nil, errors.New("the demo's app did not start")
}
