package otlptest

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// A protoField is one field of a message.
type protoField struct {
	number  int
	wire    int
	n       uint64
	content []byte
}

var errCut = errors.New("a message is cut")

// fieldsOf takes a message apart.
func fieldsOf(p []byte) (list []protoField, err error) {
	for len(p) > 0 {
		tag, size := binary.Uvarint(p)
		if size <= 0 {
			return nil, errCut
		}
		p = p[size:]
		f := protoField{number: int(tag >> 3), wire: int(tag & 7)}
		switch f.wire {
		case 0:
			if f.n, size = binary.Uvarint(p); size <= 0 {
				return nil, errCut
			}
		case 1:
			if size = 8; len(p) >= 8 {
				f.n = binary.LittleEndian.Uint64(p)
			}
		case 5:
			if size = 4; len(p) >= 4 {
				f.n = uint64(binary.LittleEndian.Uint32(p))
			}
		case 2:
			length, n := binary.Uvarint(p)
			if n <= 0 || length > uint64(len(p)-n) {
				return nil, errCut
			}
			f.content, size = p[n:n+int(length)], n+int(length)
		default:
			return nil, fmt.Errorf("wire type %d", f.wire)
		}
		if size > len(p) {
			return nil, errCut
		}
		p = p[size:]
		list = append(list, f)
	}
	return list, nil
}

// each takes a message apart and calls the function of each field; known are the
// fields with their wire types.
func each(p []byte, what string, known map[int]int, take func(protoField) error) error {
	list, err := fieldsOf(p)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, f := range list {
		if wire, ok := known[f.number]; !ok || wire != f.wire {
			return fmt.Errorf("%s: field %d of wire type %d", what, f.number, f.wire)
		}
		if err := take(f); err != nil {
			return err
		}
	}
	return nil
}

// DecodeProtobuf reads an ExportTraceServiceRequest.
func DecodeProtobuf(p []byte) (spans []Span, err error) {
	return spans, each(p, "request", map[int]int{1: 2}, func(f protoField) error {
		var resource map[string]any
		return each(f.content, "resource spans", map[int]int{1: 2, 2: 2}, func(f protoField) error {
			if f.number == 1 {
				resource, err = attributesOf(f.content, "resource", 1)
				return err
			}
			scope := ""
			return each(f.content, "scope spans", map[int]int{1: 2, 2: 2}, func(f protoField) error {
				if f.number == 1 {
					return each(f.content, "scope", map[int]int{1: 2, 2: 2}, func(f protoField) error {
						if f.number == 1 {
							scope = string(f.content)
						}
						return nil
					})
				}
				s := Span{Resource: resource, Scope: scope, Attributes: map[string]any{}}
				if err := s.decode(f.content); err != nil {
					return err
				}
				spans = append(spans, s)
				return nil
			})
		})
	})
}

func attributesOf(p []byte, what string, number int) (map[string]any, error) {
	all := map[string]any{}
	return all, each(p, what, map[int]int{number: 2}, func(f protoField) error { return addAttribute(all, f.content) })
}

func addAttribute(all map[string]any, p []byte) error {
	key := ""
	var value any = ""
	err := each(p, "attribute", map[int]int{1: 2, 2: 2}, func(f protoField) error {
		if f.number == 1 {
			key = string(f.content)
			return nil
		}
		return each(f.content, "value of "+key, map[int]int{1: 2, 2: 0, 3: 0}, func(f protoField) error {
			switch f.number {
			case 1:
				if !utf8.Valid(f.content) {
					return fmt.Errorf("%s: not UTF-8", key)
				}
				value = string(f.content)
			case 2:
				value = f.n != 0
			case 3:
				value = int64(f.n)
			}
			return nil
		})
	})
	if _, twice := all[key]; twice || key == "" {
		return fmt.Errorf("attribute %q twice, or without a name", key)
	}
	all[key] = value
	return err
}

func (s *Span) decode(p []byte) error {
	known := map[int]int{1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 0, 7: 1, 8: 1, 9: 2, 10: 0, 11: 2, 12: 0, 13: 2, 14: 0, 15: 2, 16: 5}
	return each(p, "span", known, func(f protoField) error {
		switch f.number {
		case 1:
			s.TraceID = hex.EncodeToString(f.content)
		case 2:
			s.SpanID = hex.EncodeToString(f.content)
		case 4:
			s.Parent = hex.EncodeToString(f.content)
		case 5:
			s.Name = string(f.content)
		case 6:
			s.Kind = int(f.n)
		case 7:
			s.Start = time.Unix(0, int64(f.n))
		case 8:
			s.End = time.Unix(0, int64(f.n))
		case 9:
			return addAttribute(s.Attributes, f.content)
		case 10:
			s.DroppedAttributes = int(f.n)
		case 11:
			e := Event{Attributes: map[string]any{}}
			s.Events = append(s.Events, e)
			at := &s.Events[len(s.Events)-1]
			return each(f.content, "event", map[int]int{1: 1, 2: 2, 3: 2}, func(f protoField) error {
				switch f.number {
				case 1:
					at.Time = time.Unix(0, int64(f.n))
				case 2:
					at.Name = string(f.content)
				case 3:
					return addAttribute(at.Attributes, f.content)
				}
				return nil
			})
		case 12:
			s.DroppedEvents = int(f.n)
		case 13:
			var l Link
			err := each(f.content, "link", map[int]int{1: 2, 2: 2, 6: 5}, func(f protoField) error {
				switch f.number {
				case 1:
					l.TraceID = hex.EncodeToString(f.content)
				case 2:
					l.SpanID = hex.EncodeToString(f.content)
				case 6:
					l.Flags = uint32(f.n)
				}
				return nil
			})
			s.Links = append(s.Links, l)
			return err
		case 15:
			return each(f.content, "status", map[int]int{2: 2, 3: 0}, func(f protoField) error {
				if f.number == 2 {
					s.StatusMessage = string(f.content)
				} else {
					s.StatusCode = int(f.n)
				}
				return nil
			})
		case 16:
			s.Flags = uint32(f.n)
		}
		return nil
	})
}
