package mkv

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// Inflate decompresses data in zlib's format (RFC 1950) to at most limit bytes. More than that is
// an error, and so is data that is cut short.
func Inflate(data []byte, limit int64) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err == nil && int64(len(plain)) > limit {
		err = errors.New("more bytes than are allowed")
	}
	if err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	return plain, nil
}

// decode undoes the encoding of a CodecPrivate.
func (e *encoding) decode(private []byte, limit int64) ([]byte, error) {
	if e.zlib {
		return Inflate(private, limit)
	}
	return append(bytes.Clone(e.stripped), private...), nil
}
