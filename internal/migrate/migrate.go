// Package migrate copies a data directory of one machine into the database and the object store of
// a cluster: streams with their fragments under the same numbers, sequences and ARNs, playback
// sessions, keys, policies and roles. Sealed volumes become sealed objects byte by byte.
//
// The database records what was copied, so the next run continues one that was cut short anywhere.
// Nodes start on the database only after everything was copied and compared.
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

// ErrEncrypted says that the data directory has encrypted recordings and Options.Decrypt is not
// set.
var ErrEncrypted = errors.New("recordings are encrypted, and a cluster does not encrypt")

// ErrWarm says that recordings are in an object store and Options.Warm does not say where.
var ErrWarm = errors.New("recordings lie in an object store")

// Options of Run. Dir, Database and Objects have no defaults.
type Options struct {
	Dir      string // the data directory
	Database string // as for rows.Open
	Objects  string // as for objects.Open
	// where the directory's recordings of WARM streams are, as for objects.Open
	Warm string
	// files of keys of the directory's server; default access.key and encryption.key there
	AccessKey, EncryptionKey string
	Decrypt                  bool // decrypt encrypted recordings

	Keys      objects.Options // for signing requests to both object stores
	LeaseTime time.Duration   // how long a killed run keeps the next one waiting; default 15 s
	Logger    *slog.Logger
	// called after each volume with the bytes that are copied and the total; nil: nobody is told
	Progress func(done, total int64)
}

// Summary is the result of a run.
type Summary struct {
	Finished bool // by an earlier run: nothing was done

	Streams, Fragments  int
	Bytes               int64 // of the volumes
	Volumes, Batches    int   // copied by this run
	Before              int   // volumes that earlier runs copied
	Sessions, Documents int   // documents: keys, users, policies, roles, cameras
	// What cannot be read, a line each. Records that are damaged are copied as they are and fail
	// to open as before; volumes that are lost are left out.
	Damaged []string
}

// volumesAtOnce is how many volumes are copied at a time. Each is in memory, usually 64 MB.
const volumesAtOnce = 4

// Run copies a data directory, which no server may have open. It returns when the cluster has
// everything: the checksums of each record were verified, each object was read again and compared,
// and both list the same fragments. Errors are store.ErrLocked if a server has the directory,
// fs.ErrNotExist if there is none, ErrEncrypted, ErrWarm; store.ErrKey and access.ErrKeyLost if a
// key file is not the directory's; cluster.ErrInUse, ErrOtherCluster and ErrImporting if the target
// is used by others.
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

// run copies a directory that settle has prepared.
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

	last struct { // the volume that compare read last, or why it could not
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

// tell counts copied bytes and calls Progress.
func (m *migration) tell(bytes int64) { m.o.Progress(m.done.Add(bytes), m.total) }

// damaged records something that cannot be read.
func (m *migration) damaged(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Damaged = append(m.sum.Damaged, fmt.Sprintf(format, args...))
}
