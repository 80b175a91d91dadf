package access

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/auth"
	"weir/internal/policy"
	"weir/internal/store"
)

// snapshot is everything as of one revision of the documents. It never changes. The next snapshot
// reuses what this one has parsed of documents that did not change.
type snapshot struct {
	generation *generation
	revision   int64
	documents  map[documentKey]*document
	keys       map[string]*holder // by access key ID
	users      map[string]*user
	policies   map[string]policyEntry
	roles      map[string]*role
	cameras    map[string]*camera
	root       *Principal // without an access key
	// tokenKeys is another number whenever the keys that seal tokens have changed.
	tokenKeys int64
}

// generation identifies a snapshot by its address. Principals outlive their snapshots, in
// connections and with tokens, and must not keep them in memory.
type generation struct{ _ byte }

type documentKey struct{ kind, name string }

// document is a document and its parsed content: a *userDocument and so on; nil for kinds that
// other packages own.
type document struct {
	store.Document
	value any
	err   error // it cannot be understood
}

// holder is a key and its principal.
type holder struct {
	secret string
	// token is the session token that a key of the credentials file needs, "" for none.
	token     string
	principal *Principal
}

type user struct {
	name      string
	revision  int64
	created   time.Time
	fixed     bool // a profile of the credentials file
	id        string
	policies  []string
	principal *Principal // without an access key
}

type policyEntry struct {
	named    policy.Named
	revision int64 // 0: it comes with Weir
	about    *policyDocument
}

type role struct {
	name     string
	revision int64
	about    *roleDocument
	trust    *policy.Trust
	policies []policy.Named
}

type camera struct {
	name     string
	revision int64
	about    *cameraDocument
	policies []policy.Named
}

// storedKey is a key from its document, with its secret opened.
type storedKey struct {
	keyDocument
	secret string
}

// storedPolicy is a policy from its document, parsed.
type storedPolicy struct {
	policyDocument
	document *policy.Document
}

// storedRole is a role from its document, with its trust policy parsed.
type storedRole struct {
	roleDocument
	trust *policy.Trust
}

// read parses a document.
func (r *Registry) read(d store.Document) *document {
	out := &document{Document: d}
	switch d.Kind {
	case kindUser:
		var u userDocument
		out.err, out.value = decode(d.Data, &u), &u
	case kindKey:
		var k storedKey
		if out.err = decode(d.Data, &k.keyDocument); out.err == nil {
			var secret []byte
			secret, out.err = r.open(kindKey, d.Name, k.Secret)
			k.secret = string(secret)
		}
		out.value = &k
	case kindPolicy:
		var p storedPolicy
		if out.err = decode(d.Data, &p.policyDocument); out.err == nil {
			p.document, out.err = policy.Parse(p.Policy)
		}
		out.value = &p
	case kindRole:
		var role storedRole
		if out.err = decode(d.Data, &role.roleDocument); out.err == nil {
			role.trust, out.err = policy.ParseTrust(role.Trust)
		}
		out.value = &role
	case kindCamera:
		var c cameraDocument
		out.err, out.value = decode(d.Data, &c), &c
	}
	if out.err != nil {
		r.log.Error("a document of access control cannot be understood: what it grants is denied",
			"kind", d.Kind, "name", d.Name, "error", out.err)
	}
	return out
}

// take makes the next snapshot of documents. It reuses what the last one has of those that are the
// same.
func (r *Registry) take(revision int64, list []store.Document, last *snapshot) *snapshot {
	s := &snapshot{
		generation: new(generation), revision: revision,
		documents: make(map[documentKey]*document, len(list)),
		keys:      make(map[string]*holder), users: make(map[string]*user),
		policies: make(map[string]policyEntry), roles: make(map[string]*role),
		cameras: make(map[string]*camera),
	}
	for _, d := range list {
		key := documentKey{d.Kind, d.Name}
		have := last.document(key)
		if have == nil || have.Revision != d.Revision {
			have = r.read(d)
		}
		s.documents[key] = have
		s.revision = max(s.revision, d.Revision)
	}
	for _, named := range policy.Builtin() {
		s.policies[named.Name] = policyEntry{named: named}
	}
	s.each(kindPolicy, func(d *document) {
		p := d.value.(*storedPolicy)
		entry := policyEntry{policy.Named{Name: d.Name, Document: p.document}, d.Revision,
			&p.policyDocument}
		if d.err != nil {
			entry.named.Document = nil // denies everything
		}
		s.policies[d.Name] = entry
	})
	s.tokenKeys = tokenKeysOf(last)
	if !sameKind(KindTokenKey, s, last) {
		s.tokenKeys++
	}
	r.takePrincipals(s)
	return s
}

func (s *snapshot) document(key documentKey) *document {
	if s == nil {
		return nil
	}
	return s.documents[key]
}

func tokenKeysOf(s *snapshot) int64 {
	if s == nil {
		return 0
	}
	return s.tokenKeys
}

// sameKind reports whether two snapshots have the same documents of a kind.
func sameKind(kind string, a, b *snapshot) bool {
	n := 0
	same := true
	a.each(kind, func(d *document) {
		n++
		same = same && b.document(documentKey{kind, d.Name}) == d
	})
	if b != nil {
		b.each(kind, func(*document) { n-- })
	}
	return same && n == 0
}

func (s *snapshot) each(kind string, do func(d *document)) {
	for key, d := range s.documents {
		if key.kind == kind {
			do(d)
		}
	}
}

// takePrincipals adds users, their keys, roles and cameras.
func (r *Registry) takePrincipals(s *snapshot) {
	s.each(kindUser, func(d *document) {
		if about := d.value.(*userDocument); d.err == nil {
			s.users[d.Name] = &user{name: d.Name, revision: d.Revision, id: about.ID,
				created: fromMillis(about.Created), policies: about.Policies,
				principal: r.userPrincipal(s, d.Name, about)}
		}
	})
	s.each(kindKey, func(d *document) {
		k := d.value.(*storedKey)
		u := s.users[k.User]
		if d.err != nil || k.Disabled || u == nil || u.id != k.UserID {
			return
		}
		s.keys[d.Name] = newHolder(k.secret, "", d.Name, u.principal)
	})
	s.each(kindRole, func(d *document) {
		if about := d.value.(*storedRole); d.err == nil {
			s.roles[d.Name] = &role{d.Name, d.Revision, &about.roleDocument, about.trust,
				s.named(about.Policies)}
		}
	})
	s.each(kindCamera, func(d *document) {
		if about := d.value.(*cameraDocument); d.err == nil {
			s.cameras[d.Name] = &camera{d.Name, d.Revision, about, s.named(about.Policies)}
		}
	})
	// Last, so that nothing in the store can take their place; and root last of them.
	root := r.keys.Default()
	for _, k := range r.keys.Keys() {
		if k.Profile != root.Profile {
			p := r.profilePrincipal(s, k.Profile)
			s.users[k.Profile] = &user{name: k.Profile, fixed: true, id: p.UserID,
				policies: []string{administrator}, principal: p}
			s.keys[k.AccessKeyID] = newHolder(k.SecretAccessKey, k.SessionToken, k.AccessKeyID, p)
		}
	}
	s.root = r.rootPrincipal(s)
	s.keys[root.AccessKeyID] = newHolder(root.SecretAccessKey, root.SessionToken,
		root.AccessKeyID, s.root)
}

func newHolder(secret, token, accessKeyID string, of *Principal) *holder {
	p := *of
	p.AccessKeyID = accessKeyID
	return &holder{secret, token, &p}
}

// named returns policies by name. A missing one denies everything, because nobody knows what it
// would have denied.
func (s *snapshot) named(names []string) []policy.Named {
	list := make([]policy.Named, 0, len(names))
	for _, name := range names {
		named := s.policies[name].named
		named.Name = name
		list = append(list, named)
	}
	return list
}

func (r *Registry) rootPrincipal(s *snapshot) *Principal {
	p := &Principal{Kind: Root, ARN: r.arns.root(), UserID: r.account, root: true,
		generation: s.generation}
	p.setContext(r.account, p.ARN)
	return p
}

func (r *Registry) userPrincipal(s *snapshot, name string, about *userDocument) *Principal {
	p := &Principal{Kind: Key, ARN: r.arns.user(name), UserID: about.ID, Name: name,
		Tags: about.Tags, Policies: s.named(about.Policies), generation: s.generation}
	p.setContext(r.account, p.ARN)
	return p
}

// profilePrincipal is the principal of a profile, other than the default one, of the credentials
// file.
func (r *Registry) profilePrincipal(s *snapshot, profile string) *Principal {
	return r.userPrincipal(s, profile, &userDocument{ID: fixedID("AIDA", profile),
		Policies: []string{administrator}})
}

// temporaryPrincipal is the principal of temporary credentials. An error says why they no longer
// work: the user, key, role or camera behind them is gone or disabled.
func (r *Registry) temporaryPrincipal(s *snapshot, c *Claims) (*Principal, error) {
	p := &Principal{Kind: c.Kind, Name: c.Name, AccessKeyID: c.AccessKeyID, Expires: c.Expires,
		Thing: c.Thing, generation: s.generation, claims: c}
	if c.Thing != "" {
		have := s.cameras[c.Thing]
		if have == nil || have.about.ID != c.ThingID || have.about.Disabled ||
			slices.Contains(have.about.Revoked, c.Certificate) {
			return nil, fmt.Errorf("its camera or certificate is gone or disabled: %w", ErrNotFound)
		}
	}
	var arn string // that policies compare with
	switch c.Kind {
	case Session:
		parent := s.keys[c.Parent]
		if parent == nil || parent.principal.Name != c.Name || !parent.principal.root &&
			parent.principal.UserID != c.ID {
			return nil, fmt.Errorf("its key is gone or disabled: %w", ErrNotFound)
		}
		of := parent.principal
		p.ARN, p.UserID, p.Tags, p.Policies, p.root = of.ARN, of.UserID, of.Tags, of.Policies,
			of.root
		arn = p.ARN
	case Role:
		have := s.roles[c.Name]
		if have == nil || have.about.ID != c.ID {
			return nil, fmt.Errorf("its role is gone: %w", ErrNotFound)
		}
		p.ARN, p.UserID = r.arns.session(c.Name, c.SessionName), c.ID+":"+c.SessionName
		p.Tags, p.Policies = merged(have.about.Tags, c.Tags), have.policies
		arn = r.arns.role(c.Name)
	case Camera:
		have := s.cameras[c.Name]
		if have == nil || c.Thing != c.Name {
			return nil, fmt.Errorf("its camera is gone: %w", ErrNotFound)
		}
		p.ARN, p.UserID = r.arns.session(cameraRole, c.Name), fixedID("AROA", cameraRole)+":"+c.Name
		p.Tags, p.Policies = merged(have.about.Tags, c.Tags), have.policies
		arn = r.arns.role(cameraRole)
	default:
		return nil, fmt.Errorf("%s has no temporary credentials: %w", c.Kind, ErrInvalid)
	}
	if bound := append(s.named(c.PolicyNames), c.Policies...); len(bound) > 0 {
		p.Bounds = [][]policy.Named{bound}
	}
	p.setContext(r.account, arn)
	return p, nil
}

// merged returns the tags of both; where both have a key, b's value counts.
func merged(a, b map[string]string) map[string]string {
	if len(b) == 0 {
		return a
	}
	out := make(map[string]string, len(a)+len(b))
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}

var unrecognized = &auth.Error{Code: auth.UnrecognizedClient,
	Message: "The security token included in the request is invalid."}

var expired = &auth.Error{Code: auth.ExpiredToken,
	Message: "The security token included in the request is expired"}
