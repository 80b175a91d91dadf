package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/minio/minio-go/v7"
)

// Read passes length bytes of an object to sink as they come. It makes one request, or more if the
// object store answers only a part of the range. A failed try begins anew, so sink gets the offset
// within the range with each piece. ErrGone when there is no such object. ErrCorrupt when it ends
// too early; sink has then got what there is.
func (b *Bucket) Read(
	ctx context.Context, key string, offset, length int64,
	sink func(p []byte, at int64) error,
) error {
	return b.try(ctx, "read", key, length, func(ctx context.Context) error {
		for at := int64(0); at < length; {
			n, err := b.readSome(ctx, key, offset+at, length-at,
				func(p []byte, further int64) error { return sink(p, at+further) })
			if err != nil {
				return err
			}
			at += n
		}
		return nil
	})
}

// readSome makes one request for length bytes. It returns how many bytes the answer had, at least
// one.
func (b *Bucket) readSome(
	ctx context.Context, key string, offset, length int64,
	sink func(p []byte, at int64) error,
) (int64, error) {
	var o minio.GetObjectOptions
	if err := o.SetRange(offset, offset+length-1); err != nil {
		return 0, err
	}
	body, _, header, err := b.core.GetObject(ctx, b.bucket, b.prefix+key, o)
	if err != nil {
		return 0, err
	}
	defer body.Close() //nolint:errcheck // read to its end, or given up
	has, ends, err := answered(header, offset, length)
	if err == nil {
		err = pour(body, has, sink)
	}
	if err == nil && ends && has < length {
		err = errShort
	}
	return has, err
}

// errNoRange says that the answer has the whole object although a part was requested.
var errNoRange = errors.New("the object store, or a proxy before it, does not answer ranges")

// answered says how many bytes of the requested range an answer has, and whether the object ends
// there. They may be fewer than requested although the object goes on (RFC 9110 section 15.3.7).
func answered(h http.Header, offset, length int64) (has int64, ends bool, err error) {
	text := h.Get("Content-Range")
	if text == "" { // all of the object
		size, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
		switch {
		case offset > 0:
			return 0, false, errNoRange
		case err != nil: // sent in chunks: nobody knows before it ends
			return length, false, nil
		}
		return min(size, length), true, nil
	}
	var first, last int64
	var size string
	if _, err := fmt.Sscanf(text, "bytes %d-%d/%s", &first, &last, &size); err != nil ||
		first != offset || last < first {
		return 0, false, fmt.Errorf("the object store answers %q for %d bytes from %d", text,
			length, offset)
	}
	return min(last-first+1, length), size == strconv.FormatInt(last+1, 10), nil
}

// pour passes length bytes to sink.
func pour(body io.Reader, length int64, sink func(p []byte, at int64) error) error {
	buf := make([]byte, min(length, 256<<10))
	for at := int64(0); at < length; {
		n, err := io.ReadFull(body, buf[:min(int64(len(buf)), length-at)])
		if n > 0 {
			if err := sink(buf[:n], at); err != nil {
				return &sinkError{err}
			}
		}
		at += int64(n)
		if err != nil && at < length {
			return err
		}
	}
	return nil
}

// errShort says that the object ends before the requested range does.
var errShort = errors.New("the object ends before")

// sinkError is an error of sink, for which it is useless to try again.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }

// ReadAll returns length bytes of an object.
func (b *Bucket) ReadAll(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	data := make([]byte, length)
	err := b.Read(ctx, key, offset, length, func(p []byte, at int64) error {
		copy(data[at:], p)
		return nil
	})
	return data, err
}
