package otlptest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

type jsonKeyValue struct {
	Key   string
	Value struct {
		StringValue *string
		IntValue    *string
		BoolValue   *bool
	}
}

type jsonSpan struct {
	TraceID                string `json:"traceId"`
	SpanID                 string `json:"spanId"`
	ParentSpanID           string `json:"parentSpanId"`
	Flags                  uint32
	Name                   string
	Kind                   int
	StartTimeUnixNano      string
	EndTimeUnixNano        string
	Attributes             []jsonKeyValue
	DroppedAttributesCount int
	Events                 []struct {
		TimeUnixNano string
		Name         string
		Attributes   []jsonKeyValue
	}
	DroppedEventsCount int
	Links              []struct {
		TraceID string `json:"traceId"`
		SpanID  string `json:"spanId"`
		Flags   uint32
	}
	DroppedLinksCount int
	Status            struct {
		Message string
		Code    int
	}
}

// DecodeJSON reads an ExportTraceServiceRequest, in which nothing may be that is not
// known.
func DecodeJSON(text []byte) (spans []Span, err error) {
	var request struct {
		ResourceSpans []struct {
			Resource   struct{ Attributes []jsonKeyValue }
			ScopeSpans []struct {
				Scope struct{ Name, Version string }
				Spans []jsonSpan
			}
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&request); err != nil {
		return nil, err
	}
	for _, rs := range request.ResourceSpans {
		resource, err := attributesOfJSON(rs.Resource.Attributes)
		if err != nil {
			return nil, err
		}
		for _, ss := range rs.ScopeSpans {
			for i := range ss.Spans {
				s, err := ss.Spans[i].span()
				if err != nil {
					return nil, err
				}
				s.Resource, s.Scope = resource, ss.Scope.Name
				spans = append(spans, s)
			}
		}
	}
	return spans, nil
}

func (j *jsonSpan) span() (s Span, err error) {
	s = Span{
		TraceID: j.TraceID, SpanID: j.SpanID, Parent: j.ParentSpanID, Name: j.Name, Kind: j.Kind, Flags: j.Flags,
		StatusCode: j.Status.Code, StatusMessage: j.Status.Message, DroppedEvents: j.DroppedEventsCount, DroppedAttributes: j.DroppedAttributesCount,
	}
	for _, id := range []string{j.TraceID, j.SpanID, j.ParentSpanID} {
		if _, err := hex.DecodeString(id); err != nil {
			return s, fmt.Errorf("id %q: %w", id, err)
		}
	}
	if s.Start, err = timeOf(j.StartTimeUnixNano); err != nil {
		return s, err
	}
	if s.End, err = timeOf(j.EndTimeUnixNano); err != nil {
		return s, err
	}
	if s.Attributes, err = attributesOfJSON(j.Attributes); err != nil {
		return s, err
	}
	for _, e := range j.Events {
		at, err := timeOf(e.TimeUnixNano)
		if err != nil {
			return s, err
		}
		attributes, err := attributesOfJSON(e.Attributes)
		if err != nil {
			return s, err
		}
		s.Events = append(s.Events, Event{at, e.Name, attributes})
	}
	for _, l := range j.Links {
		s.Links = append(s.Links, Link{l.TraceID, l.SpanID, l.Flags})
	}
	return s, nil
}

func timeOf(nanos string) (time.Time, error) {
	n, err := strconv.ParseInt(nanos, 10, 64)
	return time.Unix(0, n), err
}

func attributesOfJSON(list []jsonKeyValue) (map[string]any, error) {
	all := map[string]any{}
	for _, a := range list {
		_, twice := all[a.Key]
		switch v := a.Value; {
		case twice || a.Key == "":
			return nil, fmt.Errorf("attribute %q twice, or without a name", a.Key)
		case v.StringValue != nil:
			all[a.Key] = *v.StringValue
		case v.BoolValue != nil:
			all[a.Key] = *v.BoolValue
		case v.IntValue != nil:
			n, err := strconv.ParseInt(*v.IntValue, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("attribute %q: %w", a.Key, err)
			}
			all[a.Key] = n
		default:
			return nil, fmt.Errorf("attribute %q has no value", a.Key)
		}
	}
	return all, nil
}
