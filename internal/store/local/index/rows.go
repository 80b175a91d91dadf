package index

import (
	"weir/internal/store"
	"weir/internal/store/sealed"
)

// What the merge of rows and sealed tables is told, in the terms of an index.
type (
	HighWater    = sealed.HighWater
	Hot          = sealed.Hot
	SealedVolume = sealed.Volume
)

// ErrUnsealable is sealed.ErrUnsealable.
var ErrUnsealable = sealed.ErrUnsealable

// NewFragment is a fragment to be committed.
type NewFragment struct {
	Stream   store.StreamID
	Info     store.FragmentInfo // Sequence 0: the one after that of the stream's last row
	Replaces store.Number       // the fragment whose row goes in the same transaction, 0 for none
	Durable  bool               // on disk when Commit returns, with all rows before it

	// Retried is of a row whose transaction failed and may have been applied. It gets its row only
	// if the stream has not got beyond its sequence: what came of it since stays.
	Retried bool
}

// Committed is what became of one NewFragment.
type Committed struct {
	Sequence int64 // the commit sequence it was given
	// ErrNotFound: the stream is gone; ErrExists: the stream has a fragment of that number;
	// another: there may be a row or not
	Err error
}

// VolumeState is what the index knows of a volume's life.
type VolumeState uint8

// States of a volume.
const (
	// may hold whole records behind Indexed that the index does not know
	VolumeOpen   VolumeState = iota
	VolumeClosed             // no record is written to it again, every record is known
	VolumeDoomed             // without rows, its bytes are to be deleted
	// its fragments have one row together, the packed table is in its footer
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

// SessionLimits bound the sessions that are kept in an index; 0: no limit.
type SessionLimits struct {
	Count       int   // sessions of a stream and kind
	StreamBytes int64 // what a stream's take, by Session.Size
	Bytes       int64 // likewise, those of all streams
}
