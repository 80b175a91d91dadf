package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/store"
)

// UserInfo is a user.
type UserInfo struct {
	Name, ID, ARN string
	Created       time.Time // zero for a profile of the credentials file
	Tags          map[string]string
	Policies      []string // attached, in their order
	Fixed         bool     // a profile of the credentials file
	Revision      int64    // of its document; 0: it is fixed
}

// KeyInfo describes a key, without its secret, which is shown only once.
type KeyInfo struct {
	AccessKeyID string
	User        string // "" for root
	Created     time.Time
	Disabled    bool
	Fixed       bool   // of the credentials file
	Fault       string // why it opens nothing although it is not disabled; "" for most
	Revision    int64
}

// KeyPair is a new key.
type KeyPair struct{ AccessKeyID, SecretAccessKey string }

// CreateUser makes a user with a first key, and attaches policies. ErrExists, ErrInvalid, ErrLimit;
// ErrNotFound for a policy; ErrNoSeal.
func (r *Registry) CreateUser(
	ctx context.Context, name string, tags map[string]string, policies []string,
) (UserInfo, KeyPair, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	s := r.snapshot.Load()
	err := errors.Join(checkName("user", name, names, api.MaxUserName), checkTags(tags),
		r.checkPolicies(policies))
	switch {
	case err != nil:
		return UserInfo{}, KeyPair{}, err
	case s.users[name] != nil || s.document(documentKey{kindUser, name}) != nil:
		return UserInfo{}, KeyPair{}, fmt.Errorf("user %q: %w", name, ErrExists)
	case len(s.users) >= api.MaxUsers:
		return UserInfo{}, KeyPair{}, fmt.Errorf("%d users: %w", len(s.users), ErrLimit)
	}
	about := userDocument{ID: newID("AIDA"), Created: r.now().UnixMilli(), Tags: tags,
		Policies: policies}
	// The key first: it is useless until there is a user with that ID, so both appear at once.
	pair, err := r.makeKey(ctx, name, about.ID)
	if err != nil {
		return UserInfo{}, KeyPair{}, err
	}
	if err := r.put(ctx, kindUser, name, &about, store.NewDocument); err != nil {
		err = errors.Join(err, r.undo(ctx, kindKey, pair.AccessKeyID))
		if u := r.snapshot.Load().users[name]; u != nil && u.id == about.ID {
			err = errors.Join(err, r.undo(ctx, kindUser, name)) // it was written after all
		}
		return UserInfo{}, KeyPair{}, err
	}
	u, err := r.User(name)
	return u, pair, err
}

// makeKey makes a key and stores it.
func (r *Registry) makeKey(ctx context.Context, user, id string) (KeyPair, error) {
	sealer, err := r.Sealer()
	if err != nil {
		return KeyPair{}, fmt.Errorf("make key: %w", err)
	}
	key := auth.NewKey()
	err = r.put(ctx, kindKey, key.AccessKeyID, &keyDocument{
		User: user, UserID: id, Created: r.now().UnixMilli(),
		Secret: sealer.Seal(kindKey, key.AccessKeyID, []byte(key.SecretAccessKey)),
	}, store.NewDocument)
	if err != nil {
		return KeyPair{}, fmt.Errorf("make key: %w",
			errors.Join(err, r.undo(ctx, kindKey, key.AccessKeyID)))
	}
	return KeyPair{key.AccessKeyID, key.SecretAccessKey}, nil
}

// undo deletes a document that nobody knows of yet, if it exists.
func (r *Registry) undo(ctx context.Context, kind, name string) error {
	d := r.snapshot.Load().document(documentKey{kind, name})
	if d == nil {
		return nil
	}
	return r.DeleteDocument(context.WithoutCancel(ctx), kind, name, d.Revision)
}

// User returns a user. ErrNotFound.
func (r *Registry) User(name string) (UserInfo, error) {
	u := r.snapshot.Load().users[name]
	if u == nil {
		return UserInfo{}, fmt.Errorf("user %q: %w", shorten(name), ErrNotFound)
	}
	return u.info(), nil
}

func (u *user) info() UserInfo {
	return UserInfo{Name: u.name, ID: u.id, ARN: u.principal.ARN, Created: u.created,
		Tags: maps.Clone(u.principal.Tags), Policies: slices.Clone(u.policies), Fixed: u.fixed,
		Revision: u.revision}
}

// DeleteUser deletes a user and its keys. They are useless from the moment when the user is gone.
// ErrNotFound, ErrFixed.
func (r *Registry) DeleteUser(ctx context.Context, name string) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := r.notFixed(name); err != nil {
		return err
	}
	if err := r.DeleteDocument(ctx, kindUser, name, store.AnyRevision); err != nil {
		return fmt.Errorf("user %q: %w", shorten(name), err)
	}
	for _, k := range r.Keys(name) {
		if k.Fixed {
			continue
		}
		err := r.DeleteDocument(ctx, kindKey, k.AccessKeyID, store.AnyRevision)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("key %s of user %q: %w", k.AccessKeyID, name, err)
		}
	}
	return nil
}

// Keys lists the keys of a user, or all keys for "", oldest first, but those of the credentials
// file before the others.
func (r *Registry) Keys(user string) (list []KeyInfo) {
	s := r.snapshot.Load()
	root := r.keys.Default().Profile
	for _, k := range r.keys.Keys() {
		info := KeyInfo{AccessKeyID: k.AccessKeyID, User: k.Profile, Fixed: true}
		if k.Profile == root {
			info.User = ""
		}
		if user == "" || user == info.User {
			list = append(list, info)
		}
	}
	fixed := len(list)
	s.each(kindKey, func(d *document) {
		if info := s.keyInfo(d); user == "" || info.User == user {
			list = append(list, info)
		}
	})
	slices.SortFunc(list[fixed:], func(a, b KeyInfo) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.AccessKeyID, b.AccessKeyID))
	})
	return list
}

func (s *snapshot) keyInfo(d *document) KeyInfo {
	k := d.value.(*storedKey)
	info := KeyInfo{AccessKeyID: d.Name, User: k.User, Created: fromMillis(k.Created),
		Disabled: k.Disabled, Revision: d.Revision}
	switch u := s.users[k.User]; {
	case d.err != nil:
		info.Fault = d.err.Error()
	case u == nil || u.id != k.UserID:
		info.Fault = "its user is gone"
	}
	return info
}

// Key returns a key. ErrNotFound.
func (r *Registry) Key(accessKeyID string) (KeyInfo, error) {
	for _, k := range r.keys.Keys() {
		if k.AccessKeyID == accessKeyID {
			info := KeyInfo{AccessKeyID: accessKeyID, User: k.Profile, Fixed: true}
			if k.Profile == r.keys.Default().Profile {
				info.User = ""
			}
			return info, nil
		}
	}
	s := r.snapshot.Load()
	d := s.document(documentKey{kindKey, accessKeyID})
	if d == nil {
		return KeyInfo{}, fmt.Errorf("key %q: %w", shorten(accessKeyID), ErrNotFound)
	}
	return s.keyInfo(d), nil
}

// KeyUser returns the user of a key, "" for root. A text that is not the ID of a key is returned as
// it is: it may be a user's name.
func (r *Registry) KeyUser(key string) string {
	if info, err := r.Key(key); err == nil {
		return info.User
	}
	return key
}

// CreateKey makes another key for a user, so that the one in use can be replaced. ErrNotFound,
// ErrFixed; ErrLimit beyond api.MaxKeysPerUser; ErrNoSeal.
func (r *Registry) CreateKey(ctx context.Context, user string) (KeyPair, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := r.notFixed(user); err != nil {
		return KeyPair{}, err
	}
	u, err := r.User(user)
	if err != nil {
		return KeyPair{}, err
	}
	if n := len(r.Keys(user)); n >= api.MaxKeysPerUser {
		return KeyPair{}, fmt.Errorf("user %q has %d keys: %w: delete the one that is not used",
			user, n, ErrLimit)
	}
	return r.makeKey(ctx, user, u.ID)
}

// RotateKey makes another key for the user of a key, which remains until it is disabled or deleted.
// Errors are those of CreateKey.
func (r *Registry) RotateKey(ctx context.Context, accessKeyID string) (KeyPair, error) {
	k, err := r.changeableKey(accessKeyID)
	if err != nil {
		return KeyPair{}, err
	}
	return r.CreateKey(ctx, k.User)
}

// changeableKey is Key without the keys of the credentials file. ErrFixed.
func (r *Registry) changeableKey(accessKeyID string) (KeyInfo, error) {
	k, err := r.Key(accessKeyID)
	if err == nil && k.Fixed {
		err = fmt.Errorf("key %s: %w: it stands in the credentials file", accessKeyID, ErrFixed)
	}
	return k, err
}

// DisableKey makes a key useless, and the sessions that it got; it may already be disabled.
// ErrNotFound, ErrFixed.
func (r *Registry) DisableKey(ctx context.Context, accessKeyID string) error {
	return r.setDisabled(ctx, accessKeyID, true)
}

// EnableKey reverses DisableKey.
func (r *Registry) EnableKey(ctx context.Context, accessKeyID string) error {
	return r.setDisabled(ctx, accessKeyID, false)
}

func (r *Registry) setDisabled(ctx context.Context, accessKeyID string, disabled bool) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if _, err := r.changeableKey(accessKeyID); err != nil {
		return err
	}
	return change(ctx, r, kindKey, accessKeyID, store.AnyRevision, func(k *keyDocument) error {
		k.Disabled = disabled
		return nil
	})
}

// DeleteKey deletes a key. ErrNotFound, ErrFixed.
func (r *Registry) DeleteKey(ctx context.Context, accessKeyID string) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if _, err := r.changeableKey(accessKeyID); err != nil {
		return err
	}
	return r.DeleteDocument(ctx, kindKey, accessKeyID, store.AnyRevision)
}
