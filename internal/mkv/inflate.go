package mkv

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// Inflate returns what zlib has compressed to data, at most limit bytes: more is an error, and so
// is what is not whole.
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
