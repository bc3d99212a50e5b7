package page

import (
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	fastgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Windows of what is compressed anew. Pages are small; what a larger window would
// spare is little beside what it would hold.
const (
	brotliQuality = 4
	brotliWindow  = 18        // bits
	zstdWindow    = 256 << 10 // bytes
	// maxZstdWindow is what browsers take (RFC 9659).
	maxZstdWindow = 8 << 20
)

var errCoding = errors.New("page: content coding is not known")

// contentCoding returns the name of an answer's one content coding, empty if it
// has none.
func contentCoding(fields Fields) (string, error) {
	all := strings.ToLower(strings.TrimSpace(strings.Join(fields.Values("Content-Encoding"), ",")))
	switch all {
	case "", "identity":
		return "", nil
	case "gzip", "x-gzip":
		return "gzip", nil
	case "br", "zstd":
		return all, nil
	}
	return "", errCoding
}

// decode returns the content of src.
func decode(src io.Reader, coding string) (io.ReadCloser, error) {
	switch coding {
	case "gzip":
		return gzip.NewReader(src)
	case "br":
		return io.NopCloser(brotli.NewReader(src)), nil
	case "zstd":
		d, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(src), nil
}

// An encoder compresses what is written. What was written before Flush can be
// read before there is more.
type encoder interface {
	io.WriteCloser
	Flush() error
}

// encode returns an encoder that writes to dst.
func encode(dst io.Writer, coding string) (encoder, error) {
	switch coding {
	case "gzip":
		return fastgzip.NewWriterLevel(dst, fastgzip.StatelessCompression)
	case "br":
		return brotli.NewWriterOptions(dst, brotli.WriterOptions{Quality: brotliQuality, LGWin: brotliWindow}), nil
	case "zstd":
		return zstd.NewWriter(dst, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow))
	}
	return plain{dst}, nil
}

// plain is the encoder of no coding.
type plain struct{ io.Writer }

func (plain) Flush() error { return nil }
func (plain) Close() error { return nil }
