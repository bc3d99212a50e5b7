package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is an amount of memory. As text it is a whole number, alone or with
// KiB, MiB, GiB or TiB. KB, MB and the like are refused: they mean 1,000 to
// some and 1,024 to others.
type Bytes int64

// units from the largest on, so that String finds the shortest form.
var units = [...]struct {
	name string
	size Bytes
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, unit := string(text), Bytes(1)
	for _, u := range units {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = number, u.size
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if errors.Is(err, strconv.ErrRange) || n > uint64(math.MaxInt64/unit) {
		return errors.New("too large")
	}
	if err != nil {
		return errors.New("not an amount of bytes")
	}
	*b = Bytes(n) * unit
	return nil
}

// String returns the shortest exact text, such as 512KiB.
func (b Bytes) String() string {
	for _, u := range units[:len(units)-1] {
		if b != 0 && b%u.size == 0 {
			return fmt.Sprintf("%d%s", b/u.size, u.name)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Allowed describes the text form.
func (Bytes) Allowed() string { return "bytes, plain or with KiB, MiB, GiB" }

// durationAllowed describes the text form of a time.Duration.
const durationAllowed = "a duration with its unit, such as 500ms, 30s, 5m"

// parseDuration reads a duration in Go's notation. A bare number is refused,
// 0 included: 30 might mean seconds or milliseconds.
func parseDuration(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("a number without a unit: write %ss or %sms", s, s)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("not a duration")
	}
	return d, nil
}

// formatDuration is d in the notation that parseDuration reads, without the
// zeros of time.Duration.String: 5m and not 5m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
