package natsstore

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// An answer is read as encoding/json reads it, or refused.
func TestParseAck(t *testing.T) {
	const broken = 10077
	for data, want := range map[string]struct {
		seq  uint64
		code jetstream.ErrorCode
		ok   bool
	}{
		`{"stream":"WSR_LOG_0", "seq":12}`:                  {12, 0, true},
		`{"stream":"WSR_LOG_63","seq":1,"domain":"d"}`:      {1, 0, true},
		`{"stream":"WSR_LOG_0","domain":"d", "seq": 7 }`:    {7, 0, true},
		`{"seq":18446744073709551615,"stream":"WSR_LOG_0"}`: {1<<64 - 1, 0, true},
		`{"stream":"WSR_LOG_0","seq":18446744073709551615}`: {1<<64 - 1, 0, true},
		`{"stream":"OTHER","seq":3,"duplicate":true}`:       {3, 0, true},
		`{"stream":"WSR_LOG_0","seq":12`:                    {},
		`{"stream":"WSR_LOG_0","seq":-1}`:                   {},
		`{"stream":"WSR_LOG_0","seq":99999999999999999999}`: {},
		`{"seq":12}`: {},
		``:           {},
		`{"error":{"code":503,"err_code":10077,"description":"x"},"stream":"WSR_LOG_0","seq":0}`: {0, broken, false},
	} {
		seq, err := parseAck([]byte(data))
		var api *jetstream.APIError
		errors.As(err, &api)
		if (err == nil) != want.ok || seq != want.seq || (api != nil) != (want.code != 0) || api != nil && api.ErrorCode != want.code {
			t.Errorf("%s: %d, %v", data, seq, err)
		}
	}
}
