package store

import (
	"context"

	"weir/internal/media"
)

// Store is what every engine offers, in four roles. Whoever uses a store declares the few methods
// that it needs instead. Methods may be called concurrently.
type Store interface {
	Streams
	Fragments
	Sessions
	Documents
}

// Streams is the role that holds streams.
type Streams interface {
	// CreateStream adds a stream; durable on return. It fills ID, CreatedMillis, Version and
	// NumberTag and returns the stream. ErrExists when a stream of that name exists, ErrFull when
	// there is no room.
	CreateStream(ctx context.Context, s Stream) (Stream, error)
	// Stream finds a stream by its name. ErrNotFound.
	Stream(ctx context.Context, name string) (Stream, error)
	// StreamByID finds a stream by its ID; the caller must not change its tags. ErrNotFound.
	StreamByID(ctx context.Context, id StreamID) (Stream, error)
	// ListStreams returns at most limit streams (0: all) whose names begin with prefix and are
	// greater than after, by name in byte order. The name of the last one is the cursor of the next
	// call.
	ListStreams(ctx context.Context, prefix, after string, limit int) ([]Stream, error)
	// UpdateStream changes a stream and gives it a new Version; durable on return. A version that
	// is not empty must be the stream's (ErrVersion). change may be called more than once; its
	// error is in the returned chain and leaves the stream as it was. It cannot change ID, Name,
	// CreatedMillis, Version and NumberTag. A shorter retention hides what is past it at once; a
	// longer one does not bring back what was past the one before. ErrNotFound, ErrFull.
	UpdateStream(
		ctx context.Context, id StreamID, version string, change func(*Stream) error,
	) (Stream, error)
	// TagStream changes a stream's tags and leaves its Version; otherwise it is UpdateStream.
	TagStream(ctx context.Context, id StreamID, change func(tags map[string]string) error) error
	// DeleteStream deletes a stream with all its fragments and sessions. On return it is gone for
	// every method, durably, and its name can be used again. What is being read can be read to its
	// end. A version that is not empty must be the stream's (ErrVersion). ErrNotFound.
	DeleteStream(ctx context.Context, id StreamID, version string) error
}

// Fragments is the role that holds fragments.
type Fragments interface {
	// NextNumber returns a fragment number that is greater than every number that the stream gave
	// out or stored before. ErrNotFound.
	NextNumber(ctx context.Context, id StreamID) (Number, error)
	// Append stores a fragment. When it returns without an error the fragment would survive a power
	// cut, and every later List sees it; when the stream's retention is 0 it is kept in memory
	// only, for a while. The record's number must be one that NextNumber returned; one that is
	// stored already is ErrExists. ErrFull when there is no room, ErrNotFound when the stream is
	// deleted. ErrRaced when the record has an Arrival and the stream a fragment at its place with
	// a sequence greater than Arrival.Seen. An engine of one process leaves places of relative
	// timecodes to the process, which knows its connections. After any other error the fragment
	// may be stored or not. Nothing of rec is kept.
	Append(ctx context.Context, id StreamID, rec *Record) (FragmentInfo, error)
	// Replace is Append, and the fragment old goes in the same commit: List never sees both or
	// neither. The old one need not be there.
	Replace(ctx context.Context, id StreamID, old Number, rec *Record) (FragmentInfo, error)
	// List returns the fragments that q selects, without those past retention. ErrNotFound when
	// there is no such stream; no fragment is not an error.
	List(ctx context.Context, id StreamID, q Query) ([]FragmentInfo, error)
	// Wait returns the commit sequence of the newest fragment as soon as that is greater than
	// after: at once, or when such a fragment is stored. Every later List sees it. A stream that
	// never had a fragment is at 0, so that with -1 it does not wait; it is cheap then, and no less
	// than the sequence of every fragment whose Append has returned. ErrNotFound when the stream is
	// deleted, also while it is waited for.
	Wait(ctx context.Context, id StreamID, after int64) (sequence int64, err error)
	// Fragment returns one fragment; the caller must not change its spans. ErrNotFound when there
	// is none, or when it is past retention.
	Fragment(ctx context.Context, id StreamID, n Number) (FragmentInfo, error)
	// TrackSet returns the tracks of a set (FragmentInfo.TrackSet), which the caller must not
	// change. ErrNotFound.
	TrackSet(ctx context.Context, id StreamID, set int64) ([]media.Track, error)
	// Open opens a fragment that List or Fragment returned. What is open can be read to its end
	// whatever happens to the fragment. ErrGone when it is past retention or deleted by now,
	// ErrCorrupt when what is stored is damaged. One that was replaced since, or that only a longer
	// retention would bring back, may open or be ErrGone.
	Open(ctx context.Context, id StreamID, f FragmentInfo) (Media, error)
}

// Sessions is the role that holds playback sessions.
type Sessions interface {
	// OpenSession registers a session. When its stream has more than limit open sessions of its
	// kind then (0: no limit), the earliest created of these are closed at the same moment and
	// their IDs returned. A session for which there is no space is kept while the process runs.
	// ErrNotFound when there is no such stream, ErrExists when the ID is taken.
	OpenSession(ctx context.Context, s Session, limit int) (closed []string, err error)
	// Session returns an open session; the caller must not change its bytes. ErrNotFound when it
	// was never known, a newer one closed it, or its time is over.
	Session(ctx context.Context, id string) (Session, error)
	// Checkpoint replaces the checkpoint of a session. The newest one may be lost in a power cut.
	// ErrNotFound; ErrFull, and the checkpoint stays as it was, when there is no space for it.
	Checkpoint(ctx context.Context, id string, data []byte) error
	// BindSession binds a session to a client's address, unless it is bound already, and returns
	// the one that it is bound to. Of many at a time one succeeds. ErrNotFound.
	BindSession(ctx context.Context, id, address string) (bound string, err error)
	// ListSessions returns the open sessions that q selects, by ID in byte order, without their
	// Parameters and Checkpoint. The ID of the last one is the cursor of the next call.
	ListSessions(ctx context.Context, q SessionQuery) ([]Session, error)
	// CloseSession closes a session; durable on return. ErrNotFound when it is not open.
	CloseSession(ctx context.Context, id string) error
}

// Documents is the role that holds small named documents, such as keys, policies and roles. Their
// bytes are their owner's, who seals them first where they are secret. The role has one revision,
// which rises with each change of any document and never falls.
type Documents interface {
	// PutDocument writes a document and returns its new revision; durable on return. revision is
	// the one that the document had when it was read, NewDocument for one that must not exist yet,
	// or AnyRevision. ErrExists when a new one exists, ErrVersion when an old one has another
	// revision or is gone; ErrFull when there is no room, which does not keep a document that
	// exists from being changed. After any other error it may be written or not.
	PutDocument(
		ctx context.Context, kind, name string, data []byte, revision int64,
	) (int64, error)
	// DeleteDocument deletes a document; durable on return. revision is the one that it had when it
	// was read, or AnyRevision. ErrNotFound; ErrVersion when it has another revision.
	DeleteDocument(ctx context.Context, kind, name string, revision int64) error
	// ListDocuments returns the documents of a kind, by name in byte order; of all kinds, by kind
	// and name, when kind is "". All are of one moment. The caller must not change their bytes.
	ListDocuments(ctx context.Context, kind string) ([]Document, error)
	// WaitDocuments returns the role's revision as soon as it is greater than after. Every later
	// ListDocuments sees that revision's change. A role that never had a document is at 0, so that
	// with -1 it does not wait.
	WaitDocuments(ctx context.Context, after int64) (revision int64, err error)
}
