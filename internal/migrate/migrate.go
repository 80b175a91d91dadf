// Package migrate copies a data directory of one machine into the database and the object store of
// a cluster: streams with their fragments under the same numbers, sequences and ARNs, playback
// sessions, keys, policies and roles. Sealed volumes become sealed objects byte by byte.
//
// What is copied stands in the database with it: a run that was cut short anywhere is taken up by
// the next one. Nodes start over the database when all is there and was compared.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/store/cluster"
	"weir/internal/store/objects"
)

// ErrEncrypted is of a data directory with encrypted recordings when Options.Decrypt is not set.
var ErrEncrypted = errors.New("recordings are encrypted, and a cluster does not encrypt")

// ErrWarm is of recordings that lie in an object store when Options.Warm does not say where.
var ErrWarm = errors.New("recordings lie in an object store")

// Options of Run. Dir, Database and Objects have no defaults.
type Options struct {
	Dir      string // the data directory
	Database string // as rows.Open has it
	Objects  string // as objects.Open has it
	// where the recordings of WARM streams of the directory lie, as objects.Open has it
	Warm string
	// files of keys of the directory's server; default access.key and encryption.key there
	AccessKey, EncryptionKey string
	Decrypt                  bool // encrypted recordings become plain ones

	Keys      objects.Options // who signs requests to both object stores
	LeaseTime time.Duration   // how long a killed run keeps the next one waiting; default 15 s
	Logger    *slog.Logger
	// told after each volume what was copied, of what there is; default: nothing
	Progress func(done, total int64)
}

// Summary is what a run has found and done.
type Summary struct {
	Finished bool // by an earlier run: nothing was done

	Streams, Fragments  int
	Bytes               int64 // of the volumes
	Volumes, Batches    int   // copied by this run
	Before              int   // volumes that earlier runs had copied
	Sessions, Documents int   // documents: keys, users, policies, roles, cameras
	// What cannot be read, a line each. Records that are damaged are copied as they are and fail
	// to open as before; volumes that are lost are left out.
	Damaged []string
}

// volumesAtOnce is how many volumes are copied at a time: each is in memory, 64 MB in most cases.
const volumesAtOnce = 4

// Run copies a data directory, which no server may have. It returns when the cluster has all of it:
// each record's checksums held when it was read, each object was read again and compared, and both
// list the same fragments. store.ErrLocked when a server has the directory, fs.ErrNotExist when
// there is none, ErrEncrypted, ErrWarm; store.ErrKey, access.ErrKeyLost when a key file is not the
// directory's; cluster.ErrInUse, ErrOtherCluster, ErrImporting when the target is another's.
func Run(ctx context.Context, o Options) (*Summary, error) {
	o.setDefaults()
	if err := settle(ctx, &o); err != nil {
		return nil, err
	}
	return run(ctx, &o)
}

func (o *Options) setDefaults() {
	if o.LeaseTime == 0 {
		o.LeaseTime = 15 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
}

// run copies a directory as it is.
func run(ctx context.Context, o *Options) (_ *Summary, err error) {
	from, err := openSource(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	cache, err := os.MkdirTemp("", "weir-migrate-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache) //nolint:errcheck // of no use to anybody
	st, err := cluster.Open(ctx, cluster.Options{Database: o.Database, Objects: o.Objects,
		CacheDir: cache, CacheBytes: 64 << 20, Keys: o.Keys, Import: from.id, Logger: o.Logger,
		LeaseTime: o.LeaseTime})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	to, held, finished, err := st.BeginImport(ctx)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	if finished {
		return &Summary{Finished: true}, nil
	}
	m := &migration{o: o, from: from, to: to, store: st}
	err = m.run(held)
	if held.Err() != nil {
		err = context.Cause(held)
	}
	if err != nil {
		return nil, err
	}
	return &m.sum, to.Finish(ctx)
}

// migration is one run.
type migration struct {
	o     *Options
	from  *source
	to    *cluster.Import
	store *cluster.Store
	total int64 // bytes of the volumes
	done  atomic.Int64

	last struct { // the volume that compare has read last, or why it cannot be
		name string
		data []byte
		err  error
	}

	mu  sync.Mutex
	sum Summary // guarded by mu while volumes are copied
}

func (m *migration) run(ctx context.Context) error {
	if err := m.copyKeys(ctx); err != nil {
		return fmt.Errorf("keys and policies: %w", err)
	}
	streams, err := m.from.rows.ListStreams(ctx, "", "", 0)
	if err != nil {
		return err
	}
	for i := range streams {
		n, err := m.from.rows.Usage(ctx, streams[i].ID)
		if err != nil {
			return err
		}
		m.total += n
	}
	if err := m.checkStreams(ctx, streams); err != nil {
		return err
	}
	for i := range streams {
		if err := m.copyStream(ctx, &streams[i]); err != nil {
			return fmt.Errorf("stream %s: %w", streams[i].Name, err)
		}
	}
	if err := m.copySessions(ctx); err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	for i := range streams {
		if err := m.compare(ctx, &streams[i]); err != nil {
			return fmt.Errorf("stream %s: %w", streams[i].Name, err)
		}
	}
	m.sum.Streams, m.sum.Bytes = len(streams), m.total
	return nil
}

// tell counts what was copied.
func (m *migration) tell(bytes int64) { m.o.Progress(m.done.Add(bytes), m.total) }

// damaged notes what cannot be read.
func (m *migration) damaged(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Damaged = append(m.sum.Damaged, fmt.Sprintf(format, args...))
}
