package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// tenantPace is the pause between two of a tenant's rounds, and tenantLimit how
	// long an answer of NATS is waited for.
	tenantPace  = 5 * time.Millisecond
	tenantLimit = 500 * time.Millisecond

	// tenantConsumers is how many consumers a tenant makes in a round.
	tenantConsumers = 20
)

// A Tenant shares NATS with sidecars, and has no key. It tries all it can.
type Tenant struct {
	nc      *nats.Conn
	heard   map[string][]*nats.Msg // what was once in the journal and in the bucket, by subject
	silent  map[string]int         // requests that were not answered, by their kind
	Rounds  int
	Granted map[string]int // requests, by their kind
}

// NewTenant connects to a NATS server.
func NewTenant(url string) (*Tenant, error) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, fmt.Errorf("lab: tenant: %w", err)
	}
	return &Tenant{nc: nc, heard: map[string][]*nats.Msg{}, silent: map[string]int{}, Granted: map[string]int{}}, nil
}

// Run tries all it can until ctx ends. It returns nil.
func (t *Tenant) Run(ctx context.Context) error {
	defer t.nc.Close()
	for ; ctx.Err() == nil; t.Rounds++ {
		for shard := range 4 {
			t.records(ctx, fmt.Sprint("WSR_LOG_", shard))
		}
		t.records(ctx, "KV_WSR_LEASE")
		if t.Rounds%10 == 0 {
			t.streams(ctx)
		}
		select {
		case <-time.After(tenantPace):
		case <-ctx.Done():
		}
	}
	return nil
}

// ask makes one request, and reports whether it was granted. What NATS does not
// permit it does not answer, so that is not asked often.
func (t *Tenant) ask(ctx context.Context, kind, subject string, header nats.Header, data []byte) (answer []byte, granted bool) {
	if t.silent[kind] > 1 && t.Granted[kind] == 0 {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, tenantLimit)
	defer cancel()
	msg, err := t.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: header, Data: data})
	if err != nil {
		t.silent[kind]++
	}
	if err != nil || msg.Header.Get("Status") != "" || strings.Contains(string(msg.Data), `"error":`) {
		return nil, false
	}
	t.Granted[kind]++
	return msg.Data, true
}

// records puts what it can on the subjects of a stream: junk, what was there
// before, and what is another's.
func (t *Tenant) records(ctx context.Context, stream string) {
	var info struct {
		State struct {
			Subjects map[string]int `json:"subjects"`
			Last     uint64         `json:"last_seq"`
		} `json:"state"`
	}
	answer, ok := t.ask(ctx, "list", "$JS.API.STREAM.INFO."+stream, nil, []byte(`{"subjects_filter":">"}`))
	if !ok || json.Unmarshal(answer, &info) != nil {
		return
	}
	for subject := range info.State.Subjects {
		if ctx.Err() != nil {
			return
		}
		t.listen(ctx, stream, subject)
		junk := make([]byte, rand.N(2000))
		for i := range junk {
			junk[i] = byte(rand.Uint32())
		}
		headers := []nats.Header{nil, {"Nats-Rollup": {"sub"}}, {"Nats-TTL": {"1s"}}, {"KV-Operation": {"DEL"}}, {"KV-Operation": {"PURGE"}, "Nats-Rollup": {"sub"}}, {"X": {strings.Repeat("x", 60<<10)}}}
		t.ask(ctx, "junk", subject, headers[rand.N(len(headers))], junk)
		for _, from := range []string{subject, t.another()} {
			if old := t.heard[from]; len(old) > 0 {
				t.ask(ctx, "replay", subject, nil, old[rand.N(len(old))].Data)
			}
		}
		t.ask(ctx, "purge", "$JS.API.STREAM.PURGE."+stream, nil, fmt.Appendf(nil, `{"filter":%q}`, subject))
		t.ask(ctx, "delete message", "$JS.API.STREAM.MSG.DELETE."+stream, nil, fmt.Appendf(nil, `{"seq":%d}`, info.State.Last-rand.N(min(info.State.Last, 50)+1)))
	}
}

// listen keeps the newest message of a subject.
func (t *Tenant) listen(ctx context.Context, stream, subject string) {
	ctx, cancel := context.WithTimeout(ctx, tenantLimit)
	defer cancel()
	msg, err := t.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: "$JS.API.DIRECT.GET." + stream, Data: fmt.Appendf(nil, `{"last_by_subj":%q}`, subject)})
	if err != nil || msg.Header.Get("Status") != "" {
		return
	}
	t.Granted["read"]++
	if old := t.heard[subject]; len(old) < 32 {
		t.heard[subject] = append(old, msg)
	}
}

// another returns some subject.
func (t *Tenant) another() string {
	for subject := range t.heard {
		return subject
	}
	return ""
}

// streams changes, deletes and crowds out streams as far as it may.
func (t *Tenant) streams(ctx context.Context) {
	stream := []string{"WSR_LOG_0", "WSR_LOG_1", "WSR_LOG_2", "WSR_LOG_3", "KV_WSR_LEASE"}[rand.N(5)]
	var info struct {
		Config map[string]any `json:"config"`
	}
	if answer, ok := t.ask(ctx, "info", "$JS.API.STREAM.INFO."+stream, nil, nil); ok && json.Unmarshal(answer, &info) == nil {
		changes := []map[string]any{
			{"max_msgs_per_subject": 1}, {"max_bytes": 1 << 10}, {"discard": "old"}, {"no_ack": true}, {"allow_direct": false},
			{"subjects": []string{"elsewhere." + stream}}, {"max_age": int64(time.Second), "duplicate_window": int64(time.Second)},
		}
		for name, value := range changes[rand.N(len(changes))] {
			info.Config[name] = value
		}
		if config, err := json.Marshal(info.Config); err == nil {
			t.ask(ctx, "change", "$JS.API.STREAM.UPDATE."+stream, nil, config)
		}
	}
	if rand.N(4) == 0 {
		t.ask(ctx, "delete stream", "$JS.API.STREAM.DELETE."+stream, nil, nil)
	}
	t.ask(ctx, "reserve", "$JS.API.STREAM.CREATE.greedy", nil, []byte(`{"name":"greedy","subjects":["greedy"],"max_bytes":1099511627776}`))
	kind := "consumer of records"
	if stream == "KV_WSR_LEASE" {
		kind = "consumer"
	}
	for range tenantConsumers {
		name := fmt.Sprint("c", rand.Uint32())
		t.ask(ctx, kind, "$JS.API.CONSUMER.CREATE."+stream+"."+name, nil,
			fmt.Appendf(nil, `{"stream_name":%q,"config":{"name":%q,"ack_policy":"none","inactive_threshold":1000000000}}`, stream, name))
	}
}
