package migrate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/node"
	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/local"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

// childOptions makes the test binary a process that migrates, prints a line for each volume, and
// can be killed.
const childOptions = "WEIR_TEST_MIGRATE"

type child struct{ Dir, Database, Objects, Warm string }

func TestMain(m *testing.M) {
	if text := os.Getenv(childOptions); text != "" {
		var c child
		err := json.Unmarshal([]byte(text), &c)
		if err == nil {
			_, err = Run(context.Background(), Options{Dir: c.Dir, Database: c.Database,
				Objects: c.Objects, Warm: c.Warm, Keys: keysOfTests, LeaseTime: time.Second,
				Progress: func(done, total int64) { fmt.Println(done, total) }})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	clustertest.Main(m)
}

var keysOfTests = objects.Options{AccessKey: clustertest.AccessKey,
	SecretKey: clustertest.SecretKey, Timeout: 20 * time.Second}

// fixture is a data directory and the cluster that it goes to.
type fixture struct {
	*testing.T
	o     Options
	clock *storetest.Clock
	local local.Options
	seed  uint64
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	endpoint, prefix := clustertest.Bucket(t)
	f := &fixture{T: t, clock: storetest.NewClock()}
	f.o = Options{Dir: t.TempDir(), Database: clustertest.Database(t),
		Objects: clustertest.URL(endpoint, prefix), Keys: keysOfTests, LeaseTime: time.Second}
	f.local = local.Options{Clock: f.clock.Now, WarmAfter: time.Millisecond}
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// fill runs do with the store of the directory.
func (f *fixture) fill(do func(s *local.Store)) {
	f.Helper()
	s, err := local.Open(f.Context(), f.o.Dir, f.local)
	f.must(err)
	do(s)
	f.must(s.Close())
}

func (f *fixture) create(s store.Streams, name, tier string) store.Stream {
	f.Helper()
	st, err := s.CreateStream(f.Context(), store.Stream{Name: name, RetentionHours: 24 * 3650,
		StorageTier: tier, MediaType: "video/h264", Tags: map[string]string{"site": name}})
	f.must(err)
	return st
}

// record appends a fragment every two seconds.
func (f *fixture) record(s store.Fragments, id store.StreamID, n int) (last store.FragmentInfo) {
	f.Helper()
	for range n {
		f.clock.Add(2 * time.Second)
		f.seed++
		var err error
		last, err = storetest.Append(f.Context(), s, id, storetest.Record(f.clock, f.seed, 3000))
		f.must(err)
	}
	return last
}

// content is everything in a store, in a form that can be compared.
type content struct {
	Streams   []store.Stream
	Fragments map[string][]store.FragmentInfo
	Payload   map[string][][]byte // by stream and number
	Sessions  []store.Session
	Documents map[string]string
}

// read reads everything through the contract.
func (f *fixture) read(s interface {
	store.Store
	store.Documents
}) content {
	f.Helper()
	ctx := f.Context()
	c := content{Fragments: map[string][]store.FragmentInfo{}, Payload: map[string][][]byte{},
		Documents: map[string]string{}}
	var err error
	c.Streams, err = s.ListStreams(ctx, "", "", 0)
	f.must(err)
	for _, st := range c.Streams {
		list, err := s.List(ctx, st.ID, store.Query{Order: store.BySequence})
		f.must(err)
		for i := range list {
			payload, err := storetest.ReadPayload(ctx, s, st.ID, list[i])
			if errors.Is(err, store.ErrCorrupt) {
				payload, err = [][]byte{[]byte("damaged")}, nil
			}
			f.must(err)
			c.Payload[st.FormatNumber(list[i].Number)] = payload
			list[i].Location = store.Location{}
			list[i].PayloadCRC = 0 // differs for an encrypted record
		}
		c.Fragments[st.Name] = list
	}
	sessions, err := s.ListSessions(ctx, store.SessionQuery{})
	f.must(err)
	for i := range sessions {
		whole, err := s.Session(ctx, sessions[i].ID)
		f.must(err)
		c.Sessions = append(c.Sessions, whole)
	}
	documents, err := s.ListDocuments(ctx, "")
	f.must(err)
	for _, d := range documents {
		c.Documents[d.Kind+"/"+d.Name] = string(d.Data)
	}
	return c
}

// settled returns the content of the directory after a start, which seals volumes.
func (f *fixture) settled() (c content) {
	f.Helper()
	f.fill(func(s *local.Store) { c = f.read(s) })
	return c
}

// node opens the cluster as a node does.
func (f *fixture) node() (*cluster.Store, error) {
	return cluster.Open(f.Context(), cluster.Options{Database: f.o.Database, Objects: f.o.Objects,
		Keys: keysOfTests, CacheDir: f.TempDir(), Clock: f.clock.Now,
		Gather: objects.Gathering{Linger: -1}})
}

func (f *fixture) openNode() *cluster.Store {
	f.Helper()
	s, err := f.node()
	f.must(err)
	f.Cleanup(func() { f.must(s.Close()) })
	return s
}

// same compares the content of the node with that of the directory. A node may have more documents.
func (f *fixture) same(got, want content) {
	f.Helper()
	maps.DeleteFunc(got.Documents, func(name, _ string) bool {
		return strings.HasPrefix(name, "migration/") ||
			name == "shared/credentials" || name == "shared/token-keys" ||
			name == "seal/check" && want.Documents[name] == ""
	})
	if !reflect.DeepEqual(got.Streams, want.Streams) {
		f.Errorf("streams are %+v, want %+v", got.Streams, want.Streams)
	}
	for name, list := range want.Fragments {
		if !reflect.DeepEqual(got.Fragments[name], list) {
			f.Errorf("fragments of %s are %+v, want %+v", name, got.Fragments[name], list)
		}
	}
	if !reflect.DeepEqual(got.Payload, want.Payload) {
		f.Error("payloads differ")
	}
	if !reflect.DeepEqual(got.Sessions, want.Sessions) {
		f.Errorf("sessions are %+v, want %+v", got.Sessions, want.Sessions)
	}
	if !maps.Equal(got.Documents, want.Documents) {
		f.Errorf("documents are %v, want %v", got.Documents, want.Documents)
	}
}

// fillAll makes a directory with something of each kind.
func (f *fixture) fillAll() {
	f.Helper()
	ctx := f.Context()
	f.fill(func(s *local.Store) {
		cam := f.create(s, "cam", "")
		warm := f.create(s, "warm", store.TierWarm)
		f.create(s, "empty", "")
		gone := f.create(s, "deleted", "")
		f.record(s, gone.ID, 2)
		f.must(s.DeleteStream(ctx, gone.ID, ""))
		var first store.FragmentInfo
		for range 6 { // an hour ends a volume
			last := f.record(s, cam.ID, 3)
			if first.Number == 0 {
				first = last
			}
			f.record(s, warm.ID, 2)
			f.clock.Add(time.Hour)
		}
		f.must(s.Sweep(ctx))
		again := storetest.Record(f.clock, 999, 500)
		var err error
		again.Number, err = s.NextNumber(ctx, cam.ID)
		f.must(err)
		_, err = s.Replace(ctx, cam.ID, first.Number, again)
		f.must(err)
		if f.local.Objects != nil {
			f.must(s.MoveVolumes(ctx))
		}
		for i, id := range []string{"0123456789abcdef", "fedcba9876543210"} {
			_, err := s.OpenSession(ctx, store.Session{ID: id, Stream: cam.ID, Kind: uint8(i),
				CreatedMillis: 1000, ExpiresMillis: time.Now().AddDate(10, 0, 0).UnixMilli(),
				Parameters: []byte("live"), Principal: "arn:aws:iam::000000000000:root",
				Address: "192.0.2.7"}, 5)
			f.must(err)
			f.must(s.Checkpoint(ctx, id, []byte(fmt.Sprint("checkpoint ", i))))
		}
		secrets, err := access.OpenSecrets(ctx, s, filepath.Join(f.o.Dir, "access.key"),
			f.local.Logger)
		f.must(err)
		_, err = secrets.Secret("other").Store([]byte("a secret"), 0)
		f.must(err)
		_, err = s.PutDocument(ctx, "user", "anna", []byte(`{"name":"anna"}`), store.NewDocument)
		f.must(err)
	})
	for name, text := range map[string]string{"credentials": "[default]\nkeys of root\n",
		"token-keys": "keys of sessions\n"} {
		f.must(os.WriteFile(filepath.Join(f.o.Dir, name), []byte(text), 0o600))
	}
}

// warm gives the directory's server an object store for WARM streams.
func (f *fixture) warm() {
	f.Helper()
	endpoint, prefix := clustertest.Bucket(f.T)
	f.o.Warm = clustertest.URL(endpoint, prefix)
	f.local.Objects = func() (local.Remote, error) {
		bucket, err := objects.Open(f.o.Warm, keysOfTests)
		if err != nil {
			return nil, err
		}
		cache, err := objects.NewCache(bucket, filepath.Join(f.o.Dir, "objects"), 1<<20)
		return local.NewRemote(bucket, cache), err
	}
}

// After a run is killed at any time, no node starts on what it has left, and the next run continues
// it. In the end a node has everything under the same names, and can go on with it.
func TestKilledAndResumed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.warm()
	f.fillAll()
	want := f.settled()
	options, err := json.Marshal(child{f.o.Dir, f.o.Database, f.o.Objects, f.o.Warm})
	f.must(err)
	for _, after := range []int{1, 3, 8} { // volumes
		cmd := exec.CommandContext(f.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childOptions+"="+string(options))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		f.must(err)
		f.must(cmd.Start())
		lines := bufio.NewScanner(out)
		for range after {
			lines.Scan()
		}
		f.must(cmd.Process.Kill())
		if err := cmd.Wait(); err == nil {
			t.Fatalf("the run ended before volume %d", after)
		}
		if _, err := f.node(); !errors.Is(err, cluster.ErrMigrating) {
			t.Fatalf("a node over half a migration: %v", err)
		}
	}
	sum, err := Run(f.Context(), f.o)
	f.must(err)
	if sum.Before < 5 || sum.Fragments != 6*5 || sum.Sessions != 2 || len(sum.Damaged) > 0 {
		t.Errorf("summary is %+v", sum)
	}
	s := f.openNode()
	f.same(f.read(s), want)

	secrets, err := access.OpenSecrets(f.Context(), s, filepath.Join(f.o.Dir, "access.key"), nil)
	f.must(err)
	for name, text := range map[string]string{node.SharedCredentials: "[default]\nkeys of root\n",
		node.SharedTokenKeys: "keys of sessions\n", "other": "a secret"} {
		if got, _, err := secrets.Secret(name).Load(); string(got) != text {
			t.Errorf("secret %s is %q, %v", name, got, err)
		}
	}

	// the cluster continues where the directory was
	cam, err := s.Stream(f.Context(), "cam")
	f.must(err)
	list := want.Fragments["cam"]
	last := list[len(list)-1]
	next := f.record(s, cam.ID, 1)
	if next.Sequence != last.Sequence+1 || next.Number <= last.Number {
		t.Errorf("after fragment %d, %d comes %d, %d", last.Sequence, last.Number, next.Sequence,
			next.Number)
	}
	f.must(s.Compact(f.Context(), true))
	f.must(s.Sweep(f.Context()))
	got := f.read(s).Fragments["cam"]
	if len(got) != len(list)+1 {
		t.Errorf("%d fragments after compaction, want %d", len(got), len(list)+1)
	}

	if sum, err = Run(f.Context(), f.o); err != nil || !sum.Finished {
		t.Errorf("a run after the end: %+v, %v", sum, err)
	}
}

// Encrypted recordings are copied only if Options.Decrypt is set, and then decrypted.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fill(func(s *local.Store) { // some are from before encryption
		cam := f.create(s, "cam", "")
		f.record(s, cam.ID, 3)
	})
	f.local.Encrypt = true
	f.fill(func(s *local.Store) {
		cam, err := s.Stream(f.Context(), "cam")
		f.must(err)
		f.clock.Add(time.Hour)
		f.record(s, cam.ID, 3)
		f.clock.Add(time.Hour)
		f.record(s, cam.ID, 2)
	})
	want := f.settled()
	if _, err := Run(f.Context(), f.o); !errors.Is(err, ErrEncrypted) {
		t.Fatalf("without Decrypt: %v", err)
	}
	f.o.Decrypt = true
	_, err := Run(f.Context(), f.o)
	f.must(err)
	f.must(os.Remove(filepath.Join(f.o.Dir, "encryption.key")))
	f.same(f.read(f.openNode()), want)
}

// Fragments that have rows of their own, because their volumes could not be sealed, keep them.
func TestFragmentsWithRows(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fill(func(s *local.Store) {
		cam := f.create(s, "cam", "")
		f.record(s, cam.ID, 4)
	})
	f.fill(func(s *local.Store) {
		f.must(s.Sweep(f.Context()))
		f.clock.Add(time.Hour)
		cam, err := s.Stream(f.Context(), "cam")
		f.must(err)
		f.record(s, cam.ID, 5)
	})
	want := f.settled()
	f.o.setDefaults()
	f.o.LeaseTime = time.Second
	for range 2 { // the second run finds everything done
		sum, err := run(f.Context(), &f.o)
		f.must(err)
		if !sum.Finished && (sum.Batches != 1 || sum.Volumes != 1) {
			t.Errorf("summary is %+v", sum)
		}
	}
	f.same(f.read(f.openNode()), want)
}

// A damaged record is reported. It is still listed, and still cannot be opened.
func TestDamaged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fill(func(s *local.Store) {
		cam := f.create(s, "cam", "")
		f.record(s, cam.ID, 3)
		f.must(s.Sweep(f.Context()))
	})
	want := f.settled()
	names, err := filepath.Glob(filepath.Join(f.o.Dir, "volumes", "*", "*.vol"))
	f.must(err)
	b, err := os.ReadFile(names[0])
	f.must(err)
	b[3000] ^= 1 // of the first fragment's payload
	f.must(os.WriteFile(names[0], b, 0o600))
	sum, err := Run(f.Context(), f.o)
	f.must(err)
	if len(sum.Damaged) != 1 || sum.Fragments != 3 {
		t.Errorf("summary is %+v", sum)
	}
	st := want.Streams[0]
	want.Payload[st.FormatNumber(want.Fragments["cam"][0].Number)] = [][]byte{[]byte("damaged")}
	f.same(f.read(f.openNode()), want)
}

// A target or a directory that others use is refused, and nothing is changed.
func TestRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fill(func(s *local.Store) { f.create(s, "cam", "") })
	refused := func(what string, o Options, want error) {
		t.Helper()
		if _, err := Run(f.Context(), o); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("no data directory", Options{Dir: t.TempDir()}, os.ErrNotExist)
	f.fill(func(*local.Store) { refused("a server runs", f.o, store.ErrLocked) })

	other := newFixture(t)
	s := other.openNode()
	o := f.o
	o.Database, o.Objects = other.o.Database, other.o.Objects
	refused("a node runs", o, cluster.ErrInUse)
	f.create(s, "cam", "")
	refused("it has a stream", o, cluster.ErrInUse)
	if list, err := s.ListDocuments(f.Context(), ""); err != nil || len(list) > 0 {
		t.Errorf("documents are %v, %v", list, err)
	}

	from, err := openSource(f.Context(), &f.o)
	f.must(err)
	f.must(from.close())
	first, err := cluster.Open(f.Context(), cluster.Options{Database: f.o.Database,
		Objects: f.o.Objects, Keys: keysOfTests, CacheDir: t.TempDir(), Import: from.id})
	f.must(err)
	i, _, _, err := first.BeginImport(f.Context())
	f.must(err)
	refused("another migrates", f.o, cluster.ErrImporting)
	i.Close()
	f.must(first.Close())
	third := newFixture(t)
	third.fill(func(s *local.Store) { third.create(s, "door", "") })
	o = third.o
	o.Database, o.Objects = f.o.Database, f.o.Objects
	refused("another directory was begun with", o, cluster.ErrInUse)
	_, err = Run(f.Context(), f.o)
	f.must(err)

	w := newFixture(t)
	w.warm()
	w.fillAll()
	o = w.o
	o.Warm = ""
	refused("WARM recordings and no object store", o, ErrWarm)
}
