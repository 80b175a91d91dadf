package local_test

import (
	"errors"
	"fmt"
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
	"weir/internal/store/local/localtest"
	"weir/internal/store/storetest"
)

// seeds returns the seeds of a test: few, or as many as WEIR_TEST_SEEDS says.
func seeds(t *testing.T, few int) []uint64 {
	t.Helper()
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

// Whatever a power cut or a kill destroys at any moment, no acknowledged fragment is lost or
// altered, and no deleted stream comes back. Several producers append, one of them replaces, and
// the clock passes full hours, beside sweeps and deletions. WEIR_TEST_SEEDS runs more seeds,
// WEIR_TEST_SEED just one.
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

// crashDuringOpen cuts the power while the store is opening.
func (m *machine) crashDuringOpen() {
	m.disk = m.disk.PowerCut(m.r)
	m.dir, m.fs = localtest.CopyDir(m.t, m.dir), nil
}

// live makes the store work until the disk dies.
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
	// The last but one round deletes a stream.
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

// Every call of the volumes fails once: without effect, with its effect, and a write halfway, with
// the errors of disks and kernels. Nothing acknowledged is lost. Tried again, the operation works
// without a restart. After a power cut everything acknowledged is there.
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
		// everything on it was synced or is to be cut
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
					func(t *testing.T) {
						t.Parallel()
						run(t, i+1, how, fault)
					})
			}
		}
	}
	t.Logf("%d calls", len(log))
}

// reads reports whether a call changes nothing, and so fails in one way only.
func reads(call string) bool {
	name, _, _ := strings.Cut(call, " ")
	return slices.Contains([]string{"open", "readdir", "statfs", "pread", "fstat"}, name) &&
		!strings.HasPrefix(call, "open rw")
}

// prepare leaves a volume with a record without a row and a torn record, and something in the
// trash.
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

// work does everything that a store does with its disk. Each step may fail once with the fault, and
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
