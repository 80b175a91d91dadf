package store

import (
	"context"
	"io"
)

// Index keeps rows: streams, fragments, blobs, track sets and sessions. It is one of the two seams of the store; the engine
// is its only user.
//
// Every method is a transaction of its own: applied whole or not at all. A method that returns an error may still have
// been applied (the connection broke after the commit); callers read again or repeat. Except where a method says
// otherwise a change is durable when the method returns. What is committed is seen by every later call.
// Methods may be called concurrently. They honour ctx while they wait for their turn, not in the middle of a change.
type Index interface {
	StreamRows
	FragmentRows
	BlobRows
	SessionRows
	ClockRows
	io.Closer
	// Batch runs fn, whose changes need not be durable before Batch returns without an error: a power cut may take them, the
	// newest first. ForgetBlobs is durable all the same. Nothing else may change the index meanwhile.
	Batch(ctx context.Context, fn func() error) error
	// Reserve takes space, once, so that on a full disk everything works but Commit, TrackSetID,
	// CreateStream, OpenSession and Checkpoint; these are ErrFull then, outside of Batch. It is
	// also called again after they were, to make up what was used.
	Reserve(ctx context.Context) error
}

// StreamRows is the part of Index that holds streams.
type StreamRows interface {
	// CreateStream adds a stream. ErrExists when a stream of that name, or of that ID, exists.
	CreateStream(ctx context.Context, s Stream) error
	// Stream finds a stream by name, StreamByID by its ID; ErrNotFound when there is none or it is deleted.
	Stream(ctx context.Context, name string) (Stream, error)
	StreamByID(ctx context.Context, id StreamID) (Stream, error)
	// ListStreams gives at most limit streams (0: all) whose names begin with prefix and are greater than after, by name
	// in byte order.
	ListStreams(ctx context.Context, prefix, after string, limit int) ([]Stream, error)
	// UpdateStream reads, changes and writes one stream in one transaction. change may be called more than once; its error
	// is returned as it is and nothing is written. ID, Name, CreatedMillis and NumberTag never change.
	UpdateStream(ctx context.Context, id StreamID, change func(*Stream) error) (Stream, error)
	// DeleteStream marks a stream deleted and drops its sessions: no other method but DeletedStreams, PurgeStream and the
	// methods of BlobRows sees it any more, and its name is free. check is called inside the transaction with the stream
	// as it stands; its error is returned as it is. ErrNotFound when there is no such stream.
	DeleteStream(ctx context.Context, id StreamID, check func(*Stream) error) error
	// DeletedStreams lists the streams that are marked deleted and not purged yet.
	DeletedStreams(ctx context.Context) ([]StreamID, error)
	// PurgeStream drops at most limit rows of a stream that is marked deleted; done when the last one went.
	// A stream that is not known is done.
	PurgeStream(ctx context.Context, id StreamID, limit int) (done bool, err error)
}

// Head is where a stream's two orders stand: the greatest number and sequence ever committed, zero at first, and the greatest
// of its sealed blobs.
type Head struct {
	Number         Number
	Sequence       int64
	SealedNumber   Number
	SealedSequence int64
}

// Hot is the answer to a query as far as it stands in rows, and what is needed to add the sealed blobs' part: all of one moment.
type Hot struct {
	Fragments []FragmentInfo // in the order of the query, at most its limit
	Head      Head
	Gone      []Number // fragments of sealed blobs that were replaced since, in ascending order
}

// Range is from the least to the greatest of something, both inclusive.
type Range struct{ Min, Max int64 }

// SealedBlob is the one row of a sealed blob: where its packed table is and what is in it.
type SealedBlob struct {
	Name     string
	Stream   StreamID
	Footer   Location // of the footer record, whose metadata is the table
	Count    int      // fragments in the table
	Number   Range    // of the fragments' numbers
	Sequence Range
	Server   Range    // of the fragments' server timestamps, milliseconds
	Producer Range    // likewise of the producer timestamps
	Sets     []int64  // ids of the track sets, by their place in the table
	Replaced []Number // what the fragments of the blob replaced when they came; for AddSealed only, Sealed leaves it out
}

// NewFragment is a fragment to be committed.
type NewFragment struct {
	Stream        StreamID
	Info          FragmentInfo // Sequence is given by Commit
	AfterSequence int64        // the sequence given is greater than this one too (fragments that were kept in memory only)
	Replaces      Number       // the fragment whose row goes in the same transaction, 0 for none
}

// Committed is what became of one NewFragment.
type Committed struct {
	Sequence int64 // the commit sequence it was given
	Err      error // ErrNotFound: the stream is gone; ErrExists: the stream has a fragment of that number; another: there may be a row or not
}

// FragmentRows is the part of Index that holds fragments.
type FragmentRows interface {
	// Head tells where a stream's orders stand. ErrNotFound when there is no such stream.
	Head(ctx context.Context, id StreamID) (Head, error)
	// LastProducer gives the greatest producer timestamp of a stream's fragments, math.MinInt64 when there is none.
	LastProducer(ctx context.Context, id StreamID) (int64, error)
	// Commit adds fragments, in the order given, and gives each the next sequence of its stream. The
	// results stand in the order of the fragments. An error is of the whole batch, one in a result of that fragment. What a
	// fragment replaces goes, also when it is in a sealed blob; whether a sealed blob has the number of a new one is not looked at.
	//
	// A batch with a fragment in a blob that the index did not know is durable on return, with every batch before it, and
	// marks the stream's other blobs closed. Any other batch is visible on return but may be lost with the process or in a power
	// cut, the newest first: its records are in blobs that the index knows to be open, and are found there again. The batch
	// behind one that failed is durable too: it covers the records that got no row.
	Commit(ctx context.Context, fragments []NewFragment) ([]Committed, error)
	// Hot is Store.List over the rows of unsealed blobs; fragments with a server timestamp before notBefore (milliseconds) are
	// left out.
	Hot(ctx context.Context, id StreamID, q Query, notBefore int64) (Hot, error)
	// HotFragment gives one fragment of an unsealed blob, past retention or not. ErrNotFound when there is none.
	HotFragment(ctx context.Context, id StreamID, n Number) (FragmentInfo, error)
	// Sealed gives at most limit sealed blobs which may have fragments that q selects, Limit aside, with a server timestamp of
	// notBefore or later. They come in q's order: ByNumber by Number.Min, ByNumberNewest by Number.Max downwards, BySequence
	// by Sequence.Min. With an after that is not 0 only those behind it in that order.
	Sealed(ctx context.Context, id StreamID, q Query, notBefore, after int64, limit int) ([]SealedBlob, error)
	// Gone tells which fragments of a stream's sealed blobs were replaced since, in ascending order.
	Gone(ctx context.Context, id StreamID) ([]Number, error)
	// TrackSetID gives the id of a set of tracks, adding it when it is new. hash is of data; equal hashes mean equal data. A
	// new one is durable no later than the first fragment that is of it.
	TrackSetID(ctx context.Context, id StreamID, hash [32]byte, data []byte) (int64, error)
	// TrackSet gives the data of a set. ErrNotFound when there is none.
	TrackSet(ctx context.Context, id StreamID, set int64) ([]byte, error)
	// Expire makes at most limit closed or sealed blobs of a stream BlobDoomed whose last server timestamp is before notBefore,
	// drops their rows, and tells how many there were.
	Expire(ctx context.Context, id StreamID, notBefore int64, limit int) (int, error)
}

// BlobState is what the index knows of a blob's life.
type BlobState uint8

// States of a blob.
const (
	BlobOpen   BlobState = iota // may hold whole records behind Indexed that the index does not know
	BlobClosed                  // no record is written to it again, every record is known
	BlobDoomed                  // without rows, its bytes are to be deleted
	BlobSealed                  // its fragments have one row together, the packed table is in its footer
)

// BlobInfo is the index's row of one blob.
type BlobInfo struct {
	Name                string
	Stream              StreamID
	State               BlobState
	Indexed             int64 // every record before this offset is known or was given up
	LastServerTimestamp int64 // the greatest server timestamp of its fragments, milliseconds
}

// BlobRows is the part of Index that holds what is known of blobs.
type BlobRows interface {
	// Blobs lists every blob, those of deleted streams too, in the order in which they became known.
	Blobs(ctx context.Context) ([]BlobInfo, error)
	// AddBlob makes a blob known that was found without a row, as BlobOpen with Indexed 0. Known ones are left as they are.
	AddBlob(ctx context.Context, id StreamID, name string) error
	// BlobsInState lists the blobs in one state as Blobs does, but only those of streams that are not deleted.
	BlobsInState(ctx context.Context, state BlobState) ([]BlobInfo, error)
	// CloseBlobs marks open blobs closed, each with its Indexed as its end if that is greater than what is known. Others are
	// left as they are.
	CloseBlobs(ctx context.Context, blobs []BlobInfo) error
	// Replaced tells which fragments were replaced by those of a blob that is not sealed, in ascending order.
	Replaced(ctx context.Context, name string) ([]Number, error)
	// SealBlob makes a closed blob a sealed one: one row in the place of those of its fragments; without fragments it becomes
	// BlobDoomed. ErrExists, and nothing is changed, when it is not closed, has another number of rows than Count, or has
	// numbers or sequences that make it impossible to put it in order with the stream's other sealed blobs.
	SealBlob(ctx context.Context, blob SealedBlob) error
	// AddSealed makes blobs of one stream known that were found sealed, without rows. The stream's head moves on to what is in
	// them. ErrExists as in SealBlob, and for a blob that is known or with sequences that the head has passed.
	AddSealed(ctx context.Context, blobs []SealedBlob) error
	// ForgetBlobs drops the rows of blobs and of every fragment in them. Names that are not known are no error.
	ForgetBlobs(ctx context.Context, names []string) error
}

// SessionLimits bound the sessions that are kept in an index; 0: no limit.
type SessionLimits struct {
	Count       int   // sessions of a stream
	StreamBytes int64 // what they take, by Session.Size
	Bytes       int64 // likewise, those of all streams
}

// SessionRows is the part of Index that holds playback sessions: those that are open, and no others.
type SessionRows interface {
	// OpenSession adds a session and drops those of its stream that expired at or before now. Beyond the limits it drops the
	// stream's earliest created ones too, of those created in the same millisecond the earliest opened, never the new one, and
	// returns their IDs. ErrNotFound when there is no such stream, ErrExists when the ID is taken, ErrFull when the sessions of
	// all streams would take more bytes than the limits allow.
	OpenSession(ctx context.Context, s Session, limits SessionLimits, now int64) (closed []string, err error)
	// Session gives a session. ErrNotFound when there is none.
	Session(ctx context.Context, id string) (Session, error)
	// Checkpoint replaces a session's checkpoint. ErrNotFound; ErrFull when it is longer than the one before and all sessions
	// would take more than limit bytes (0: no limit). The newest checkpoint may be lost in a power cut.
	Checkpoint(ctx context.Context, id string, data []byte, limit int64) error
	// ExpireSessions drops at most limit sessions that expired at or before now, and tells how many went.
	ExpireSessions(ctx context.Context, now int64, limit int) (int, error)
}

// Entry is one encoded record on its way to the bytes.
type Entry struct {
	Number          Number
	ServerTimestamp int64    // milliseconds since the Unix epoch
	Head            []byte   // the record's header and metadata
	Payload         [][]byte // what follows the head
}

// Blobs keeps bytes, the other seam. A blob is an append-only sequence of records of one stream, which only grows and is
// deleted whole. Names of blobs begin with the stream's ID and a slash. Methods may be called concurrently.
type Blobs interface {
	// Append writes one record behind the stream's others. On return the bytes, and the name of a new blob, survive a power
	// cut. Records of one stream are written one after the other, those of different streams side by side. ErrFull means
	// that there is no room and that nothing was written; after any other error the record may be there or not, and may
	// come out of Recover. The entry's slices are not kept. s is written at the start of a new blob.
	Append(ctx context.Context, s *Stream, e Entry) (Location, error)
	// Roll ends the stream's current blob, so that the next Append begins another. Without a current blob it does nothing.
	Roll(ctx context.Context, id StreamID) error
	// Seal writes a footer record behind a blob's last record and gives its place; durable on return. What is behind indexed
	// and no whole record is cut first, and so is a footer that is there already. Only for blobs that are not written.
	Seal(ctx context.Context, name string, indexed int64, footer []byte) (Location, error)
	// Describe tells of which stream a blob says that it is, and where its footer is: of Length 0 when it has none. ErrNotFound
	// when the blob is not there, ErrCorrupt when it does not begin as a blob must. The footer itself is not verified.
	Describe(ctx context.Context, name string) (s *Stream, footer Location, err error)
	// Open opens one record. ErrGone when the blob is not there. What is open stays readable over Delete and DeleteStream.
	Open(ctx context.Context, loc Location) (Body, error)
	// Recover reads the whole records of a blob from offset from on (0: all of it) and cuts what follows the last one. Each
	// record's checksums hold. The slices given to found are valid during the call only; its error ends the scan and is
	// returned. From 0 on damage is stepped over where a whole record is behind it. The stream is the one
	// written at the blob's start, nil when from is greater than 0 or that is damaged. end is where the last
	// whole record ends. ErrNotFound when the blob is not there; ErrCorrupt when it does not begin as a blob must, and then
	// nothing is changed. Only for blobs that are not written.
	Recover(ctx context.Context, name string, from int64, found func(loc Location, head []byte) error) (s *Stream, end, cut int64, err error)
	// Space tells how many bytes may still be stored, and how many there are room for in all; both math.MaxInt64 when there
	// is no telling.
	Space(ctx context.Context) (free, total int64, err error)
	// List calls found with the name of every blob, in no particular order. A name that ends in a slash is a stream that has
	// room but no blob.
	List(ctx context.Context, found func(name string) error) error
	// Delete deletes blobs. Those that are not there are no error.
	Delete(ctx context.Context, names []string) error
	// DeleteStream deletes every blob of a stream. On return none of them is found by List or Open any more, also after a
	// power cut; their space may be freed later. Without blobs it does nothing.
	DeleteStream(ctx context.Context, id StreamID) error
	io.Closer
}

// Body is one opened record. Offsets are relative to the record's start. Not for concurrent use.
type Body interface {
	io.ReaderAt
	// Section gives access to n bytes from off on; it is not to be used after Close. Of a file it is a section of the *os.File. Its
	// ReadAt is safe for concurrent use.
	Section(off, n int64) (*io.SectionReader, error)
	// Forget says that the first n bytes are not to be had from a cache, neither now nor later. It is a hint.
	Forget(n int64)
	io.Closer
}
