package otlp

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
)

// The JSON form is that of protobuf, but ids are hexadecimal, and enumerations are
// numbers. Whole numbers of 64 bits are text.
type (
	jsonRequest struct {
		ResourceSpans [1]jsonResourceSpans `json:"resourceSpans"`
	}
	jsonResourceSpans struct {
		Resource   jsonResource      `json:"resource"`
		ScopeSpans [1]jsonScopeSpans `json:"scopeSpans"`
	}
	jsonResource struct {
		Attributes []jsonKeyValue `json:"attributes,omitempty"`
	}
	jsonScopeSpans struct {
		Scope jsonScope  `json:"scope"`
		Spans []jsonSpan `json:"spans"`
	}
	jsonScope struct {
		Name    string `json:"name,omitempty"`
		Version string `json:"version,omitempty"`
	}
	jsonSpan struct {
		TraceID           string         `json:"traceId"`
		SpanID            string         `json:"spanId"`
		ParentSpanID      string         `json:"parentSpanId,omitempty"`
		Flags             uint32         `json:"flags"`
		Name              string         `json:"name"`
		Kind              Kind           `json:"kind"`
		Start             string         `json:"startTimeUnixNano"`
		End               string         `json:"endTimeUnixNano"`
		Attributes        []jsonKeyValue `json:"attributes,omitempty"`
		DroppedAttributes int            `json:"droppedAttributesCount,omitempty"`
		Events            []jsonEvent    `json:"events,omitempty"`
		DroppedEvents     int            `json:"droppedEventsCount,omitempty"`
		Links             []jsonLink     `json:"links,omitempty"`
		DroppedLinks      int            `json:"droppedLinksCount,omitempty"`
		Status            *jsonStatus    `json:"status,omitempty"`
	}
	jsonEvent struct {
		Time       string         `json:"timeUnixNano"`
		Name       string         `json:"name"`
		Attributes []jsonKeyValue `json:"attributes,omitempty"`
	}
	jsonLink struct {
		TraceID string `json:"traceId"`
		SpanID  string `json:"spanId"`
		Flags   uint32 `json:"flags"`
	}
	jsonStatus struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code"`
	}
	jsonKeyValue struct {
		Key   string    `json:"key"`
		Value jsonValue `json:"value"`
	}
	jsonValue struct {
		Text *string `json:"stringValue,omitempty"`
		Int  *string `json:"intValue,omitempty"`
		Bool *bool   `json:"boolValue,omitempty"`
	}
)

// AppendJSON appends b as an ExportTraceServiceRequest in JSON.
func (b *Batch) AppendJSON(dst []byte) []byte {
	spans := make([]jsonSpan, len(b.Spans))
	for i := range b.Spans {
		spans[i] = b.Spans[i].json()
	}
	text, _ := json.Marshal(jsonRequest{[1]jsonResourceSpans{{ // it has nothing that fails
		Resource:   jsonResource{attributesJSON(b.Resource)},
		ScopeSpans: [1]jsonScopeSpans{{Scope: jsonScope{b.Scope, b.ScopeVersion}, Spans: spans}},
	}}})
	return append(dst, text...)
}

func (s *Span) json() jsonSpan {
	j := jsonSpan{
		TraceID: hex.EncodeToString(s.TraceID[:]), SpanID: hex.EncodeToString(s.SpanID[:]), Flags: sampledFlag,
		Name: s.Name, Kind: s.Kind, Start: nanos(s.Start), End: nanos(s.End),
		Attributes: attributesJSON(s.Attributes), DroppedAttributes: s.droppedAttributes,
		DroppedEvents: s.droppedEvents, DroppedLinks: s.droppedLinks,
	}
	if s.Parent != [8]byte{} {
		j.ParentSpanID = hex.EncodeToString(s.Parent[:])
	}
	for _, e := range s.Events {
		j.Events = append(j.Events, jsonEvent{nanos(e.Time), e.Name, attributesJSON(e.Attributes)})
	}
	for _, l := range s.Links {
		j.Links = append(j.Links, jsonLink{hex.EncodeToString(l.TraceID[:]), hex.EncodeToString(l.SpanID[:]), sampledFlag})
	}
	if s.Failure != "" {
		j.Status = &jsonStatus{s.Failure, statusError}
	}
	return j
}

func nanos(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixNano(), 10)
}

func attributesJSON(list []Attribute) (all []jsonKeyValue) {
	for _, a := range list {
		v := jsonValue{}
		switch a.kind {
		case ofInt:
			n := strconv.FormatInt(a.n, 10)
			v.Int = &n
		case ofBool:
			yes := a.n != 0
			v.Bool = &yes
		default:
			v.Text = &a.text
		}
		all = append(all, jsonKeyValue{a.Key, v})
	}
	return all
}
