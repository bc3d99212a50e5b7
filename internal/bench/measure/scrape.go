package measure

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// metricsLimit is far above what a sidecar has to tell.
const metricsLimit = 4 << 20

// Scrape reads the metrics of a sidecar, each by its name with its labels.
func Scrape(admin string) (map[string]float64, error) {
	text, err := ReadMetrics(admin)
	if err != nil {
		return nil, err
	}
	return parseMetrics(text)
}

func ReadMetrics(admin string) ([]byte, error) {
	answer, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(io.LimitReader(answer.Body, metricsLimit))
}

// parseMetrics reads Prometheus's text form without times.
func parseMetrics(text []byte) (map[string]float64, error) {
	m := make(map[string]float64)
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		cut := bytes.LastIndexByte(line, ' ')
		if cut < 0 {
			return nil, fmt.Errorf("measure: metric %q: no value", line)
		}
		value, err := strconv.ParseFloat(string(line[cut+1:]), 64)
		if err != nil {
			return nil, fmt.Errorf("measure: metric %q: %w", line, err)
		}
		m[string(bytes.TrimSpace(line[:cut]))] = value
	}
	return m, nil
}
