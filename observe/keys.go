package observe

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// A KeyUse is what one key of WSR_TOKEN_KEYS has done so far. Its ID tells nothing
// of it.
type KeyUse struct {
	ID             string
	Place          int // in the list: the first one seals
	Sealed, Opened uint64
}

// keys turns the uses of the keys into metrics. Which keys there are changes.
type keys struct {
	uses    atomic.Pointer[func() []KeyUse]
	invalid atomic.Bool

	count, place, broken *prometheus.Desc
}

func newKeys() *keys {
	return &keys{
		count:  prometheus.NewDesc("wsr_key_uses_total", "Texts that a key of WSR_TOKEN_KEYS has sealed or opened: tokens, records, words between sidecars. The key is named by its id in the log.", []string{"key", "use"}, nil),
		place:  prometheus.NewDesc("wsr_key_place", "Place of a key in WSR_TOKEN_KEYS. The first one seals.", []string{"key"}, nil),
		broken: prometheus.NewDesc("wsr_keys_file_invalid", "1 while WSR_TOKEN_KEYS_FILE cannot be used, so that the keys of before stay, otherwise 0.", nil, nil),
	}
}

// WatchKeys makes every scrape ask uses, which must be safe for concurrent use.
// Until then all of it reads 0.
func (m *Metrics) WatchKeys(uses func() []KeyUse) { m.keys.uses.Store(&uses) }

// KeysFileInvalid notes whether the file of the keys cannot be used.
func (m *Metrics) KeysFileInvalid(invalid bool) { m.keys.invalid.Store(invalid) }

// Describe implements prometheus.Collector.
func (k *keys) Describe(ch chan<- *prometheus.Desc) {
	ch <- k.count
	ch <- k.place
	ch <- k.broken
}

// Collect implements prometheus.Collector.
func (k *keys) Collect(ch chan<- prometheus.Metric) {
	broken := 0.0
	if k.invalid.Load() {
		broken = 1
	}
	ch <- prometheus.MustNewConstMetric(k.broken, gauge, broken)
	list := []KeyUse{{}}
	if uses := k.uses.Load(); uses != nil {
		list = (*uses)()
	}
	for _, u := range list {
		ch <- prometheus.MustNewConstMetric(k.count, counter, float64(u.Sealed), u.ID, "seal")
		ch <- prometheus.MustNewConstMetric(k.count, counter, float64(u.Opened), u.ID, "open")
		ch <- prometheus.MustNewConstMetric(k.place, gauge, float64(u.Place), u.ID)
	}
}
