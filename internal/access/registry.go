package access

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weir/internal/auth"
	"weir/internal/policy"
	"weir/internal/store"
)

// Options of a Registry. Logger and Clock have defaults.
type Options struct {
	Store   store.Documents
	Keys    *auth.KeyFile // the default profile is root, the others are administrators
	KeyFile string        // path of the key that seals secrets; made at the first start
	Account string        // twelve digits, of ARNs
	Logger  *slog.Logger
	Clock   func() time.Time
}

// Registry has every principal. Its methods may be called concurrently; those that each call needs
// (Find, Current, Decide) take no lock and do not touch the store.
type Registry struct {
	store   store.Documents
	keys    *auth.KeyFile
	account string
	arns    arns
	log     *slog.Logger
	now     func() time.Time
	keyFile string  // of sealer
	sealer  *Sealer // nil: its file could not be written yet
	// temporary opens tokens; set once, before the first call.
	temporary Temporary
	opened    tokenCache

	snapshot atomic.Pointer[snapshot]
	changed  atomic.Pointer[chan struct{}] // closed by the next snapshot

	loading sync.Mutex // one load at a time, so that snapshots come in order
	// writing is held during a change of several documents, or one that depends on others.
	writing sync.Mutex
}

// Names that are reserved.
const (
	administrator = "administrator" // the policy of profiles of the credentials file
	cameraRole    = "camera"        // the role that cameras are sessions of, in their ARN
)

// Open reads everything that is stored. If the key file is lost or the wrong one, the error says
// so, and nothing was changed. Run keeps the registry up to date afterwards.
func Open(ctx context.Context, o Options) (*Registry, error) {
	r := &Registry{store: o.Store, keys: o.Keys, account: o.Account, arns: arns{o.Account},
		keyFile: o.KeyFile, log: o.Logger, now: o.Clock}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	first := make(chan struct{})
	r.changed.Store(&first)
	if err := r.openSeal(ctx); err != nil {
		return nil, fmt.Errorf("open access control: %w", err)
	}
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("open access control: %w", err)
	}
	r.tellProfiles()
	return r, nil
}

// openSeal opens the seal key. A server can start on a full disk without one: what is stored works,
// and what must be sealed is refused until the next start.
func (r *Registry) openSeal(ctx context.Context) error {
	seals, err := r.store.ListDocuments(ctx, KindSeal)
	if err != nil {
		return err
	}
	r.sealer, err = openSealer(r.keyFile, sealCheckOf(seals), func(sealed []byte) error {
		_, err := r.store.PutDocument(ctx, KindSeal, sealCheckName, sealed, store.NewDocument)
		return err
	})
	if errors.Is(err, store.ErrExists) && seals == nil { // another node was faster: use its key
		return r.openSeal(ctx)
	}
	if isFull(err) {
		r.log.Warn("no room for the key that secrets are sealed with: keys can be made after the "+
			"next start that has some", "error", err)
		r.sealer, err = nil, nil
	}
	return err
}

// tellProfiles logs who the profiles of the credentials file are.
func (r *Registry) tellProfiles() {
	root := r.keys.Default()
	for _, k := range r.keys.Keys() {
		if k.Profile != root.Profile {
			r.log.Info("a profile of the credentials file is an administrator", "profile",
				k.Profile, "access_key", k.AccessKeyID, "root", root.Profile)
		}
		if u := r.snapshot.Load().document(documentKey{kindUser, k.Profile}); u != nil {
			r.log.Warn("a profile of the credentials file has the name of a user", "profile",
				k.Profile)
		}
	}
}

// Documents returns the documents of a kind that other packages own, KindProvider or KindTokenKey,
// as of the present snapshot, by name. The caller must not change their bytes.
func (r *Registry) Documents(kind string) (list []store.Document) {
	r.snapshot.Load().each(kind, func(d *document) { list = append(list, d.Document) })
	slices.SortFunc(list, func(a, b store.Document) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Document returns one of them, and whether there is one.
func (r *Registry) Document(kind, name string) (store.Document, bool) {
	d := r.snapshot.Load().document(documentKey{kind, name})
	if d == nil {
		return store.Document{}, false
	}
	return d.Document, true
}

// PutDocument is the store's PutDocument, for the kinds that other packages own. On return the
// registry has the document.
func (r *Registry) PutDocument(
	ctx context.Context, kind, name string, data []byte, revision int64,
) (int64, error) {
	next, err := r.store.PutDocument(ctx, kind, name, data, revision)
	return next, errors.Join(domain(err), r.load(context.WithoutCancel(ctx)))
}

// DeleteDocument is the store's DeleteDocument, likewise.
func (r *Registry) DeleteDocument(
	ctx context.Context, kind, name string, revision int64,
) error {
	err := r.store.DeleteDocument(ctx, kind, name, revision)
	return errors.Join(domain(err), r.load(context.WithoutCancel(ctx)))
}

// domain adds this package's error to one of the store. The chain keeps both.
func domain(err error) error {
	for of, is := range map[error]error{store.ErrNotFound: ErrNotFound,
		store.ErrExists: ErrExists, store.ErrVersion: ErrVersion} {
		if errors.Is(err, of) {
			return fmt.Errorf("%w: %w", is, err)
		}
	}
	return err
}

// SetTemporary makes the registry accept temporary credentials. Call it before the first Find.
func (r *Registry) SetTemporary(t Temporary) { r.temporary = t }

// Now is the time by the registry's clock.
func (r *Registry) Now() time.Time { return r.now() }

// Sealer returns the sealer for secrets in other packages' documents, such as KindTokenKey.
// ErrNoSeal.
func (r *Registry) Sealer() (*Sealer, error) {
	if r.sealer == nil {
		return nil, ErrNoSeal
	}
	return r.sealer, nil
}

func (r *Registry) open(kind, name string, sealed []byte) ([]byte, error) {
	if r.sealer == nil {
		return nil, ErrNoSeal
	}
	return r.sealer.Open(kind, name, sealed)
}

// Run follows changes that other processes make in the store until ctx ends. Failures are logged
// and tried again.
func (r *Registry) Run(ctx context.Context) error {
	const retry = time.Second
	failed := false
	for {
		_, err := r.store.WaitDocuments(ctx, r.snapshot.Load().revision)
		if err == nil {
			err = r.load(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !failed {
			r.log.Error("changes of access control are not seen", "error", err)
		}
		if failed = err != nil; failed {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(retry):
			}
		}
	}
}

// load takes a new snapshot, unless the present one is as new as the store.
func (r *Registry) load(ctx context.Context) error {
	r.loading.Lock()
	defer r.loading.Unlock()
	revision, err := r.store.WaitDocuments(ctx, -1)
	if err != nil {
		return err
	}
	last := r.snapshot.Load()
	if last != nil && last.revision >= revision {
		return nil
	}
	list, err := r.store.ListDocuments(ctx, "")
	if err != nil {
		return err
	}
	r.snapshot.Store(r.take(revision, list, last))
	next := make(chan struct{})
	close(*r.changed.Swap(&next))
	return nil
}

// Changed returns a channel that is closed at the next change of anything.
func (r *Registry) Changed() <-chan struct{} { return *r.changed.Load() }

// Find returns the secret of an access key and its principal. The session token does not matter for
// a long-term key, unless the credentials file has one for it. The error is an *auth.Error.
func (r *Registry) Find(accessKeyID, sessionToken string) (string, *Principal, error) {
	s := r.snapshot.Load()
	if h := s.keys[accessKeyID]; h != nil {
		if h.token != "" && subtle.ConstantTimeCompare([]byte(h.token),
			[]byte(sessionToken)) != 1 {
			return "", nil, unrecognized
		}
		return h.secret, h.principal, nil
	}
	if sessionToken == "" || r.temporary == nil {
		return "", nil, unrecognized
	}
	c, err := r.claims(s, sessionToken)
	if err != nil {
		return "", nil, err
	}
	if subtle.ConstantTimeCompare([]byte(c.AccessKeyID), []byte(accessKeyID)) != 1 {
		return "", nil, unrecognized
	}
	p, err := r.bind(s, c)
	if err != nil {
		return "", nil, err
	}
	return c.Secret, p, nil
}

// bind returns the principal of temporary credentials under a snapshot. The error is an
// *auth.Error.
func (r *Registry) bind(s *snapshot, c *openedClaims) (*Principal, error) {
	if !r.now().Before(c.Expires) {
		return nil, expired
	}
	if p := c.principal.Load(); p != nil && p.generation == s.generation {
		return p, nil
	}
	p, err := r.temporaryPrincipal(s, &c.Claims)
	if err != nil {
		return nil, unrecognized
	}
	c.principal.Store(p)
	return p, nil
}

// Current returns a principal as it is now. The error is an *auth.Error: its key is disabled or
// deleted, its user, role or camera is gone, or it has expired. Connections that last call it after
// each Changed, and at Expires.
func (r *Registry) Current(p *Principal) (*Principal, error) {
	s := r.snapshot.Load()
	if p.claims != nil {
		if !r.now().Before(p.Expires) {
			return nil, expired
		}
		if p.generation == s.generation {
			return p, nil
		}
		next, err := r.temporaryPrincipal(s, p.claims)
		if err != nil {
			return nil, unrecognized
		}
		return next, nil
	}
	if p.generation == s.generation {
		return p, nil
	}
	next := s.holderOf(p)
	if next == nil || next.UserID != p.UserID {
		return nil, unrecognized
	}
	return next, nil
}

// holderOf returns the present principal of p's key or, if p has no key, of its name; nil for
// nobody.
func (s *snapshot) holderOf(p *Principal) *Principal {
	if p.AccessKeyID != "" {
		if h := s.keys[p.AccessKeyID]; h != nil {
			return h.principal
		}
		return nil
	}
	if p.root {
		return s.root
	}
	if u := s.users[p.Name]; u != nil {
		return u.principal
	}
	return nil
}

// Decide answers whether a principal may do something now. It adds the principal's own condition
// keys to c, unless that is nil. Root may do everything; a principal that is no longer valid,
// nothing.
func (r *Registry) Decide(
	p *Principal, action, resource string, c policy.Context,
) policy.Decision {
	p, err := r.Current(p)
	if err != nil {
		return policy.Decision{}
	}
	if p.root {
		return policy.Decision{Allowed: true}
	}
	if c == nil {
		c = p.context // which nobody writes to
	} else {
		maps.Copy(c, p.context)
	}
	return policy.Decide(policy.Request{Action: action, Resource: resource, Context: c},
		p.Policies, p.Bounds...)
}

// isFull reports whether the store or the key file has no space.
func isFull(err error) bool {
	return errors.Is(err, store.ErrFull) || errors.Is(err, syscall.ENOSPC)
}
