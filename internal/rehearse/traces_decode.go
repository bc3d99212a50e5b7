package rehearse

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of fields in OTLP's messages (opentelemetry-proto, trace/v1). What else
// there is, or is new, is skipped.
const (
	requestResourceSpans  = 1
	resourceSpansResource = 1
	resourceSpansScopes   = 2
	resourceAttributes    = 1
	scopeSpansScope       = 1
	scopeSpansSpans       = 2
	scopeName             = 1
	spanName              = 5
	spanStart, spanEnd    = 7, 8
	keyValueKey           = 1
	keyValueValue         = 2
	anyValueString        = 1
)

const serviceName = "service.name"

// fields calls take for each field of a message: with its content, or of a number of
// fixed size with that.
func fields(message []byte, take func(number protowire.Number, content []byte, fixed uint64) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		var content []byte
		var fixed uint64
		switch kind {
		case protowire.BytesType:
			content, n = protowire.ConsumeBytes(message)
		case protowire.Fixed64Type:
			fixed, n = protowire.ConsumeFixed64(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := take(number, content, fixed); err != nil {
			return err
		}
	}
	return nil
}

// spansOfProtobuf reads an ExportTraceServiceRequest.
func spansOfProtobuf(request []byte, take func(spanTime)) error {
	return fields(request, func(number protowire.Number, content []byte, _ uint64) error {
		if number != requestResourceSpans {
			return nil
		}
		var s spanTime
		var scopes [][]byte // the resource may come behind them
		err := fields(content, func(number protowire.Number, content []byte, _ uint64) error {
			switch number {
			case resourceSpansResource:
				return fields(content, func(number protowire.Number, content []byte, _ uint64) error {
					if number != resourceAttributes {
						return nil
					}
					return s.attribute(content)
				})
			case resourceSpansScopes:
				scopes = append(scopes, content)
			}
			return nil
		})
		for i := 0; i < len(scopes) && err == nil; i++ {
			err = s.spans(scopes[i], take)
		}
		return err
	})
}

// attribute takes the name of the service, if it is that.
func (s *spanTime) attribute(pair []byte) error {
	key, value := "", ""
	err := fields(pair, func(number protowire.Number, content []byte, _ uint64) error {
		switch number {
		case keyValueKey:
			key = string(content)
		case keyValueValue:
			return fields(content, func(number protowire.Number, content []byte, _ uint64) error {
				if number == anyValueString {
					value = string(content)
				}
				return nil
			})
		}
		return nil
	})
	if key == serviceName {
		s.service = value
	}
	return err
}

// spans takes those of one scope.
func (s *spanTime) spans(scope []byte, take func(spanTime)) error {
	one := *s
	var list []spanTime
	err := fields(scope, func(number protowire.Number, content []byte, _ uint64) error {
		switch number {
		case scopeSpansScope:
			return fields(content, func(number protowire.Number, content []byte, _ uint64) error {
				if number == scopeName {
					one.scope = string(content)
				}
				return nil
			})
		case scopeSpansSpans:
			var span spanTime
			err := fields(content, func(number protowire.Number, content []byte, fixed uint64) error {
				switch number {
				case spanName:
					span.name = string(content)
				case spanStart:
					span.start = fixed
				case spanEnd:
					span.end = fixed
				}
				return nil
			})
			list = append(list, span)
			return err
		}
		return nil
	})
	for _, span := range list {
		span.service, span.scope = one.service, one.scope
		take(span)
	}
	return err
}

// A unixNano is a time in OTLP's JSON, a number that some write as text.
type unixNano uint64

func (u *unixNano) UnmarshalJSON(text []byte) error {
	return json.Unmarshal([]byte(strings.Trim(string(text), `"`)), (*uint64)(u))
}

// spansOfJSON is spansOfProtobuf for OTLP's JSON.
func spansOfJSON(request []byte, take func(spanTime)) error {
	var message struct {
		ResourceSpans []struct {
			Resource struct {
				Attributes []struct {
					Key   string `json:"key"`
					Value struct {
						String string `json:"stringValue"`
					} `json:"value"`
				} `json:"attributes"`
			} `json:"resource"`
			ScopeSpans []struct {
				Scope struct {
					Name string `json:"name"`
				} `json:"scope"`
				Spans []struct {
					Name  string   `json:"name"`
					Start unixNano `json:"startTimeUnixNano"`
					End   unixNano `json:"endTimeUnixNano"`
				} `json:"spans"`
			} `json:"scopeSpans"`
		} `json:"resourceSpans"`
	}
	if err := json.Unmarshal(request, &message); err != nil {
		return fmt.Errorf("no spans in OTLP's JSON: %w", err)
	}
	for _, r := range message.ResourceSpans {
		service := ""
		for _, a := range r.Resource.Attributes {
			if a.Key == serviceName {
				service = a.Value.String
			}
		}
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				take(spanTime{service, scope.Scope.Name, s.Name, uint64(s.Start), uint64(s.End)})
			}
		}
	}
	return nil
}
