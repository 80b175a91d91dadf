package access

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"weir/internal/policy"
	"weir/internal/store"
	"weir/internal/store/memory"
)

func emptyStore() store.Documents { return memory.New(time.Now) }

func (f fullStore) PutDocument(
	_ context.Context, _, _ string, _ []byte, _ int64,
) (int64, error) {
	return 0, store.ErrFull
}

// A document that is torn, or from a newer version, grants nothing, whatever is left of it; a
// policy then denies everything to its holders. It can be deleted, and with its bytes back all is
// well.
func TestTornDocuments(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	s.put("all", "Allow", "*")
	pair := s.user("ann", "all", "administrator")
	p := s.find(pair)
	thing, err := s.PutCamera(ctx, CameraInfo{Name: "cam1", Policies: []string{"all"}},
		store.NewDocument)
	s.must(err)
	role, err := s.CreateRole(ctx, RoleInput{Name: "r", Policies: []string{"all"}, Trust: trust})
	s.must(err)
	expires := time.Now().Add(time.Hour)
	s.tokens["ASIAROLE"] = Claims{Kind: Role, AccessKeyID: "ASIAROLE", Name: "r", ID: role.ID,
		SessionName: "s", Expires: expires}
	s.tokens["ASIACAMERA"] = Claims{Kind: Camera, AccessKeyID: "ASIACAMERA", Name: "cam1",
		Thing: "cam1", ThingID: thing.ID, Expires: expires}
	_, viewer, err := s.Find("ASIAROLE", "ASIAROLE")
	s.must(err)
	_, cam, err := s.Find("ASIACAMERA", "ASIACAMERA")
	s.must(err)

	for _, c := range []struct {
		kind, name string
		denied     []*Principal
	}{
		{kindUser, "ann", []*Principal{p}},
		{kindKey, pair.AccessKeyID, []*Principal{p}},
		{kindPolicy, "all", []*Principal{p, viewer, cam}},
		{kindRole, "r", []*Principal{viewer}},
		{kindCamera, "cam1", []*Principal{cam}},
	} {
		whole := s.snapshot.Load().document(documentKey{c.kind, c.name}).Data
		damaged := [][]byte{[]byte(strings.Replace(string(whole), "{", `{"only_at_night":true,`,
			1)), append(whole[:len(whole):len(whole)], whole...), []byte("null and void"), nil}
		for n := range whole {
			damaged = append(damaged, whole[:n])
		}
		for _, data := range damaged {
			_, err := s.PutDocument(ctx, c.kind, c.name, data, store.AnyRevision)
			s.must(err)
			for _, who := range c.denied {
				s.may(who, "PutMedia", "cam1", false)
			}
		}
		_, err := s.PutDocument(ctx, c.kind, c.name, whole, store.AnyRevision)
		s.must(err)
		for _, who := range []*Principal{p, viewer, cam} {
			s.may(who, "PutMedia", "cam1", true)
		}
	}
	_, err = s.PutDocument(ctx, kindPolicy, "all", []byte("{"), store.AnyRevision)
	s.must(err)
	torn, err := s.Policy("all")
	s.must(err)
	if torn.Fault == "" {
		t.Errorf("%+v", torn)
	}
	s.put("all", "Allow", "*") // mends it
	s.may(p, "PutMedia", "cam1", true)

	// A policy that is attached but missing denies as well.
	s.must(s.Registry.DeleteDocument(ctx, kindPolicy, "all", store.AnyRevision))
	s.may(p, "PutMedia", "cam1", false)
}

var trust = []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":
	{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}`)

// Two processes that use one store lose no update of each other's, and see it.
func TestTwoRegistries(t *testing.T) {
	s := newSite(t)
	pair := s.user("ann")
	other, err := Open(t.Context(), s.options())
	s.must(err)
	running, stop := context.WithCancel(t.Context())
	var background, writers sync.WaitGroup
	for _, r := range []*Registry{s.Registry, other} {
		background.Go(func() { _ = r.Run(running) })
		writers.Go(func() {
			for i := range 20 {
				key := fmt.Sprintf("%p-%d", r, i)
				err := r.Tag(t.Context(), HolderUser, "ann", map[string]string{key: "1"}, nil)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, r := range []*Registry{s.Registry, other} {
		for {
			changed := r.Changed()
			if u, err := r.User("ann"); err == nil && len(u.Tags) == 40 {
				break
			}
			<-changed // or the test times out, because an update was lost
		}
	}
	// A change in one process counts in the other, also for principals found before.
	_, p, err := other.Find(pair.AccessKeyID, "")
	s.must(err)
	changed := other.Changed()
	s.must(s.DisableKey(t.Context(), pair.AccessKeyID))
	<-changed
	if d := other.Decide(p, "kinesisvideo:PutMedia", "*", nil); d.Allowed {
		t.Error("a disabled key may do something")
	}
	stop()
	background.Wait()

	read, err := s.PutPolicy(t.Context(), "p", "", statement("Allow", "*", "*"),
		store.NewDocument)
	s.must(err)
	s.put("p", "Deny", "*")
	_, err = s.PutPolicy(t.Context(), "p", "", statement("Allow", "*", "*"), read.Revision)
	s.wantErr(err, ErrVersion)
	_, err = s.PutPolicy(t.Context(), "p", "", statement("Allow", "*", "*"), store.NewDocument)
	s.wantErr(err, ErrExists)
	_, err = s.UpdateRole(t.Context(), RoleInput{Name: "none", Trust: trust}, 3)
	s.wantErr(err, ErrNotFound)
}

// failing is a store whose next write of a kind fails, with or without its effect.
type failing struct {
	store.Documents
	kind    string // "": none fails
	applied bool
}

// fails reports whether a write is to fail, once.
func (f *failing) fails(kind string) bool {
	if f.kind != kind {
		return false
	}
	f.kind = ""
	return true
}

var errInjected = errors.New("injected fault")

func (f *failing) PutDocument(
	ctx context.Context, kind, name string, data []byte, revision int64,
) (n int64, err error) {
	fails := f.fails(kind)
	if fails && !f.applied {
		return 0, errInjected
	}
	if n, err = f.Documents.PutDocument(ctx, kind, name, data, revision); fails && err == nil {
		err = errInjected
	}
	return n, err
}

func (f *failing) DeleteDocument(
	ctx context.Context, kind, name string, revision int64,
) (err error) {
	fails := f.fails(kind)
	if fails && !f.applied {
		return errInjected
	}
	if err = f.Documents.DeleteDocument(ctx, kind, name, revision); fails && err == nil {
		err = errInjected
	}
	return err
}

// A failed write is reported, and the registry has what the store has: with the change or without
// it.
func TestFaultsOfTheStore(t *testing.T) {
	for _, applied := range []bool{false, true} {
		s := newSite(t)
		f := &failing{Documents: s.store, applied: applied}
		s.store = f
		s.reopen()
		ctx := t.Context()
		pair := s.user("ann", "administrator")
		p := s.find(pair)
		during := func(kind string, do func() error) {
			t.Helper()
			f.kind = kind
			s.wantErr(do(), errInjected)
		}
		during(kindKey, func() error { return s.DisableKey(ctx, pair.AccessKeyID) })
		s.may(p, "PutMedia", "cam1", !applied)
		s.must(s.EnableKey(ctx, pair.AccessKeyID))
		during(kindUser, func() error { return s.Detach(ctx, HolderUser, "ann", "administrator") })
		s.may(p, "PutMedia", "cam1", !applied)
		for _, kind := range []string{kindKey, kindUser} {
			during(kind, func() error {
				_, _, err := s.CreateUser(ctx, "bob", nil, []string{"administrator"})
				return err
			})
			if _, err := s.User("bob"); err == nil || len(s.Keys("bob")) > 0 {
				t.Errorf("%s, applied: %v: there is a key whose secret nobody was told: %+v", kind,
					applied, s.Keys("bob"))
			}
		}
		during(kindUser, func() error { return s.DeleteUser(ctx, "ann") })
		if _, err := s.User("ann"); (err == nil) == applied {
			t.Errorf("the deletion was applied: %v; %v", applied, err)
		}
	}
}

// Principals that were found, and tokens that were opened, do not keep snapshots in memory.
func TestSnapshotsGo(t *testing.T) {
	s := newSite(t)
	p := s.find(s.user("ann", "producer"))
	role, err := s.CreateRole(t.Context(), RoleInput{Name: "r", Trust: trust})
	s.must(err)
	s.tokens["ASIAROLE"] = Claims{Kind: Role, AccessKeyID: "ASIAROLE", Name: "r", ID: role.ID,
		SessionName: "s", Expires: time.Now().Add(time.Hour)}
	_, viewer, err := s.Find("ASIAROLE", "ASIAROLE")
	s.must(err)
	old := weak.Make(s.snapshot.Load())
	s.put("another", "Allow", "*")
	for n := 0; n < 10 && old.Value() != nil; n++ { // once is enough when nothing else runs
		runtime.GC()
	}
	if old.Value() != nil {
		t.Error("the snapshot is still there")
	}
	runtime.KeepAlive(p)
	runtime.KeepAlive(viewer)
}

// With 1,000 users and 1,000 policies everybody has the right policies, and a change takes no more
// than a moment.
func TestManyUsersAndPolicies(t *testing.T) {
	s := newSite(t)
	fill(t, s, 1000)
	s.reopen()
	if users, policies := len(s.Users()), len(s.Policies()); users != 1000 ||
		policies != 1000+len(policy.Builtin()) {
		t.Fatalf("%d users and %d policies", users, policies)
	}
	for i, u := range s.Users() {
		if i%100 == 0 {
			_, p, err := s.Find(s.Keys(u.Name)[0].AccessKeyID, "")
			s.must(err)
			s.may(p, "GetMedia", u.Name, true)
			s.may(p, "GetMedia", "another", false)
		}
	}
}

// fill makes n users, each with a key and a policy for the stream of its own name, and two more
// policies.
func fill(t testing.TB, s *site, n int) {
	t.Helper()
	sealer, err := s.Sealer()
	if err != nil {
		t.Fatal(err)
	}
	put := func(kind, name string, data string) {
		t.Helper()
		if _, err := s.store.PutDocument(t.Context(), kind, name, []byte(data),
			store.NewDocument); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		name := fmt.Sprintf("user-%04d", i)
		put(kindPolicy, name, fmt.Sprintf(`{"created":1,"updated":1,"policy":%s}`,
			statement("Allow", "*", "arn:aws:kinesisvideo:*:*:stream/"+name+"/*")))
		put(kindUser, name, fmt.Sprintf(`{"id":"AIDA%d","created":1,"policies":[%q]}`, i, name))
		id := fmt.Sprintf("WEIR%016d", i)
		put(kindKey, id, fmt.Sprintf(`{"user":%q,"user_id":"AIDA%d","created":1,"secret":"%s"}`,
			name, i, base64.StdEncoding.EncodeToString(sealer.Seal(kindKey, id, []byte("secret")))))
	}
}

// Users lists the users by name.
func (r *Registry) Users() []UserInfo {
	var list []UserInfo
	for _, u := range r.snapshot.Load().users {
		list = append(list, u.info())
	}
	slices.SortFunc(list, func(a, b UserInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
