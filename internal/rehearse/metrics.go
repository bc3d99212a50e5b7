package rehearse

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/load"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
)

// Implementation limits.
const (
	metricsLimit = 16 << 20
	metricsWait  = 10 * time.Second
	shownSpans   = 3
)

// lifetimes end the names of times that nobody waits for.
const lifetimes = "_age_seconds"

// A histogram is one of Prometheus's text form, over all its labels but le.
type histogram struct {
	sum     float64
	count   float64
	buckets map[float64]float64 // upper bound in seconds to how many are not above it
}

// scrapeAll reads the histograms of times of all URLs; what cannot be read is
// missing.
func scrapeAll(ctx context.Context, c *http.Client, urls []string) map[string]*histogram {
	all := map[string]*histogram{}
	for _, u := range urls {
		text, err := scrape(ctx, c, u)
		if err == nil {
			parseHistograms(text, all)
		}
	}
	return all
}

// checkMetrics reports a URL that has no metrics, before a run of minutes has none.
func checkMetrics(ctx context.Context, c *http.Client, urls []string) error {
	for _, u := range urls {
		text, err := scrape(ctx, c, u)
		if err == nil && !bytes.Contains(text, []byte("# TYPE ")) {
			err = errors.New("its answer is no text of Prometheus")
		}
		if err != nil {
			return fmt.Errorf("rehearse: -metrics: %s: want a URL such as http://10.0.0.7:15802/metrics", load.Reason(err))
		}
	}
	return nil
}

func scrape(ctx context.Context, c *http.Client, u string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New("answered with " + answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, metricsLimit))
}

// parseHistograms adds those whose name says that they are in seconds.
func parseHistograms(text []byte, all map[string]*histogram) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if line == "" || line[0] == '#' || at < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			continue
		}
		series := line[:at]
		name, labels, _ := strings.Cut(series, "{")
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			base, ok := strings.CutSuffix(name, part)
			if !ok || !strings.HasSuffix(base, "_seconds") || strings.HasSuffix(base, lifetimes) {
				continue
			}
			key := base + withoutBound(labels)
			h := all[key]
			if h == nil {
				h = &histogram{buckets: map[float64]float64{}}
				all[key] = h
			}
			switch part {
			case "_sum":
				h.sum += value
			case "_count":
				h.count += value
			default:
				h.buckets[bound(labels)] += value
			}
		}
	}
}

// withoutBound is a list of labels with its braces, and without le.
func withoutBound(labels string) string {
	var kept []string
	for label := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
		if label != "" && !strings.HasPrefix(label, "le=") {
			kept = append(kept, label)
		}
	}
	if kept == nil {
		return ""
	}
	return "{" + strings.Join(kept, ",") + "}"
}

func bound(labels string) float64 {
	_, rest, _ := strings.Cut(labels, `le="`)
	text, _, _ := strings.Cut(rest, `"`)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.Inf(1)
	}
	return v
}

// slowest returns the spans with the highest means between two readings.
func slowest(before, after map[string]*histogram) []report.Span {
	var list []report.Span
	for name, h := range after {
		was := before[name]
		if was == nil {
			was = &histogram{}
		}
		if n := h.count - was.count; n > 0 {
			mean := (h.sum - was.sum) / n
			list = append(list, report.Span{Name: name, From: report.FromMetrics, Count: int64(n), Mean: 1e3 * mean, Deviation: 1e3 * h.deviation(was, mean)})
		}
	}
	return slowestOf(list)
}

// deviation estimates the standard deviation, as if all that is in a bucket lay
// in its middle, or where it is open upwards at its lower bound.
func (h *histogram) deviation(was *histogram, mean float64) float64 {
	var bounds []float64
	for b := range h.buckets {
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	low, below, n, squares := 0.0, 0.0, 0.0, 0.0
	for _, b := range bounds {
		here := h.buckets[b] - was.buckets[b] - below
		middle := (low + b) / 2
		if math.IsInf(b, 1) {
			middle = low
		}
		squares += here * (middle - mean) * (middle - mean)
		n += here
		low, below = b, below+here
	}
	if n == 0 {
		return 0
	}
	return math.Sqrt(squares / n)
}
