package otlp

import (
	"encoding/binary"
	"time"
)

// Numbers of the fields of opentelemetry/proto/collector/trace/v1,
// opentelemetry/proto/trace/v1, and .../common/v1 and .../resource/v1.
const (
	requestResourceSpans = 1

	resourceSpansResource   = 1
	resourceSpansScopeSpans = 2

	resourceAttributes = 1

	scopeSpansScope = 1
	scopeSpansSpans = 2

	scopeName    = 1
	scopeVersion = 2

	spanTraceID           = 1
	spanSpanID            = 2
	spanParentSpanID      = 4
	spanName              = 5
	spanKind              = 6
	spanStart             = 7
	spanEnd               = 8
	spanAttributes        = 9
	spanDroppedAttributes = 10
	spanEvents            = 11
	spanDroppedEvents     = 12
	spanLinks             = 13
	spanDroppedLinks      = 14
	spanStatus            = 15
	spanFlags             = 16

	eventTime       = 1
	eventName       = 2
	eventAttributes = 3

	linkTraceID = 1
	linkSpanID  = 2
	linkFlags   = 6

	statusMessage = 2
	statusCode    = 3

	keyValueKey   = 1
	keyValueValue = 2

	anyText = 1
	anyBool = 2
	anyInt  = 3
)

// sampledFlag are the flags of W3C Trace Context in the flags of spans and links:
// what is not sampled is not sent.
const sampledFlag = 1

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// AppendProtobuf appends b as an ExportTraceServiceRequest in protobuf.
func (b *Batch) AppendProtobuf(dst []byte) []byte {
	return appendMessage(dst, requestResourceSpans, func(dst []byte) []byte {
		dst = appendMessage(dst, resourceSpansResource, func(dst []byte) []byte {
			return appendAttributes(dst, resourceAttributes, b.Resource)
		})
		return appendMessage(dst, resourceSpansScopeSpans, func(dst []byte) []byte {
			dst = appendMessage(dst, scopeSpansScope, func(dst []byte) []byte {
				dst = appendText(dst, scopeName, b.Scope)
				return appendText(dst, scopeVersion, b.ScopeVersion)
			})
			for i := range b.Spans {
				dst = appendMessage(dst, scopeSpansSpans, b.Spans[i].appendProtobuf)
			}
			return dst
		})
	})
}

func (s *Span) appendProtobuf(dst []byte) []byte {
	dst = appendBytes(dst, spanTraceID, s.TraceID[:])
	dst = appendBytes(dst, spanSpanID, s.SpanID[:])
	if s.Parent != [8]byte{} {
		dst = appendBytes(dst, spanParentSpanID, s.Parent[:])
	}
	dst = appendText(dst, spanName, s.Name)
	dst = appendVarint(dst, spanKind, uint64(s.Kind))
	dst = appendTime(dst, spanStart, s.Start)
	dst = appendTime(dst, spanEnd, s.End)
	dst = appendAttributes(dst, spanAttributes, s.Attributes)
	dst = appendVarint(dst, spanDroppedAttributes, uint64(s.droppedAttributes))
	for i := range s.Events {
		e := &s.Events[i]
		dst = appendMessage(dst, spanEvents, func(dst []byte) []byte {
			dst = appendTime(dst, eventTime, e.Time)
			dst = appendText(dst, eventName, e.Name)
			return appendAttributes(dst, eventAttributes, e.Attributes)
		})
	}
	dst = appendVarint(dst, spanDroppedEvents, uint64(s.droppedEvents))
	for i := range s.Links {
		l := &s.Links[i]
		dst = appendMessage(dst, spanLinks, func(dst []byte) []byte {
			dst = appendBytes(dst, linkTraceID, l.TraceID[:])
			dst = appendBytes(dst, linkSpanID, l.SpanID[:])
			return appendFixed32(dst, linkFlags, sampledFlag)
		})
	}
	dst = appendVarint(dst, spanDroppedLinks, uint64(s.droppedLinks))
	if s.Failure != "" {
		dst = appendMessage(dst, spanStatus, func(dst []byte) []byte {
			dst = appendText(dst, statusMessage, s.Failure)
			return appendVarint(dst, statusCode, statusError)
		})
	}
	return appendFixed32(dst, spanFlags, sampledFlag)
}

func appendAttributes(dst []byte, field int, list []Attribute) []byte {
	for i := range list {
		a := &list[i]
		dst = appendMessage(dst, field, func(dst []byte) []byte {
			dst = appendText(dst, keyValueKey, a.Key)
			return appendMessage(dst, keyValueValue, func(dst []byte) []byte {
				switch a.kind {
				case ofInt: // of a oneof also what is zero is there
					return binary.AppendUvarint(appendTag(dst, anyInt, wireVarint), uint64(a.n))
				case ofBool:
					return binary.AppendUvarint(appendTag(dst, anyBool, wireVarint), uint64(a.n))
				}
				return appendBytes(dst, anyText, []byte(valid(a.text)))
			})
		})
	}
	return dst
}

func appendTag(dst []byte, field, wire int) []byte {
	return binary.AppendUvarint(dst, uint64(field)<<3|uint64(wire))
}

// lengthRoom is what is kept free for the length of a message, which is known when
// it is there: up to 256 MiB.
const lengthRoom = 4

// appendMessage appends a message within another.
func appendMessage(dst []byte, field int, content func([]byte) []byte) []byte {
	dst = appendTag(dst, field, wireBytes)
	at := len(dst)
	dst = content(append(dst, make([]byte, lengthRoom)...))
	size := len(dst) - at - lengthRoom
	length := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64), uint64(size))
	copy(dst[at:], length)
	copy(dst[at+len(length):], dst[at+lengthRoom:])
	return dst[:at+len(length)+size]
}

func appendBytes(dst []byte, field int, p []byte) []byte {
	dst = binary.AppendUvarint(appendTag(dst, field, wireBytes), uint64(len(p)))
	return append(dst, p...)
}

// The following leave out what is zero, as protobuf does.

func appendText(dst []byte, field int, s string) []byte {
	if s == "" {
		return dst
	}
	return appendBytes(dst, field, []byte(valid(s)))
}

func appendVarint(dst []byte, field int, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return binary.AppendUvarint(appendTag(dst, field, wireVarint), n)
}

func appendTime(dst []byte, field int, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, wireFixed64), uint64(t.UnixNano()))
}

func appendFixed32(dst []byte, field int, n uint32) []byte {
	return binary.LittleEndian.AppendUint32(appendTag(dst, field, wireFixed32), n)
}
