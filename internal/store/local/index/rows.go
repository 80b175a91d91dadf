package index

import "weir/internal/store"

// NewFragment is a fragment to be committed.
type NewFragment struct {
	Stream   store.StreamID
	Info     store.FragmentInfo // Sequence 0: the one after the stream's last row
	Replaces store.Number       // the fragment whose row goes in the same transaction; 0: none
	Durable  bool               // on disk when Commit returns, with all earlier rows

	// Retried says that an earlier transaction with the row failed, but may have been applied. The
	// row is then added only if the stream has not got beyond its sequence: whatever has happened
	// to it since stays.
	Retried bool
}

// Committed is the result for one NewFragment.
type Committed struct {
	Sequence int64 // the commit sequence it was given
	// ErrNotFound: the stream is gone; ErrExists: the stream has a fragment of that number; another
	// error: there may or may not be a row
	Err error
}

// VolumeState is the state of a volume as the index knows it.
type VolumeState uint8

// States of a volume.
const (
	// may hold whole records after Indexed that the index does not know
	VolumeOpen   VolumeState = iota
	VolumeClosed             // no record is written to it again, every record is known
	VolumeDoomed             // no rows; its bytes are to be deleted
	// its fragments have one row together, and the packed table is in its footer
	VolumeSealed
)

// VolumeInfo is the index's row of one volume.
type VolumeInfo struct {
	Name                string
	Stream              store.StreamID
	State               VolumeState
	Indexed             int64 // every record before this offset is known or was given up
	LastServerTimestamp int64 // the greatest server timestamp of its fragments, milliseconds
}

// SessionLimits limit the sessions in an index; 0: no limit.
type SessionLimits struct {
	Count       int   // sessions of one stream and kind
	StreamBytes int64 // bytes of a stream's sessions, by Session.Size
	Bytes       int64 // likewise, of all streams
}
