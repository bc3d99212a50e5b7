package match

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Implementation limits of a setting with rules.
const (
	// MaxRules bounds what every message is compared with.
	MaxRules = 64

	// MaxRulesText is far above what MaxRules rules need.
	MaxRulesText = 256 << 10
)

// ReadRules reads {"rules": [...]}, strictly: a name that T does not have is an
// error.
func ReadRules[T any](data []byte) ([]T, error) {
	if len(data) > MaxRulesText {
		return nil, fmt.Errorf("rules of %d bytes: at most %d", len(data), MaxRulesText)
	}
	var file struct {
		Rules []T `json:"rules"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("rules: something follows the object")
	}
	if n := len(file.Rules); n == 0 || n > MaxRules {
		return nil, fmt.Errorf(`rules: %d in "rules", want 1 to %d`, n, MaxRules)
	}
	return file.Rules, nil
}
