package local_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/localtest"
	"weir/internal/store/local/volume"
	"weir/internal/store/storetest"
)

// machine is a store whose bytes are on a localtest.Disk and whose index is SQLite's, together with
// what it has promised.
type machine struct {
	t        *testing.T
	r        *rand.Rand
	clock    *storetest.Clock
	dir      string        // of the index
	interval time.Duration // of syncs
	disk     *localtest.Disk
	fs       volume.FS // the disk, or what wraps it
	store    *local.Store
	index    local.Index
	volumes  local.Volumes

	mu          sync.Mutex
	safe        walMark                     // guarded by mu, like the fields that follow
	promised    map[place]promise           // fragments that were acknowledged
	streams     map[store.StreamID]struct{} // that were created, and not asked to be deleted
	gone        map[store.StreamID]struct{} // whose deletion was acknowledged
	volumeNames map[string]struct{}         // that the index knows

	encrypt bool // records are encrypted for every other seed
	keys    *encryption.Keys
}

// place names a fragment: a number belongs to one stream.
type place struct {
	stream store.StreamID
	number store.Number
}

type promise struct {
	sequence int64
	at       int64 // server timestamp
	crc      uint32
}

const powerRetention = 3 // hours

func newMachine(t *testing.T, seed uint64) *machine {
	return &machine{
		t: t, r: rand.New(rand.NewPCG(seed, 11)), clock: storetest.NewClock(), dir: t.TempDir(),
		disk:     localtest.NewDisk(1 << 40),
		promised: map[place]promise{}, streams: map[store.StreamID]struct{}{},
		gone: map[store.StreamID]struct{}{}, volumeNames: map[string]struct{}{},
		encrypt: seed/2%2 == 1,
	}
}

// open opens the store. Its error is the disk's.
func (m *machine) open() error {
	if m.fs == nil {
		m.fs = m.disk
	}
	x, err := index.OpenSQLite(m.t.Context(), filepath.Join(m.dir, "index.db"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.index = x
	v, err := volume.Open("/volumes", volume.Options{FS: m.fs, MaxSize: 20_000,
		SyncInterval: m.interval})
	if err != nil {
		return errors.Join(err, x.Close())
	}
	m.volumes = v
	keys, err := encryption.Open(encryption.Options{Files: v, Encrypt: m.encrypt,
		KeyFile: filepath.Join(m.dir, "encryption.key")})
	if err != nil {
		return errors.Join(err, x.Close(), v.Close())
	}
	m.keys = keys
	s, err := local.New(m.t.Context(), local.Options{Index: &markedIndex{x, m}, Volumes: v,
		Clock: m.clock.Now, Keys: keys})
	if err != nil {
		return err
	}
	m.store = s
	m.mark()
	return nil
}

func (m *machine) mustOpen() {
	m.t.Helper()
	if err := m.open(); err != nil {
		m.t.Fatal(err)
	}
}

// walMark is a place in SQLite's log. Its salt is new when the log began again.
type walMark struct {
	salt uint64
	size int64
}

func (m *machine) wal() walMark {
	b := make([]byte, 24)
	f, err := os.Open(filepath.Join(m.dir, "index.db-wal"))
	if err != nil {
		return walMark{}
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if _, readErr := f.ReadAt(b, 0); err != nil || readErr != nil {
		return walMark{}
	}
	return walMark{binary.BigEndian.Uint64(b[16:]), info.Size()}
}

// mark notes that everything in the index's log is on disk.
func (m *machine) mark() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.safe = m.wal()
}

// markedIndex marks what a commit makes durable: one with a new volume.
type markedIndex struct {
	local.Index
	m *machine
}

func (x *markedIndex) Commit(
	ctx context.Context, fragments []index.NewFragment, promised bool,
) ([]index.Committed, error) {
	results, err := x.Index.Commit(ctx, fragments, promised)
	if err != nil {
		return results, err
	}
	durable := false
	x.m.mu.Lock()
	for i, f := range fragments {
		_, known := x.m.volumeNames[f.Info.Location.Volume]
		if results[i].Err == nil && !known {
			x.m.volumeNames[f.Info.Location.Volume] = struct{}{}
			durable = true
		}
	}
	x.m.mu.Unlock()
	if durable {
		x.m.mark()
	}
	return results, nil
}

// crash ends the process, with power also the machine, and starts again from what is left.
func (m *machine) crash(power bool) {
	m.t.Helper()
	old := m.store
	m.t.Cleanup(func() { _ = old.Close() })
	is := m.wal()
	dir := localtest.CopyDir(m.t, m.dir)
	if power {
		m.disk = m.disk.PowerCut(m.r)
		wal := filepath.Join(dir, "index.db-wal")
		if tail := is.size - m.safe.size; is.salt == m.safe.salt && tail > 0 {
			b, err := os.ReadFile(wal)
			if err != nil {
				m.t.Fatal(err)
			}
			switch b = b[:is.size]; m.r.IntN(3) {
			case 0:
				b = b[:m.safe.size+m.r.Int64N(tail+1)]
			case 1: // some pages of it only
				for off := m.safe.size; off < is.size; off += 4096 {
					if m.r.IntN(4) == 0 {
						clear(b[off:min(off+4096, is.size)])
					}
				}
			}
			if err := os.WriteFile(wal, b, 0o600); err != nil {
				m.t.Fatal(err)
			}
		}
	} else {
		m.disk = m.disk.Kill()
	}
	m.dir, m.fs = dir, nil
}

// promise notes an acknowledgement, unless the machine died before it.
func (m *machine) promise(note func()) {
	if m.disk.Dead() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	note()
}

func (m *machine) create(name string) (store.StreamID, error) {
	st, err := m.store.CreateStream(m.t.Context(), store.Stream{Name: name,
		RetentionHours: powerRetention})
	if err != nil {
		return "", err
	}
	m.mark()
	m.promise(func() { m.streams[st.ID] = struct{}{} })
	return st.ID, nil
}

// append appends or replaces one fragment.
func (m *machine) append(
	id store.StreamID, seed uint64, old store.Number,
) (store.FragmentInfo, error) {
	rec := storetest.Record(m.clock, seed, 1500)
	var err error
	if rec.Number, err = m.store.NextNumber(m.t.Context(), id); err != nil {
		return store.FragmentInfo{}, err
	}
	var f store.FragmentInfo
	if old != 0 {
		m.mu.Lock()
		delete(m.promised, place{id, old})
		m.mu.Unlock()
		f, err = m.store.Replace(m.t.Context(), id, old, rec)
	} else {
		f, err = m.store.Append(m.t.Context(), id, rec)
	}
	if f.Number%5 == 0 { // so that the index is a few rows or many rows behind at a crash
		_ = m.store.Settle() // meets the same disk, which may be dead
	}
	if err == nil {
		m.promise(func() {
			m.promised[place{id, f.Number}] = promise{f.Sequence, f.ServerTimestamp,
				payloadSum(rec.Payload)}
		})
	}
	return f, err
}

func payloadSum(payload [][]byte) uint32 {
	var sum uint32
	for _, p := range payload {
		sum = crc32.Update(sum, crc32.IEEETable, p)
	}
	return sum
}

func (m *machine) delete(id store.StreamID) error {
	m.mu.Lock()
	delete(m.streams, id)
	m.mu.Unlock()
	err := m.store.DeleteStream(m.t.Context(), id, "")
	if err == nil {
		m.mark()
		m.promise(func() { m.gone[id] = struct{}{} })
	}
	return err
}

// verify compares the store with what was promised, and rows with bytes.
func (m *machine) verify() {
	m.t.Helper()
	if err := m.store.Settle(); err != nil {
		m.t.Fatal(err)
	}
	r, err := local.CheckSeams(m.t.Context(), m.index, m.volumes, local.CheckOptions{Keys: m.keys})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, p := range r.Problems {
		m.t.Error(p)
	}
	edge := m.clock.Now().Add(-powerRetention * time.Hour).UnixMilli()
	for id := range m.gone {
		if _, err := m.store.StreamByID(m.t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			m.t.Errorf("stream %s was deleted: %v", id, err)
		}
	}
	found := map[place]store.FragmentInfo{}
	for id := range m.streams {
		l, err := m.store.List(m.t.Context(), id, store.Query{Order: store.BySequence})
		if err != nil {
			m.t.Fatal(err)
		}
		var last int64
		for _, f := range l {
			if found[place{id, f.Number}] = f; f.Sequence <= last {
				m.t.Errorf("sequence %d comes after %d", f.Sequence, last)
			}
			last = f.Sequence
		}
	}
	for n, p := range m.promised {
		if _, ok := m.streams[n.stream]; !ok || p.at < edge {
			delete(m.promised, n)
			continue
		}
		f, ok := found[n]
		if !ok || f.Sequence != p.sequence {
			m.t.Errorf("fragment %v was acknowledged with sequence %d and is %+v", n, p.sequence, f)
			continue
		}
		payload, err := storetest.ReadPayload(m.t.Context(), m.store, n.stream, f)
		if err != nil || payloadSum(payload) != p.crc {
			m.t.Errorf("fragment %v was acknowledged and is not what it was: %v", n, err)
		}
	}
	// What is listed counts as acknowledged: a producer that sends it again is told that it is
	// stored.
	for n, f := range found {
		if _, ok := m.promised[n]; ok {
			continue
		}
		payload, err := storetest.ReadPayload(m.t.Context(), m.store, n.stream, f)
		if err != nil {
			m.t.Errorf("fragment %v is listed: %v", n, err)
		}
		m.promised[n] = promise{f.Sequence, f.ServerTimestamp, payloadSum(payload)}
	}
	if m.t.Failed() {
		m.t.FailNow()
	}
}
