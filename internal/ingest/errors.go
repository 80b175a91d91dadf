package ingest

import (
	"errors"
	"fmt"

	"weir/internal/api"
	"weir/internal/mkv"
	"weir/internal/store"
)

// ErrIdle is what Run returns when nothing came for api.PutMediaIdle and no fragment was open: the
// connection just ends.
var ErrIdle = errors.New("nothing received for too long")

// ErrDrained is what Run returns when Options.Drain ended the connection at the end of a fragment.
var ErrDrained = errors.New("the server takes no more on this connection")

// Error is why a connection ended, as the producer was told in an ERROR acknowledgement.
type Error struct {
	ID       api.AckErrorID
	Number   store.Number // the fragment concerned, 0 when none was known
	Timecode int64        // its raw Cluster Timestamp
	Err      error        // the cause, for the log
}

// Error names the acknowledgement and its cause.
func (e *Error) Error() string {
	return fmt.Sprintf("put media: %s (%d): %v", e.ID.Code(), int(e.ID), e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fail makes the error of a fragment; f is nil when none is known.
func fail(f *fragment, id api.AckErrorID, cause error) *Error {
	e := &Error{ID: id, Err: cause}
	if f != nil {
		e.Number, e.Timecode = f.number, f.timecode
	}
	return e
}

func failf(f *fragment, id api.AckErrorID, format string, args ...any) *Error {
	return fail(f, id, fmt.Errorf(format, args...))
}

// matroskaError chooses the acknowledgement for what the Matroska reader refuses.
func matroskaError(f *fragment, err *mkv.Error) *Error {
	switch err.Kind {
	case mkv.FragmentSize:
		return fail(f, api.AckMaxFragmentSize, err)
	case mkv.Metadata:
		return fail(f, api.AckFragmentMetadataLimit, err)
	case mkv.NoDocument:
		// After 4006 the SDK would skip a fragment that only began in the wrong place. After this
		// error it begins again.
		return fail(f, api.AckStreamReadError, err)
	}
	return fail(f, api.AckInvalidMKVData, err)
}
