package otlp

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/traceparent"
)

// Settings are what the OTEL_* variables say of traces
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
// and .../protocol/exporter/).
type Settings struct {
	On       bool // spans are recorded and sent
	Endpoint string
	JSON     bool // otherwise protobuf
	Gzip     bool
	Headers  [][2]string // names and values: secrets
	Timeout  time.Duration

	CertificateFile, ClientCertificateFile, ClientKeyFile string // PEM; empty: none

	// Propagators are set also where nothing is recorded: whoever logs wants to know
	// the trace of a request.
	Propagators traceparent.Propagators

	ServiceName string      // empty: none is set
	Resource    []Attribute // of OTEL_RESOURCE_ATTRIBUTES, without the service's name
	Sampler     Sampler
	Limits      Limits

	Delay     time.Duration // the longest that a span waits for others
	Patience  time.Duration // the longest that one batch is tried for
	MaxQueue  int           // spans
	MaxInEach int           // spans in a request

	// Warnings say which variables were ignored, and why. They hold no value of a
	// header.
	Warnings []string
}

// String says where spans go to, without what may be secret.
func (s *Settings) String() string {
	u, err := url.Parse(s.Endpoint)
	switch {
	case !s.On || err != nil:
		return "not sent"
	case s.Sampler.Never():
		return "none is sampled"
	case s.JSON:
		return "sent to " + u.Scheme + "://" + u.Host + u.Path + " as http/json"
	}
	return "sent to " + u.Scheme + "://" + u.Host + u.Path + " as http/protobuf"
}

// Variables lists those that are read, for the documentation.
func Variables() []string {
	return []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_PROPAGATORS",
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
		"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
		"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
		"OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
		"OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
		"OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
		"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
		"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
		"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
	}
}

// PodVariables lists those of Variables that name no file, so that they mean the same
// in any pod.
func PodVariables() []string {
	return slices.DeleteFunc(Variables(), func(name string) bool {
		return strings.HasSuffix(name, "CERTIFICATE") || strings.HasSuffix(name, "CLIENT_KEY")
	})
}

// Defaults of the specification.
const (
	defaultEndpoint = "http://localhost:4318"
	tracesPath      = "v1/traces"
	defaultCount    = 128
)

// Bounds of our own: a queue costs a kilobyte for each span.
const (
	maxQueue    = 1 << 16
	maxDuration = time.Hour
)

// FromEnviron reads settings from an environment as os.Environ has it. As the
// specification wants it, a value that cannot be used is ignored, with a warning:
// these variables are often set for all of a cluster's processes. Unlike an SDK in
// an app that asks for it, it is on only where an exporter or an endpoint is named.
func FromEnviron(environ []string) *Settings {
	r := reader{env: map[string]string{}}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") && strings.TrimSpace(value) != "" {
			r.env[name] = strings.TrimSpace(value)
		}
	}
	s := &r.settings
	r.propagators()
	r.switchOn()
	if !s.On {
		return s
	}
	r.destination()
	r.resource()
	r.sampler()
	s.Timeout = r.millis(r.exporter("TIMEOUT"), 10*time.Second)
	s.Delay = r.millis("OTEL_BSP_SCHEDULE_DELAY", 5*time.Second)
	s.Patience = r.millis("OTEL_BSP_EXPORT_TIMEOUT", 30*time.Second)
	s.MaxQueue = r.count("OTEL_BSP_MAX_QUEUE_SIZE", 2048, maxQueue)
	s.MaxInEach = min(r.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, maxQueue), s.MaxQueue)
	s.Limits = Limits{
		ValueLength:     r.limit(0, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
		Attributes:      r.limit(defaultCount, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
		Events:          r.limit(defaultCount, "OTEL_SPAN_EVENT_COUNT_LIMIT"),
		Links:           r.limit(defaultCount, "OTEL_SPAN_LINK_COUNT_LIMIT"),
		EventAttributes: r.limit(defaultCount, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
	}
	return s
}

// reader takes one environment apart.
type reader struct {
	env      map[string]string
	settings Settings
}

func (r *reader) warn(name, why string) {
	r.settings.Warnings = append(r.settings.Warnings, name+": "+why)
}

// ignore warns of a value that is no secret.
func (r *reader) ignore(name, allowed string) {
	r.warn(name, fmt.Sprintf("%q is ignored; allowed: %s", shorten(r.env[name], 64), allowed))
}

// exporter is the name of a variable of the exporter: the one for traces, if that is
// set, otherwise the one for all signals.
func (r *reader) exporter(what string) string {
	if own := "OTEL_EXPORTER_OTLP_TRACES_" + what; r.env[own] != "" {
		return own
	}
	return "OTEL_EXPORTER_OTLP_" + what
}

// propagators are in which forms requests say in which trace they are. Baggage passes
// as it comes, whatever is set.
func (r *reader) propagators() {
	const name = "OTEL_PROPAGATORS"
	if r.env[name] == "" {
		return
	}
	list, known := traceparent.Propagators{}, false
	for each := range strings.SplitSeq(r.env[name], ",") {
		switch p, ok := propagatorNames[strings.TrimSpace(each)]; {
		case ok && !slices.Contains(list, p):
			list, known = append(list, p), true
		case ok:
		case strings.TrimSpace(each) == "none", strings.TrimSpace(each) == "baggage":
			known = true
		default:
			r.ignore(name, "tracecontext, baggage, b3, b3multi, jaeger, none")
		}
	}
	if known {
		r.settings.Propagators = list
	}
}

var propagatorNames = map[string]traceparent.Propagator{
	"tracecontext": traceparent.TraceContext, "b3": traceparent.B3, "b3multi": traceparent.B3Multi, "jaeger": traceparent.Jaeger,
}

// switchOn finds out whether there is something to do.
func (r *reader) switchOn() {
	s := &r.settings
	s.On = r.env[r.exporter("ENDPOINT")] != ""
	if list := r.env["OTEL_TRACES_EXPORTER"]; list != "" {
		s.On = false
		for name := range strings.SplitSeq(list, ",") {
			switch strings.TrimSpace(name) {
			case "otlp":
				s.On = true
			case "none", "":
			default:
				r.ignore("OTEL_TRACES_EXPORTER", "otlp, none")
			}
		}
	}
	if strings.EqualFold(r.env["OTEL_SDK_DISABLED"], "true") {
		s.On = false
	}
}

// destination is where spans go to, and how.
func (r *reader) destination() {
	s := &r.settings
	switch name := r.exporter("PROTOCOL"); r.env[name] {
	case "", "http/protobuf":
	case "http/json":
		s.JSON = true
	default:
		s.On = false
		r.ignore(name, "http/protobuf, http/json. No spans are sent: gRPC is not spoken here, and OTLP by HTTP has another port (4318). Set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT for the sidecar")
		return
	}
	name := r.exporter("ENDPOINT")
	given := r.env[name]
	if given == "" {
		given = defaultEndpoint
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		s.On = false
		r.warn(name, "is no URL that begins with http:// or https://; no spans are sent") // it may hold a password
		return
	}
	switch {
	case !strings.Contains(name, "TRACES"):
		u = u.JoinPath(tracesPath)
	case u.Path == "":
		u.Path = "/"
	}
	s.Endpoint = u.String()
	switch name := r.exporter("COMPRESSION"); r.env[name] {
	case "", "none":
	case "gzip":
		s.Gzip = true
	default:
		r.ignore(name, "gzip, none")
	}
	s.CertificateFile = r.env[r.exporter("CERTIFICATE")]
	s.ClientCertificateFile, s.ClientKeyFile = r.env[r.exporter("CLIENT_CERTIFICATE")], r.env[r.exporter("CLIENT_KEY")]
	headers := r.exporter("HEADERS")
	for _, pair := range r.pairs(headers) {
		if !fieldName(pair[0]) || strings.ContainsFunc(pair[1], func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			r.warn(headers, "an entry that is no header field is ignored")
			continue
		}
		s.Headers = append(s.Headers, pair)
	}
}

// fieldName reports whether name may be that of a header field (RFC 9110 §5.1).
func fieldName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
	})
}

// pairs reads name=value,name=value, with what has to be in percents.
func (r *reader) pairs(name string) (list [][2]string) {
	for entry := range strings.SplitSeq(r.env[name], ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		key, value, ok := strings.Cut(entry, "=")
		key, err1 := url.PathUnescape(strings.TrimSpace(key))
		value, err2 := url.PathUnescape(strings.TrimSpace(value))
		if !ok || key == "" || err1 != nil || err2 != nil {
			r.warn(name, "an entry that is not name=value is ignored")
			continue
		}
		list = append(list, [2]string{key, value})
	}
	return list
}

const serviceName = "service.name"

func (r *reader) resource() {
	s := &r.settings
	for _, pair := range r.pairs("OTEL_RESOURCE_ATTRIBUTES") {
		if pair[0] == serviceName {
			s.ServiceName = pair[1]
			continue
		}
		if i := slices.IndexFunc(s.Resource, func(a Attribute) bool { return a.Key == pair[0] }); i >= 0 {
			s.Resource = slices.Delete(s.Resource, i, i+1) // the last one counts
		}
		s.Resource = append(s.Resource, Text(pair[0], pair[1]))
	}
	if name := r.env["OTEL_SERVICE_NAME"]; name != "" {
		s.ServiceName = name
	}
}

func (r *reader) sampler() {
	const name = "OTEL_TRACES_SAMPLER"
	kind, byParent := strings.CutPrefix(r.env[name], "parentbased_")
	part := 1.0
	switch kind {
	case "always_on":
	case "always_off":
		part = 0
	case "traceidratio":
		part = r.ratio()
	case "":
		byParent = true
	default:
		byParent = true
		r.ignore(name, "always_on, always_off, traceidratio, each also with parentbased_ before it")
	}
	r.settings.Sampler = NewSampler(byParent, part)
}

func (r *reader) ratio() float64 {
	const name = "OTEL_TRACES_SAMPLER_ARG"
	given := r.env[name]
	if given == "" {
		return 1
	}
	part, err := strconv.ParseFloat(given, 64)
	if err != nil || !(part >= 0 && part <= 1) {
		r.ignore(name, "a number from 0 to 1")
		return 1
	}
	return part
}

// millis reads a time in milliseconds.
func (r *reader) millis(name string, standard time.Duration) time.Duration {
	given := r.env[name]
	if given == "" {
		return standard
	}
	n, err := strconv.ParseInt(given, 10, 64)
	if err != nil || n < 1 || n > int64(maxDuration/time.Millisecond) {
		r.ignore(name, "milliseconds, a whole number from 1 to "+strconv.Itoa(int(maxDuration/time.Millisecond)))
		return standard
	}
	return time.Duration(n) * time.Millisecond
}

func (r *reader) count(name string, standard, most int) int {
	given := r.env[name]
	if given == "" {
		return standard
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 || n > most {
		r.ignore(name, "a whole number from 1 to "+strconv.Itoa(most))
		return standard
	}
	return n
}

// limit reads the first of some limits that is set.
func (r *reader) limit(standard int, names ...string) int {
	for _, name := range names {
		if r.env[name] != "" {
			return r.count(name, standard, 1<<30)
		}
	}
	return standard
}
