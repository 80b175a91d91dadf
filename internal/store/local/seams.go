package local

import (
	"context"
	"io"

	"weir/internal/store"
	"weir/internal/store/local/clock"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/sealed"
)

var (
	_ Index        = (*index.SQLite)(nil)
	_ IndexReader  = (*index.Reader)(nil)
	_ Volumes      = (*volume.Volumes)(nil)
	_ VolumeReader = (*volume.Reader)(nil)
	_ store.Store  = (*Store)(nil)
)

// IndexReader is the part of Index that reads what is stored; an index that is open for reading
// only has no other.
type IndexReader interface {
	ListStreams(ctx context.Context, prefix, after string, limit int) ([]store.Stream, error)
	DeletedStreams(ctx context.Context) ([]store.StreamID, error)
	HighWater(ctx context.Context, id store.StreamID) (sealed.HighWater, error)
	Hot(ctx context.Context, id store.StreamID, q store.Query, edge int64) (sealed.Hot, error)
	HotFragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	Sealed(ctx context.Context, id store.StreamID, q store.Query, edge, after int64,
		limit int) ([]sealed.Volume, error)
	Gone(ctx context.Context, id store.StreamID) ([]store.Number, error)
	TrackSet(ctx context.Context, id store.StreamID, set int64) ([]byte, error)
	Volumes(ctx context.Context) ([]index.VolumeInfo, error)
	ListDocuments(ctx context.Context, kind string) ([]store.Document, error)
}

// VolumeReader is the part of Volumes that reads; volumes that are open for reading only have no
// other.
type VolumeReader interface {
	Open(ctx context.Context, loc store.Location) (volume.Body, error)
	List(ctx context.Context, found func(name string) error) error
	Describe(ctx context.Context, name string) (s *store.Stream, footer store.Location, err error)
	Away(ctx context.Context, name string) (bool, error)
}

// Index keeps rows: streams, fragments, volumes, track sets, sessions and documents. It is one of
// the two seams of the engine, which is its only user.
//
// Every method is a transaction of its own, applied completely or not at all. A method that returns
// an error may still have been applied (the connection broke after the commit), so callers read
// again or repeat. Unless a method says otherwise, a change is durable when it returns. Every later
// call sees what is committed. Methods may be called concurrently. They heed ctx while they wait
// for their turn, not during a change.
type Index interface {
	StreamRows
	FragmentRows
	VolumeRows
	SessionRows
	DocumentRows
	ClockRows
	io.Closer
	// Batch runs fn, whose changes need not be durable before Batch returns without an error: a
	// power cut may take them, the newest first. ForgetVolumes is durable all the same. Nothing
	// else may change the index meanwhile.
	Batch(ctx context.Context, fn func() error) error
	// Reserve takes space, once, so that on a full disk everything works but Commit, TrackSetID,
	// CreateStream, OpenSession, Checkpoint and PutDocument of a new one; these are ErrFull then,
	// outside of Batch. It is also called again after they were, to make up what was used.
	Reserve(ctx context.Context) error
}

// StreamRows is the part of Index that holds streams.
type StreamRows interface {
	// CreateStream adds a stream. ErrExists when a stream of that name, or of that ID, exists.
	CreateStream(ctx context.Context, s store.Stream) error
	// Stream finds a stream by name, StreamByID by its ID; ErrNotFound when there is none or it is
	// deleted.
	Stream(ctx context.Context, name string) (store.Stream, error)
	StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error)
	// ListStreams returns at most limit streams (0: all) whose names begin with prefix and are
	// greater than after, by name in byte order.
	ListStreams(ctx context.Context, prefix, after string, limit int) ([]store.Stream, error)
	// UpdateStream reads, changes and writes one stream in one transaction. change may be called
	// more than once; its error is returned as it is and nothing is written. ID, Name,
	// CreatedMillis and NumberTag never change.
	UpdateStream(ctx context.Context, id store.StreamID,
		change func(*store.Stream) error) (store.Stream, error)
	// DeleteStream marks a stream deleted and drops its sessions: no other method but
	// DeletedStreams, PurgeStream and the methods of VolumeRows sees it any more, and its name is
	// free. check is called inside the transaction with the stream as it stands; its error is
	// returned as it is. ErrNotFound when there is no such stream.
	DeleteStream(ctx context.Context, id store.StreamID, check func(*store.Stream) error) error
	// DeletedStreams lists the streams that are marked deleted and not purged yet.
	DeletedStreams(ctx context.Context) ([]store.StreamID, error)
	// PurgeStream drops at most limit rows of a stream that is marked deleted; done when the last
	// one went. A stream that is not known is done.
	PurgeStream(ctx context.Context, id store.StreamID, limit int) (done bool, err error)
}

// FragmentRows is the part of Index that holds fragments.
type FragmentRows interface {
	// HighWater returns where a stream's orders stand. ErrNotFound when there is no such stream.
	HighWater(ctx context.Context, id store.StreamID) (sealed.HighWater, error)
	// LastProducer returns the greatest producer timestamp of a stream's fragments, math.MinInt64
	// when there is none.
	LastProducer(ctx context.Context, id store.StreamID) (int64, error)
	// Commit adds the rows of fragments, in the given order, in one transaction. There is a result
	// for each row; an error is about all of them, and each may or may not be there. What a
	// fragment replaces goes, even if it is in a sealed volume. Commit does not check whether a
	// sealed volume has the number of a new fragment. The first fragment of a volume closes the
	// stream's other volumes.
	//
	// If one row is Durable, all are on disk on return, with everything before. Otherwise they are
	// visible, but the process or a power cut may lose them, the newest first. If all were promised
	// (already acknowledged), the transaction may use the reserve.
	Commit(ctx context.Context, rows []index.NewFragment, promised bool) ([]index.Committed, error)
	// Hot is Store.List over the rows of unsealed volumes; fragments with a server timestamp before
	// edge (milliseconds) are left out.
	Hot(ctx context.Context, id store.StreamID, q store.Query, edge int64) (sealed.Hot, error)
	// HotFragment returns one fragment of an unsealed volume, past retention or not. ErrNotFound
	// when there is none.
	HotFragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	// Sealed returns at most limit sealed volumes which may have fragments that q selects, Limit
	// aside, with a server timestamp of edge or later. They come in q's order: ByNumber by
	// Number.Min, ByNumberNewest by Number.Max downwards, BySequence by Sequence.Min. With an after
	// that is not 0 only those behind it in that order.
	Sealed(ctx context.Context, id store.StreamID, q store.Query, edge, after int64,
		limit int) ([]sealed.Volume, error)
	// Gone tells which fragments of a stream's sealed volumes were replaced since, in ascending
	// order.
	Gone(ctx context.Context, id store.StreamID) ([]store.Number, error)
	// TrackSetID returns the id of a set of tracks, adding it when it is new. hash is of data;
	// equal hashes mean equal data. A new one is durable no later than the first fragment that is
	// of it.
	TrackSetID(ctx context.Context, id store.StreamID, hash [32]byte, data []byte) (int64, error)
	// TrackSet returns the data of a set. ErrNotFound when there is none.
	TrackSet(ctx context.Context, id store.StreamID, set int64) ([]byte, error)
	// Usage returns the bytes that the records of a stream take, and the footers of its sealed
	// volumes.
	Usage(ctx context.Context, id store.StreamID) (int64, error)
	// Expire makes at most limit closed or sealed volumes of a stream VolumeDoomed whose last
	// server timestamp is before edge, drops their rows, and tells how many there were.
	Expire(ctx context.Context, id store.StreamID, edge int64, limit int) (int, error)
}

// VolumeRows is the part of Index that holds what is known of volumes.
type VolumeRows interface {
	// Volumes lists every volume, those of deleted streams too, in the order in which they became
	// known.
	Volumes(ctx context.Context) ([]index.VolumeInfo, error)
	// AddVolume makes a volume known that was found without a row, as VolumeOpen with Indexed 0.
	// Known ones are left as they are.
	AddVolume(ctx context.Context, id store.StreamID, name string) error
	// VolumesInState lists the volumes in one state as Volumes does, but only those of streams that
	// are not deleted.
	VolumesInState(ctx context.Context, state index.VolumeState) ([]index.VolumeInfo, error)
	// CloseVolumes marks open volumes closed, each with its Indexed as its end if that is greater
	// than what is known. Others are left as they are.
	CloseVolumes(ctx context.Context, volumes []index.VolumeInfo) error
	// Replaced tells which fragments were replaced by those of a volume that is not sealed, in
	// ascending order.
	Replaced(ctx context.Context, name string) ([]store.Number, error)
	// SealVolume makes a closed volume a sealed one: one row in the place of those of its
	// fragments; without fragments it becomes VolumeDoomed. ErrUnsealable, and nothing is changed,
	// when it is not closed, has another number of rows than Count, or has numbers or sequences
	// that make it impossible to put it in order with the stream's other sealed volumes.
	SealVolume(ctx context.Context, volume sealed.Volume) error
	// AddSealed makes volumes of one stream known that were found sealed, without rows. The
	// stream's high-water mark moves on to what is in them. ErrUnsealable as in SealVolume, and for
	// a volume that is known or with sequences that the high-water mark has passed.
	AddSealed(ctx context.Context, volumes []sealed.Volume) error
	// ForgetVolumes drops the rows of volumes and of every fragment in them. Names that are not
	// known are no error.
	ForgetVolumes(ctx context.Context, names []string) error
}

// SessionRows is the part of Index that holds playback sessions: those that are open, and no
// others.
type SessionRows interface {
	// OpenSession adds a session and drops those of its stream that expired at or before now.
	// Beyond the limits it drops the stream's earliest created ones too, of those created in the
	// same millisecond the earliest opened, never the new one, and returns their IDs. ErrNotFound
	// when there is no such stream, ErrExists when the ID is taken, ErrFull when the sessions of
	// all streams would take more bytes than the limits allow.
	OpenSession(ctx context.Context, s store.Session, limits index.SessionLimits,
		now int64) (closed []string, err error)
	// Session returns a session. ErrNotFound when there is none.
	Session(ctx context.Context, id string) (store.Session, error)
	// Checkpoint replaces a session's checkpoint. ErrNotFound; ErrFull when it is longer than the
	// one before and all sessions would take more than limit bytes (0: no limit). The newest
	// checkpoint may be lost in a power cut.
	Checkpoint(ctx context.Context, id string, data []byte, limit int64) error
	// BindSession sets a session's address, unless it has one, and returns the one that it has.
	// ErrNotFound.
	BindSession(ctx context.Context, id, address string) (bound string, err error)
	// ListSessions returns the sessions that q selects and that expire after now, by ID, without
	// their parameters and checkpoints.
	ListSessions(ctx context.Context, q store.SessionQuery, now int64) ([]store.Session, error)
	// CloseSession drops a session. ErrNotFound when there is none that expires after now.
	CloseSession(ctx context.Context, id string, now int64) error
	// ExpireSessions drops at most limit sessions that expired at or before now, and tells how many
	// went.
	ExpireSessions(ctx context.Context, now int64, limit int) (int, error)
}

// Volumes keeps bytes, the other seam. A volume is an append-only sequence of records of one
// stream, which only grows and is deleted whole. Names of volumes begin with the stream's ID and a
// slash. Methods may be called concurrently.
type Volumes interface {
	// Append writes one record behind the stream's others. On return the bytes, and the name of a
	// new volume, survive a power cut. Records of one stream are written one after the other, those
	// of different streams side by side. ErrFull means that there is no room and that nothing was
	// written; after any other error the record may be there or not, and may come out of Recover.
	// The entry's slices are not kept. s is written at the start of a new volume.
	Append(ctx context.Context, s *store.Stream, e volume.Entry) (store.Location, error)
	// Roll ends the stream's current volume, so that the next Append begins another. Without a
	// current volume it does nothing.
	Roll(ctx context.Context, id store.StreamID) error
	// Seal writes a footer record behind a volume's last record and gives its place; durable on
	// return. What is behind indexed and no whole record is cut first, and so is a footer that is
	// there already. Only for volumes that are not written.
	Seal(ctx context.Context, name string, indexed int64, footer []byte) (store.Location, error)
	// Describe tells of which stream a volume says that it is, and where its footer is: of Length 0
	// when it has none. ErrNotFound when the volume is not there, ErrCorrupt when it does not begin
	// as a volume must. The footer itself is not verified.
	Describe(ctx context.Context, name string) (s *store.Stream, footer store.Location, err error)
	// Open opens one record. ErrGone when the volume is not there. What is open stays readable over
	// Delete and DeleteStream.
	Open(ctx context.Context, loc store.Location) (volume.Body, error)
	// Recover reads the whole records of a volume from offset from on (0: all of it) and cuts what
	// follows the last one. Each record's checksums hold. The slices given to found are valid
	// during the call only; its error ends the scan and is returned. From 0 on damage is stepped
	// over where a whole record is behind it. The stream is the one written at the volume's start,
	// nil when from is greater than 0 or that is damaged. end is where the last whole record ends.
	// ErrNotFound when the volume is not there; ErrCorrupt when it does not begin as a volume must,
	// and then nothing is changed. Only for volumes that are not written.
	Recover(ctx context.Context, name string, from int64, found func(loc store.Location,
		head []byte) error) (s *store.Stream, end, cut int64, err error)
	// Space tells how many bytes may still be stored, and how many there are room for in all; both
	// math.MaxInt64 when there is no telling.
	Space(ctx context.Context) (free, total int64, err error)
	// List calls found with the name of every volume, in no particular order. A name that ends in a
	// slash is a stream that has room but no volume.
	List(ctx context.Context, found func(name string) error) error
	// Away tells whether a volume's records lie in the object store. ErrNotFound when the volume is
	// not there.
	Away(ctx context.Context, name string) (bool, error)
	// MoveOut moves the records of a sealed volume into the object store, MoveIn brings them back;
	// each leaves a volume alone that is as it shall be. What is open is read to its end from where
	// it was. ErrNotFound when the volume is not there, or is deleted meanwhile; ErrFull;
	// ErrCorrupt when what is in the object store is damaged. Only one of them at a time, and not
	// beside Tidy.
	MoveOut(ctx context.Context, name string) error
	MoveIn(ctx context.Context, name string) error
	// Tidy ends moves that were cut short.
	Tidy(ctx context.Context) error
	// Delete deletes volumes, and their objects. Those that are not there are no error.
	Delete(ctx context.Context, names []string) error
	// DeleteStream deletes every volume of a stream. On return none of them is found by List or
	// Open any more, also after a power cut; their space may be freed later. Without volumes it
	// does nothing.
	DeleteStream(ctx context.Context, id store.StreamID) error
	io.Closer
}

// DocumentRows is the part of Index that holds documents.
type DocumentRows interface {
	// PutDocument writes a document, whose Revision is not looked at, and returns its new revision.
	// revision is as in store.Documents. ErrExists, ErrVersion.
	PutDocument(ctx context.Context, d store.Document, revision int64) (int64, error)
	// DeleteDocument deletes a document. ErrNotFound, ErrVersion.
	DeleteDocument(ctx context.Context, kind, name string, revision int64) error
	// ListDocuments returns the documents of a kind, all when it is "", by kind and name in byte
	// order.
	ListDocuments(ctx context.Context, kind string) ([]store.Document, error)
	// DocumentRevision is the revision of the last change, 0 at first.
	DocumentRevision(ctx context.Context) (int64, error)
}

// ClockRows is the part of Index that holds the mark.
type ClockRows interface {
	// ClockMark returns what SetClockMark kept, the zero mark at first. The newest one may be lost
	// in a power cut.
	ClockMark(ctx context.Context) (clock.Mark, error)
	SetClockMark(ctx context.Context, m clock.Mark) error
}
