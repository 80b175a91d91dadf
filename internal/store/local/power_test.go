package local_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/localtest"
	"weir/internal/store/local/volume"
	"weir/internal/store/storetest"
)

// machine is a store whose bytes lie on a localtest.Disk and whose index is SQLite's, together with
// what it promised.
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
	safe        walMark                     // guarded by mu, as are the following
	promised    map[place]promise           // fragments that were acknowledged
	streams     map[store.StreamID]struct{} // that were created, and not asked to be deleted
	gone        map[store.StreamID]struct{} // whose deletion was acknowledged
	volumeNames map[string]struct{}         // that the index knows
}

// place names a fragment: numbers are those of one stream.
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
	}
}

// open opens the store; its error is that of the disk.
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
	s, err := local.New(m.t.Context(), local.Options{Index: &markedIndex{x, m}, Volumes: v,
		Clock: m.clock.Now})
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

// walMark is a place in SQLite's log. The salt is another when the log began again.
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

// mark says that everything in the index's log is on disk.
func (m *machine) mark() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.safe = m.wal()
}

// markedIndex marks what a commit makes durable: one that names a volume which is new.
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

// crash ends the process, with the machine when power is true, and starts again on what is left.
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

// promise notes an acknowledgement, unless the machine died before it was given.
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
	if f.Number%5 == 0 { // so that a crash finds the index behind by few rows or many
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

// verify holds the store to what was promised, and rows and bytes together.
func (m *machine) verify() {
	m.t.Helper()
	if err := m.store.Settle(); err != nil {
		m.t.Fatal(err)
	}
	r, err := local.CheckSeams(m.t.Context(), m.index, m.volumes, local.CheckOptions{})
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
	// What is listed is as good as acknowledged: a producer that sends it again is told that it is
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

// seeds gives the seeds of a test: few, or as many as WEIR_TEST_SEEDS says.
func seeds(t *testing.T, few int) []uint64 {
	first, n := 1, few
	if s := os.Getenv("WEIR_TEST_SEED"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		first, n = v, 1
	} else if s := os.Getenv("WEIR_TEST_SEEDS"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = v
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = uint64(first + i)
	}
	return list
}

// Whatever a power cut or a kill takes at any moment, no acknowledged fragment is lost or altered
// and no deleted stream comes back. Several producers append, one replaces, the clock goes on over
// full hours, sweeps and deletions run beside them. WEIR_TEST_SEEDS runs more, WEIR_TEST_SEED one.
func TestPowerCuts(t *testing.T) {
	for _, seed := range seeds(t, 6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newMachine(t, seed)
			// records wait for each other, or not
			m.interval = time.Duration(seed%2) * time.Millisecond
			m.mustOpen()
			for round := range 5 {
				m.live(seed, round)
				m.crash(m.r.IntN(4) > 0)
				// The next start may die too.
				if m.r.IntN(4) == 0 {
					m.disk.DieAfter(1 + m.r.IntN(40))
					if err := m.open(); err != nil {
						m.crashDuringOpen()
						m.mustOpen()
					} else if m.disk.DieAfter(0); m.disk.Dead() {
						m.crash(true)
						m.mustOpen()
					}
				} else {
					m.mustOpen()
				}
				m.verify()
			}
			if err := m.store.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// crashDuringOpen is a power cut while the store was opening.
func (m *machine) crashDuringOpen() {
	m.disk = m.disk.PowerCut(m.r)
	m.dir, m.fs = localtest.CopyDir(m.t, m.dir), nil
}

// live lets the store work until the disk dies.
func (m *machine) live(seed uint64, round int) {
	m.disk.DieAfter(1 + m.r.IntN(250))
	var ids []store.StreamID
	for id := range m.streams {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for i := len(ids); i < 2; i++ {
		id, err := m.create(fmt.Sprintf("cam-%d-%d", round, i))
		if err != nil {
			m.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var wg sync.WaitGroup
	for p := range 3 {
		r := rand.New(rand.NewPCG(seed, uint64(round*10+p)))
		wg.Go(func() {
			var last store.FragmentInfo
			for i := 0; !m.disk.Dead(); i++ {
				id := ids[min(p, 1)]
				old := store.Number(0)
				if p == 2 && i%3 == 2 {
					old = last.Number
				}
				f, err := m.append(id, r.Uint64(), old)
				switch {
				case err == nil:
					last = f
				case errors.Is(err, store.ErrNotFound): // deleted
					return
				case !errors.Is(err, localtest.ErrDead):
					m.t.Errorf("append: %v", err)
					return
				}
				m.clock.Add(time.Duration(r.IntN(4000)) * time.Millisecond)
			}
		})
	}
	// The last round but one deletes a stream.
	r := rand.New(rand.NewPCG(seed, uint64(round*10+9)))
	for i := 0; !m.disk.Dead(); i++ {
		m.clock.Add(time.Duration(r.IntN(20)) * time.Minute)
		if err := m.store.Sweep(m.t.Context()); err != nil && !errors.Is(err, localtest.ErrDead) {
			m.t.Errorf("sweep: %v", err)
		}
		m.mark()
		if round == 3 && i == 1 {
			if err := m.delete(ids[0]); err != nil {
				m.t.Errorf("delete: %v", err)
			}
		}
	}
	wg.Wait()
}

// Every call that the volumes make fails once: without effect, with its effect, and a write
// halfway; the errors that disks and kernels give. Nothing acknowledged is lost, the operation
// works when it is tried again without a restart, and after the power cut that follows everything
// that was acknowledged is there.
func TestEveryCallFails(t *testing.T) {
	base := newMachine(t, 1)
	base.mustOpen()
	prepare(base)
	dir := localtest.CopyDir(t, base.dir)
	disk := base.disk.Kill()
	_ = base.store.Close() // of the dead process

	run := func(t *testing.T, at int, how localtest.Fault, fault error) []string {
		m := newMachine(t, uint64(at))
		m.dir, m.clock = localtest.CopyDir(t, dir), storetest.NewClock()
		for n, p := range base.promised {
			m.promised[n] = p
		}
		for id := range base.streams {
			m.streams[id] = struct{}{}
		}
		// everything in it was synced or is to be cut
		m.disk = disk.PowerCut(rand.New(rand.NewPCG(0, 0)))
		calls := localtest.NewCalls(m.disk, at, how, fault)
		m.fs = calls
		if err := m.open(); err != nil {
			if !errors.Is(err, fault) {
				t.Fatalf("open: %v", err)
			}
			m.fs = m.disk
			m.mustOpen() // the next start
		}
		m.work(fault)
		calls.Stop()
		m.verify()
		for _, power := range []bool{false, true} {
			m.crash(power)
			m.mustOpen()
			m.verify()
		}
		if err := m.store.Close(); err != nil {
			t.Fatal(err)
		}
		return calls.Log()
	}
	log := run(t, 0, 0, errors.New("none"))
	faults := []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE}
	all := os.Getenv("WEIR_TEST_SEEDS") != ""
	for i, call := range log {
		for _, how := range []localtest.Fault{localtest.NotApplied, localtest.Applied,
			localtest.Half} {
			if how == localtest.Half && call != "pwritev" || how == localtest.Applied &&
				reads(call) {
				continue
			}
			for j, fault := range faults {
				if !all && (i+int(how)+j)%len(faults) != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%d %s %v %v", i+1, filepath.Base(call), how, fault),
					func(t *testing.T) { run(t, i+1, how, fault) })
			}
		}
	}
	t.Logf("%d calls", len(log))
}

// reads tells that a call changes nothing, so that it fails in one way only.
func reads(call string) bool {
	name, _, _ := strings.Cut(call, " ")
	return slices.Contains([]string{"open", "readdir", "statfs", "pread", "fstat"}, name) &&
		!strings.HasPrefix(call, "open rw")
}

// prepare leaves a volume with a record that has no row and a torn one, and something in the trash.
func prepare(m *machine) {
	id, err := m.create("cam")
	if err != nil {
		m.t.Fatal(err)
	}
	for i := range 3 {
		if _, err := m.append(id, uint64(i), 0); err != nil {
			m.t.Fatal(err)
		}
	}
}

// work does everything that a store does with its disk. Each step may fail with the fault once and
// then works.
func (m *machine) work(fault error) {
	m.t.Helper()
	ctx := m.t.Context()
	step := func(name string, do func() error) {
		m.t.Helper()
		err := do()
		if err != nil && (errors.Is(err, fault) || errors.Is(err, store.ErrFull)) {
			err = do()
		}
		if err != nil {
			m.t.Fatalf("%s: %v", name, err)
		}
	}
	var cam store.StreamID
	for id := range m.streams {
		cam = id
	}
	var last store.FragmentInfo
	seed := uint64(100)
	add := func(id store.StreamID, old store.Number) func() error {
		return func() error {
			seed++
			f, err := m.append(id, seed, old)
			if err == nil {
				last = f
			}
			return err
		}
	}
	var other store.StreamID
	step("create", func() (err error) { other, err = m.create("other"); return err })
	for range 3 {
		step("append", add(cam, 0))
		step("append to a new directory", add(other, 0))
	}
	step("replace", add(cam, last.Number))
	m.clock.Add(time.Hour)
	step("append in the next hour", add(cam, 0))
	f := last
	step("read", func() error { _, err := storetest.ReadPayload(ctx, m.store, cam, f); return err })
	step("delete", func() error {
		err := m.delete(other)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	step("sweep", func() error { return m.store.Sweep(ctx) })
	m.clock.Add(2*time.Hour + 45*time.Minute)
	step("append hours later", add(cam, 0))
	step("sweep what is past retention", func() error { return m.store.Sweep(ctx) })
}
