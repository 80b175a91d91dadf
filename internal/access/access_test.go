package access

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/policy"
	"weir/internal/store"
	"weir/internal/store/memory"
)

// site is a registry over a store that tests may damage.
type site struct {
	*testing.T
	*Registry
	dir    string
	store  store.Documents
	tokens tokens
	now    func() time.Time
}

// tokens are temporary credentials by token, which is also their access key.
type tokens map[string]Claims

func (t tokens) Open(token string, now time.Time) (Claims, error) {
	c, ok := t[token]
	if !ok {
		return Claims{}, unrecognized
	}
	return c, nil
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, dir: t.TempDir(), store: memory.New(time.Now), tokens: tokens{},
		now: time.Now}
	s.reopen()
	return s
}

func (s *site) options() Options {
	s.Helper()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(s.dir, "credentials"))
	s.must(err)
	return Options{Store: s.store, Keys: keys, KeyFile: filepath.Join(s.dir, "access.key"),
		Account: "000000000000", Clock: func() time.Time { return s.now() }}
}

// reopen reopens the registry, as after a restart.
func (s *site) reopen() {
	s.Helper()
	r, err := Open(s.Context(), s.options())
	s.must(err)
	r.SetTemporary(s.tokens)
	s.Registry = r
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) wantErr(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("got error %v, want %v", err, want)
	}
}

// user makes a user with a key.
func (s *site) user(name string, policies ...string) KeyPair {
	s.Helper()
	_, pair, err := s.CreateUser(s.Context(), name, nil, policies)
	s.must(err)
	return pair
}

// find returns the principal of a key, or fails the test.
func (s *site) find(pair KeyPair) *Principal {
	s.Helper()
	secret, p, err := s.Find(pair.AccessKeyID, "")
	s.must(err)
	if secret != pair.SecretAccessKey {
		s.Fatalf("key %s has another secret", pair.AccessKeyID)
	}
	return p
}

// refused wants a key, with a token or without, to be refused with a code.
func (s *site) refused(accessKeyID, token, code string) {
	s.Helper()
	_, _, err := s.Find(accessKeyID, token)
	var refused *auth.Error
	if !errors.As(err, &refused) || refused.Code != code {
		s.Fatalf("key %s: %v, want %s", accessKeyID, err, code)
	}
}

// may wants a principal to be allowed, or denied, to do something to a stream.
func (s *site) may(p *Principal, action, stream string, want bool) {
	s.Helper()
	d := s.Decide(p, "kinesisvideo:"+action,
		"arn:aws:kinesisvideo:us-west-2:000000000000:stream/"+stream+"/1", policy.Context{})
	if d.Allowed != want {
		s.Fatalf("%s %s %s: %+v, want %v", p.ARN, action, stream, d, want)
	}
}

// put puts a policy that allows or denies an action on all streams.
func (s *site) put(name, effect, action string) PolicyInfo {
	s.Helper()
	p, err := s.PutPolicy(s.Context(), name, "", statement(effect, action, "*"),
		store.AnyRevision)
	s.must(err)
	return p
}

func statement(effect, action, resource string) []byte {
	return fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":[{"Effect":%q,`+
		`"Action":"kinesisvideo:%s","Resource":%q}]}`, effect, action, resource)
}

// A new key may do nothing. Attaching, detaching, putting and deleting a policy counts from the
// next call on, also for principals that were found before.
func TestAChangeHoldsFromTheNextCallOn(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	p := s.find(s.user("ann"))
	if p.Kind != Key || p.ARN != "arn:aws:iam::000000000000:user/ann" || p.Name != "ann" {
		t.Fatalf("%+v", p)
	}
	s.may(p, "PutMedia", "cam1", false)
	read := s.put("mine", "Allow", "Get*")
	changed := s.Changed()
	s.must(s.Attach(ctx, HolderUser, "ann", "mine"))
	select {
	case <-changed:
	default:
		t.Fatal("nobody is told of the change")
	}
	s.must(s.Attach(ctx, HolderUser, "ann", "mine"))
	s.may(p, "GetMedia", "cam1", true)
	s.may(p, "PutMedia", "cam1", false)
	s.put("mine", "Allow", "Put*")
	s.may(p, "GetMedia", "cam1", false)
	s.may(p, "PutMedia", "cam1", true)
	s.must(s.Attach(ctx, HolderUser, "ann", "administrator"))
	s.may(p, "DeleteStream", "cam1", true)
	s.put("no", "Deny", "DeleteStream")
	s.must(s.Attach(ctx, HolderUser, "ann", "no"))
	s.may(p, "DeleteStream", "cam1", false)

	s.wantErr(s.DeletePolicy(ctx, "no", store.AnyRevision), ErrInUse)
	s.must(s.Detach(ctx, HolderUser, "ann", "no"))
	s.must(s.DeletePolicy(ctx, "no", store.AnyRevision))
	s.wantErr(s.DeletePolicy(ctx, "no", store.AnyRevision), ErrNotFound)
	s.wantErr(s.DeletePolicy(ctx, "mine", read.Revision), ErrInUse)
	s.must(s.Detach(ctx, HolderUser, "ann", "mine"))
	s.wantErr(s.Detach(ctx, HolderUser, "ann", "mine"), ErrNotFound)
	s.wantErr(s.DeletePolicy(ctx, "mine", read.Revision), ErrVersion)
	s.wantErr(s.Attach(ctx, HolderUser, "ann", "none"), ErrNotFound)
	s.wantErr(s.Attach(ctx, HolderUser, "bob", "mine"), ErrNotFound)
	s.wantErr(s.DeletePolicy(ctx, "administrator", store.AnyRevision), ErrFixed)
	_, err := s.PutPolicy(ctx, "viewer", "", statement("Allow", "*", "*"), store.AnyRevision)
	s.wantErr(err, ErrFixed)
	_, err = s.PutPolicy(ctx, "bad", "", []byte(`{"Version":"2012-10-17"}`), store.AnyRevision)
	if !errors.As(err, new(*policy.Error)) {
		t.Fatalf("a document without statements: %v", err)
	}
	s.may(p, "DeleteStream", "cam1", true)

	s.reopen() // with all policies, also for principals found before
	s.may(p, "DeleteStream", "cam1", true)
}

// A principal without a key, for questions, may do what the principal with a key may.
func TestPrincipalByARN(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	s.user("ann", "producer")
	_, err := s.CreateRole(ctx, RoleInput{Name: "r", Policies: []string{"viewer"}, Trust: trust})
	s.must(err)
	_, err = s.PutCamera(ctx, CameraInfo{Name: "cam1", Policies: []string{"camera"}},
		store.NewDocument)
	s.must(err)
	for arn, can := range map[string]string{
		"arn:aws:iam::000000000000:root":                       "DeleteStream PutMedia GetMedia",
		"arn:aws:iam::000000000000:user/ann":                   "PutMedia",
		"arn:aws:iam::000000000000:role/r":                     "GetMedia",
		"arn:aws:sts::000000000000:assumed-role/r/somebody":    "GetMedia",
		"arn:aws:sts::000000000000:assumed-role/camera/cam1":   "PutMedia",
		"arn:aws:iam::000000000000:user/bob":                   "",
		"arn:aws:iam::000000000000:role/none":                  "",
		"arn:aws:iam::111111111111:root":                       "",
		"arn:aws:sts::000000000000:assumed-role/camera/nobody": "",
		"arn:aws:iam::000000000000:role/camera":                "",
		"":                                                     "",
	} {
		p, err := s.Principal(arn)
		if can == "" {
			s.wantErr(err, ErrNotFound)
			continue
		}
		s.must(err)
		for _, action := range []string{"DeleteStream", "PutMedia", "GetMedia"} {
			s.may(p, action, "cam1", strings.Contains(can, action))
		}
	}
	p, err := s.Principal("arn:aws:iam::000000000000:user/ann")
	s.must(err)
	root, err := s.Principal("arn:aws:iam::000000000000:root")
	s.must(err)
	s.must(s.Detach(ctx, HolderUser, "ann", "producer"))
	s.may(p, "PutMedia", "cam1", false)
	s.may(root, "PutMedia", "cam1", true)
}

func TestKeys(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	first := s.user("ann", "administrator")
	p := s.find(first)
	second, err := s.RotateKey(ctx, first.AccessKeyID)
	s.must(err)
	if q := s.find(second); q.ARN != p.ARN || q.UserID != p.UserID {
		t.Fatalf("%+v and %+v", p, q)
	}
	_, err = s.CreateKey(ctx, "ann")
	s.wantErr(err, ErrLimit)

	s.must(s.DisableKey(ctx, first.AccessKeyID))
	s.refused(first.AccessKeyID, "", auth.UnrecognizedClient)
	s.may(p, "GetMedia", "cam1", false)
	if _, err := s.Current(p); err == nil {
		t.Fatal("a disabled key is current")
	}
	s.find(second)
	s.must(s.EnableKey(ctx, first.AccessKeyID))
	s.may(p, "GetMedia", "cam1", true)
	s.must(s.DeleteKey(ctx, first.AccessKeyID))
	s.wantErr(s.DeleteKey(ctx, first.AccessKeyID), ErrNotFound)
	s.refused(first.AccessKeyID, "", auth.UnrecognizedClient)
	s.may(p, "GetMedia", "cam1", false)
	s.reopen()
	s.find(second)
	if keys := s.Keys("ann"); len(keys) != 1 || keys[0].AccessKeyID != second.AccessKeyID ||
		keys[0].Disabled || keys[0].Fault != "" {
		t.Fatalf("%+v", keys)
	}

	// A user of the same name is another user.
	q := s.find(second)
	s.must(s.DeleteUser(ctx, "ann"))
	s.refused(second.AccessKeyID, "", auth.UnrecognizedClient)
	if keys := s.Keys("ann"); len(keys) != 0 {
		t.Fatalf("%+v", keys)
	}
	again := s.user("ann", "administrator")
	s.refused(second.AccessKeyID, "", auth.UnrecognizedClient)
	s.may(q, "GetMedia", "cam1", false)
	if s.find(again).UserID == q.UserID {
		t.Fatal("the user has the ID of the one before")
	}
	_, _, err = s.CreateUser(ctx, "ann", nil, nil)
	s.wantErr(err, ErrExists)
	for _, bad := range []string{"", "a/b", "a b", "*", "ä", "$x", string(make([]byte, 65))} {
		if _, _, err := s.CreateUser(ctx, bad, nil, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("user %q: %v", bad, err)
		}
	}
}

// Nothing in the store takes the place of what the credentials file says.
func TestRootAndProfiles(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	old := auth.NewKey()
	text, err := auth.ReadSecret(filepath.Join(s.dir, "credentials"))
	s.must(err)
	s.must(auth.WriteSecret(filepath.Join(s.dir, "credentials"), fmt.Appendf(text,
		"[old]\naws_access_key_id=%s\naws_secret_access_key=%s\n", old.AccessKeyID,
		old.SecretAccessKey)))
	var log strings.Builder
	o := s.options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s.Registry, err = Open(ctx, o)
	s.must(err)
	if !strings.Contains(log.String(), "administrator") ||
		!strings.Contains(log.String(), "profile=old access_key="+old.AccessKeyID) {
		t.Errorf("the start says\n%s", log.String())
	}
	root := s.keys.Default()
	p := s.find(KeyPair{root.AccessKeyID, root.SecretAccessKey})
	if p.Kind != Root || !p.IsRoot() || p.ARN != "arn:aws:iam::000000000000:root" {
		t.Fatalf("%+v", p)
	}
	s.may(p, "DeleteStream", "cam1", true)
	admin := s.find(KeyPair{old.AccessKeyID, old.SecretAccessKey})
	if admin.Kind != Key || admin.ARN != "arn:aws:iam::000000000000:user/old" {
		t.Fatalf("%+v", admin)
	}
	s.may(admin, "DeleteStream", "cam1", true)

	s.wantErr(s.DisableKey(ctx, old.AccessKeyID), ErrFixed)
	s.wantErr(s.DeleteKey(ctx, root.AccessKeyID), ErrFixed)
	s.wantErr(s.DeleteUser(ctx, "old"), ErrFixed)
	s.wantErr(s.Detach(ctx, HolderUser, "old", administrator), ErrFixed)
	_, _, err = s.CreateUser(ctx, "old", nil, nil)
	s.wantErr(err, ErrExists)
	_, err = s.CreateKey(ctx, "old")
	s.wantErr(err, ErrFixed)
	thief := keyDocument{User: "old", UserID: "x"}
	s.must(s.Registry.put(ctx, kindKey, root.AccessKeyID, &thief, store.AnyRevision))
	s.find(KeyPair{root.AccessKeyID, root.SecretAccessKey})
	_, _, err = s.Find("AKIDNOBODY", "")
	if err == nil {
		t.Fatal("nobody has a key")
	}
}

// The rights of temporary credentials end with the user, role or camera behind them, and when they
// expire.
func TestTemporaryCredentials(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return now }
	parent := s.user("ann", "producer")
	role, err := s.CreateRole(ctx, RoleInput{Name: "viewers", Policies: []string{"viewer"},
		Tags: map[string]string{"site": "north", "floor": "1"}, Trust: []byte(`{"Version":
		"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},
		"Action":"sts:AssumeRole"}]}`)})
	s.must(err)
	thing, err := s.PutCamera(ctx, CameraInfo{Name: "cam1", Policies: []string{"camera"}},
		store.NewDocument)
	s.must(err)
	bound, err := policy.Parse(statement("Allow", "GetMedia", "*"))
	s.must(err)
	session := s.find(parent)
	for _, c := range []Claims{
		{Kind: Session, AccessKeyID: "ASIASESSION", Name: "ann", ID: session.UserID,
			Parent: parent.AccessKeyID},
		{Kind: Role, AccessKeyID: "ASIAROLE", Name: "viewers", ID: role.ID, SessionName: "bob",
			Policies: []policy.Named{{Name: "session", Document: bound}},
			Tags:     map[string]string{"site": "south"}},
		{Kind: Camera, AccessKeyID: "ASIACAMERA", Name: "cam1", Thing: "cam1",
			ThingID: thing.ID, Certificate: "01"},
	} {
		c.Secret, c.Issued, c.Expires = "s-"+c.AccessKeyID, now, now.Add(time.Hour)
		s.tokens[c.AccessKeyID] = c
	}
	find := func(id string) *Principal {
		t.Helper()
		secret, p, err := s.Find(id, id)
		s.must(err)
		if secret != "s-"+id || p.AccessKeyID != id {
			t.Fatalf("%s: %q, %+v", id, secret, p)
		}
		return p
	}
	session, viewer, cam := find("ASIASESSION"), find("ASIAROLE"), find("ASIACAMERA")
	s.refused("ASIAROLE", "ASIACAMERA", auth.UnrecognizedClient) // another's token
	s.refused("ASIAROLE", "", auth.UnrecognizedClient)
	s.refused("ASIAROLE", "forged", auth.UnrecognizedClient)

	if viewer.ARN != "arn:aws:sts::000000000000:assumed-role/viewers/bob" ||
		viewer.UserID != role.ID+":bob" || viewer.Tags["site"] != "south" ||
		viewer.Tags["floor"] != "1" {
		t.Fatalf("%+v", viewer)
	}
	s.may(session, "PutMedia", "cam1", true)
	s.may(session, "GetMedia", "cam1", false)
	s.may(viewer, "GetMedia", "cam1", true)
	s.may(viewer, "GetClip", "cam1", false) // the role may, the session may not
	s.may(cam, "PutMedia", "cam1", true)
	s.may(cam, "PutMedia", "cam2", false)

	s.must(s.DisableKey(ctx, parent.AccessKeyID))
	s.refused("ASIASESSION", "ASIASESSION", auth.UnrecognizedClient)
	s.may(session, "PutMedia", "cam1", false)
	s.must(s.DisableCamera(ctx, "cam1"))
	s.refused("ASIACAMERA", "ASIACAMERA", auth.UnrecognizedClient)
	s.may(cam, "PutMedia", "cam1", false)
	s.must(s.EnableCamera(ctx, "cam1"))
	s.may(cam, "PutMedia", "cam1", true)
	s.must(s.DeleteRole(ctx, "viewers", role.Revision))
	_, err = s.CreateRole(ctx, RoleInput{Name: "viewers", Policies: []string{"viewer"},
		Trust: role.Trust.Text()})
	s.must(err)
	s.refused("ASIAROLE", "ASIAROLE", auth.UnrecognizedClient) // of the one before
	s.may(viewer, "GetMedia", "cam1", false)

	now = now.Add(time.Hour - time.Nanosecond)
	s.may(cam, "PutMedia", "cam1", true)
	now = now.Add(time.Nanosecond)
	s.refused("ASIACAMERA", "ASIACAMERA", auth.ExpiredToken)
	s.may(cam, "PutMedia", "cam1", false)
	if _, err := s.Current(cam); err == nil {
		t.Fatal("who is expired is current")
	}
}

// While one goroutine makes changes, others decide. Each decision is by the state before a change
// or after it, and whoever learns that a change is done sees it.
func TestDecisionsBesideChanges(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	pair := s.user("ann")
	p := s.find(pair)
	done := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				_, q, err := s.Find(pair.AccessKeyID, "")
				if err != nil {
					t.Error(err)
					return
				}
				s.Decide(q, "kinesisvideo:PutMedia", "*", policy.Context{})
				s.Decide(p, "kinesisvideo:PutMedia", "*", policy.Context{})
				if _, err := s.Current(p); err != nil {
					t.Error(err)
				}
				select {
				case <-s.Changed():
				case <-done:
				}
			}
		})
	}
	for range 50 {
		s.must(s.Attach(ctx, HolderUser, "ann", "producer"))
		s.may(p, "PutMedia", "cam1", true)
		s.must(s.Detach(ctx, HolderUser, "ann", "producer"))
		s.may(p, "PutMedia", "cam1", false)
	}
	close(done)
	others.Wait()
}
