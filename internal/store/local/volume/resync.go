package volume

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"time"

	"weir/internal/store"
	"weir/internal/store/record"
)

// resyncWindow is how many bytes are searched at a time.
const resyncWindow = 1 << 20

// resyncSlack is how far a record's server timestamp may be from the hour in its volume's name. A
// volume usually ends within the hour, or hours later if nothing comes, and clocks get set.
const resyncSlack = 26 * time.Hour

var recordMagic = []byte("WERF") // as docs/store-format.md has it

// resync searches a volume for the first whole record after damage, at from or later, so that one
// damaged header does not cost everything after it. It is for volumes of which nothing else is
// known. A camera may have sent what looks like a record, so one that does not fit the volume's
// hour is skipped. -1 when there is none.
func resync(ctx context.Context, f io.ReaderAt, name string, from, size int64) (int64, error) {
	hour, err := time.Parse("2006010215", path.Base(name)[:min(10, len(path.Base(name)))])
	if err != nil {
		return -1, nil
	}
	near := func(millis int64) bool {
		d := time.UnixMilli(millis).Sub(hour)
		return d > -resyncSlack && d < resyncSlack
	}
	b := make([]byte, resyncWindow)
	for from < size {
		if err := ctx.Err(); err != nil {
			return -1, err
		}
		n, err := f.ReadAt(b[:min(resyncWindow, size-from)], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return -1, err
		}
		for at := 0; ; {
			i := bytes.Index(b[at:n], recordMagic)
			if i < 0 {
				break
			}
			at += i
			_, h, err := readRecord(f, from+int64(at), size)
			switch {
			case err == nil && h.Type == record.TypeFragment && h.Number > 0 &&
				near(h.ServerTimestamp):
				return from + int64(at), nil
			case err == nil && h.Type == record.TypeFooter && from+int64(at)+h.Length == size:
				return from + int64(at), nil
			case err != nil && !errors.Is(err, store.ErrCorrupt):
				return -1, err
			}
			at++
		}
		if n < resyncWindow {
			break
		}
		from += int64(n - len(recordMagic) + 1)
	}
	return -1, nil
}
