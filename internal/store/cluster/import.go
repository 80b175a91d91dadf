package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/repair"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// ErrMigrating is repair.ErrMigrating.
var ErrMigrating = repair.ErrMigrating

// ErrInUse refuses an import into a database that is in use: it has streams, keys or nodes already,
// or another store was imported into it.
var ErrInUse = errors.New("the database is in use")

// ErrImporting says that another process is doing the import.
var ErrImporting = errors.New("another process migrates into the database")

// importLease is the lease for the import.
const importLease = "import"

// nodeSilence is how long a node that does not end properly counts as running.
const nodeSilence = time.Minute

// checkMigration refuses a database that is being imported into. It is called after this node has
// joined, and an import makes its claim before it looks for nodes: so of two that meet, one gives
// way.
func (s *Store) checkMigration(ctx context.Context) error {
	m, _, err := s.db.Migration(ctx)
	if err == nil && m != nil && m.Finished == nil {
		err = errors.Join(ErrMigrating, s.db.Leave(ctx, *s.node.Load()))
	}
	return err
}

// claim reserves the database for the import of one store. ErrInUse.
func (s *Store) claim(ctx context.Context) error {
	m, _, err := s.db.Migration(ctx)
	if err != nil {
		return err
	}
	if m != nil && m.Source != s.o.Import {
		return fmt.Errorf("%w: another data directory was migrated into it", ErrInUse)
	}
	if m != nil {
		return nil // it goes on
	}
	if err := s.checkUnused(ctx); err != nil {
		return err
	}
	m = &rows.Migration{Source: s.o.Import, Began: time.Now().UTC()}
	revision, err := s.db.PutMigration(ctx, m, store.NewDocument)
	if errors.Is(err, store.ErrExists) {
		return ErrImporting
	}
	if err != nil {
		return err
	}
	if err := s.checkUnused(ctx); err != nil { // since it was looked at
		return errors.Join(err, s.db.DeleteMigration(ctx, revision))
	}
	return nil
}

// checkUnused refuses a database that is not new. ErrInUse.
func (s *Store) checkUnused(ctx context.Context) error {
	streams, err := s.db.ListStreams(ctx, "", "", 1)
	if err != nil {
		return err
	}
	documents, err := s.db.ListDocuments(ctx, "")
	if err != nil {
		return err
	}
	nodes, err := s.db.Nodes(ctx, nodeSilence)
	if err != nil {
		return err
	}
	if len(streams) > 0 {
		return fmt.Errorf("%w: it has the stream %s", ErrInUse, streams[0].Name)
	}
	for _, d := range documents {
		if d.Kind != rows.MigrationKind {
			return fmt.Errorf("%w: it has keys or policies (%s %s)", ErrInUse, d.Kind, d.Name)
		}
	}
	if len(nodes) > 0 {
		return fmt.Errorf("%w: a node runs over it, or did a minute ago", ErrInUse)
	}
	return nil
}

// Import copies what another engine has into an empty cluster. Every fragment keeps its number,
// sequence and track set. Its methods may be called concurrently.
type Import struct {
	s     *Store
	lease rows.Lease
	stop  func()
	end   func()
}

// BeginImport begins the import of the store that Options.Import names, or continues it. It waits
// until the lease of a process that was killed expires. held ends when the lease is lost; finished
// says that the import was already complete. ErrImporting.
func (s *Store) BeginImport(
	ctx context.Context,
) (i *Import, held context.Context, finished bool, err error) {
	m, _, err := s.db.Migration(ctx)
	if err == nil && m == nil {
		err = errors.New("the database is not claimed for an import")
	}
	if err != nil {
		return nil, nil, false, err
	}
	l, err := s.holdSoon(ctx, importLease)
	if err != nil {
		return nil, nil, false, err
	}
	i = &Import{s: s, lease: l.lease, end: func() { l.release(ctx) }}
	held, i.stop = l.keep(ctx)
	return i, held, m.Finished != nil, nil
}

// holdSoon takes a lease that a killed process may still hold for Options.LeaseTime.
func (s *Store) holdSoon(ctx context.Context, name string) (*tenure, error) {
	tick := time.NewTicker(s.o.LeaseTime / 20)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		l, err := s.hold(ctx, name)
		if !errors.Is(err, rows.ErrLease) {
			return l, err
		}
		if tries > 30 { // half as long again
			return nil, ErrImporting
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close lets another process continue.
func (i *Import) Close() {
	i.stop()
	i.end()
}

// Finish completes the import: nodes may start.
func (i *Import) Finish(ctx context.Context) error {
	m, revision, err := i.s.db.Migration(ctx)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	m.Finished = &now
	_, err = i.s.db.PutMigration(ctx, m, revision)
	return err
}

// Stream adds a stream, with the state of its orders.
func (i *Import) Stream(ctx context.Context, st *store.Stream, at sealed.HighWater) error {
	return i.s.db.ImportStream(ctx, i.lease, st, at)
}

// Sealed adds a sealed volume, whose bytes are data, as an object: it puts the object, reads it
// back and compares, then adds its row. tracks are those of v.Sets. v.Name is ignored.
func (i *Import) Sealed(
	ctx context.Context, v sealed.Volume, data []byte, tracks [][]byte,
) error {
	v.Name = sealedKey(v.Stream, v.Server.Min, store.Number(v.Number.Min))
	v.Footer.Volume = v.Name
	if err := i.put(ctx, v.Name, data); err != nil {
		return err
	}
	return i.s.db.ImportSealed(ctx, i.lease, &v, i.object(v.Name, data), tracks)
}

// Fragments adds fragments that are in no sealed volume. They become objects like those with
// records of many streams: the stream, a record, and so on. tracks are their track sets, by ID.
func (i *Import) Fragments(
	ctx context.Context, st *store.Stream, list []store.FragmentInfo, records [][]byte,
	tracks map[int64][]byte,
) error {
	described, err := record.EncodeStream(st)
	if err != nil {
		return err
	}
	var data []byte
	name := i.s.batchKey()
	for n := range list {
		data = append(data, described...)
		list[n].Location.Volume, list[n].Location.Offset = name, int64(len(data))
		data = append(data, records[n]...)
	}
	if err := i.put(ctx, name, data); err != nil {
		return err
	}
	return i.s.db.ImportFragments(ctx, i.lease, st.ID, i.object(name, data), list, tracks)
}

// Gone adds which fragments of a stream's sealed volumes were replaced. Call it after Sealed.
func (i *Import) Gone(ctx context.Context, id store.StreamID, numbers []store.Number) error {
	return i.s.db.ImportGone(ctx, i.lease, id, numbers)
}

// Volumes returns at most limit sealed objects of a stream in the order of their sequences, after a
// given sequence.
func (i *Import) Volumes(
	ctx context.Context, id store.StreamID, after int64, limit int,
) ([]sealed.Volume, error) {
	return i.s.db.Sealed(ctx, id, store.Query{Order: store.BySequence}, sealed.MinTime, after,
		limit)
}

// Hot returns the fragments that have rows of their own.
func (i *Import) Hot(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	hot, err := i.s.db.Hot(ctx, id, q, sealed.MinTime)
	return hot.Fragments, err
}

// List is store.Fragments.List, but includes what is past retention.
func (i *Import) List(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	return i.s.reader.List(ctx, id, q, sealed.MinTime)
}

func (i *Import) object(name string, data []byte) rows.Object {
	return rows.Object{Name: name, Bytes: int64(len(data)), Node: *i.s.node.Load()}
}

// put writes an object, reads it back and compares.
func (i *Import) put(ctx context.Context, name string, data []byte) error {
	if err := i.s.bucket.Put(ctx, name, data); err != nil {
		return err
	}
	return i.s.bucket.Read(ctx, name, 0, int64(len(data)), func(p []byte, at int64) error {
		if !bytes.Equal(p, data[at:at+int64(len(p))]) {
			return fmt.Errorf("%w: the object store returns other bytes than it was given",
				store.ErrCorrupt)
		}
		return nil
	})
}
