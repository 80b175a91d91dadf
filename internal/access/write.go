package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"unicode/utf8"

	"weir/internal/api"
	"weir/internal/store"
)

// Holder is a kind of thing that has policies and tags.
type Holder string

// Kinds of holders.
const (
	HolderUser   Holder = kindUser
	HolderRole   Holder = kindRole
	HolderCamera Holder = kindCamera
)

// grants are what changeGrants changes.
func (d *userDocument) grants() (*[]string, *map[string]string)   { return &d.Policies, &d.Tags }
func (d *roleDocument) grants() (*[]string, *map[string]string)   { return &d.Policies, &d.Tags }
func (d *cameraDocument) grants() (*[]string, *map[string]string) { return &d.Policies, &d.Tags }

// names matches names of users, roles and policies (IAM API reference, "CreateUser", UserName):
// ASCII that needs no escaping in an ARN.
var names = regexp.MustCompile(`\A[A-Za-z0-9_+=,.@-]+\z`)

// things matches names of cameras: a thing's name (AWS IoT API reference, "CreateThing", thingName)
// that can also be the name of a role's session, which a camera is.
var things = regexp.MustCompile(`\A[A-Za-z0-9_-]+\z`)

func checkName(kind, name string, pattern *regexp.Regexp, most int) error {
	switch {
	case !pattern.MatchString(name):
		return fmt.Errorf("%s %q: %w: a name has letters, digits and -_+=,.@ only", kind,
			shorten(name), ErrInvalid)
	case len(name) > most:
		return fmt.Errorf("%s %q: %w: the name has more than %d characters", kind, shorten(name),
			ErrInvalid, most)
	}
	return nil
}

// shorten limits what an error repeats.
func shorten(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

func checkTags(tags map[string]string) error {
	if len(tags) > api.MaxPrincipalTags {
		return fmt.Errorf("%d tags: %w: %d at most", len(tags), ErrLimit, api.MaxPrincipalTags)
	}
	for key, value := range tags {
		if n := utf8.RuneCountInString(key); n < 1 || n > api.MaxTagKey ||
			utf8.RuneCountInString(value) > api.MaxTagValue {
			return fmt.Errorf("tag %q: %w: a key has 1 to %d characters, a value %d at most",
				shorten(key), ErrInvalid, api.MaxTagKey, api.MaxTagValue)
		}
		if !tagText.MatchString(key) || !tagText.MatchString(value) {
			return fmt.Errorf("tag %q: %w: letters, digits, spaces and _.:/=+-@ only",
				shorten(key), ErrInvalid)
		}
	}
	return nil
}

// tagText matches keys and values of tags (IAM API reference, "Tag").
var tagText = regexp.MustCompile(`\A[\p{L}\p{Z}\p{N}_.:/=+\-@]*\z`)

func checkDescription(text string) error {
	if utf8.RuneCountInString(text) > api.MaxDescription || !utf8.ValidString(text) {
		return fmt.Errorf("description: %w: %d characters at most", ErrInvalid, api.MaxDescription)
	}
	return nil
}

// put writes a document. On return the registry has what the store has, even if the store refused
// the write.
func (r *Registry) put(
	ctx context.Context, kind, name string, value any, revision int64,
) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s %q: %w", kind, name, err)
	}
	_, err = r.PutDocument(ctx, kind, name, data, revision)
	return err
}

// maxTries limits how often a change is tried again because another process was faster. Within a
// process writers take turns, and each failed try is another process's success.
const maxTries = 100

// change lets edit change a document, and writes it. With AnyRevision it starts again if another
// writer was faster; otherwise it returns ErrVersion when the document has another revision.
func change[T any](
	ctx context.Context, r *Registry, kind, name string, revision int64, edit func(*T) error,
) error {
	for range maxTries {
		d := r.snapshot.Load().document(documentKey{kind, name})
		if d == nil {
			return fmt.Errorf("%s %q: %w", kind, shorten(name), ErrNotFound)
		}
		if revision != store.AnyRevision && revision != d.Revision {
			return fmt.Errorf("%s %q: %w", kind, name, ErrVersion)
		}
		var value T
		if err := decode(d.Data, &value); err != nil {
			return fmt.Errorf("%s %q: %w: %w", kind, name, ErrInvalid, err)
		}
		if err := edit(&value); err != nil {
			return fmt.Errorf("%s %q: %w", kind, name, err)
		}
		data, err := json.Marshal(&value)
		if err != nil {
			return fmt.Errorf("%s %q: %w", kind, name, err)
		}
		if bytes.Equal(data, d.Data) {
			return nil
		}
		_, err = r.PutDocument(ctx, kind, name, data, d.Revision)
		if revision != store.AnyRevision || !errors.Is(err, ErrVersion) {
			return err
		}
	}
	return fmt.Errorf("%s %q: %w", kind, name, ErrVersion)
}

// changeGrants is change for what is granted to a holder. The caller holds writing.
func (r *Registry) changeGrants(
	ctx context.Context, of Holder, name string,
	edit func(policies *[]string, tags *map[string]string) error,
) error {
	const revision = store.AnyRevision
	switch of {
	case HolderUser:
		if err := r.notFixed(name); err != nil {
			return err
		}
		return change(ctx, r, kindUser, name, revision, func(d *userDocument) error {
			return edit(d.grants())
		})
	case HolderRole:
		return change(ctx, r, kindRole, name, revision, func(d *roleDocument) error {
			return edit(d.grants())
		})
	case HolderCamera:
		return change(ctx, r, kindCamera, name, revision, func(d *cameraDocument) error {
			return edit(d.grants())
		})
	}
	return fmt.Errorf("%q has no policies: %w", shorten(string(of)), ErrInvalid)
}

// notFixed returns ErrFixed for a user that is a profile of the credentials file.
func (r *Registry) notFixed(name string) error {
	if u := r.snapshot.Load().users[name]; u != nil && u.fixed {
		return fmt.Errorf("user %q: %w: it is a profile of the credentials file", name, ErrFixed)
	}
	return nil
}

// Attach attaches a policy to a holder, unless it is attached already. ErrNotFound, ErrFixed;
// ErrLimit beyond api.MaxAttached.
func (r *Registry) Attach(ctx context.Context, of Holder, name, policy string) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.changeGrants(ctx, of, name, func(policies *[]string, _ *map[string]string) error {
		if slices.Contains(*policies, policy) {
			return nil
		}
		*policies = append(*policies, policy)
		return r.checkPolicies(*policies)
	})
}

// checkPolicies refuses policies that do not exist, or too many. The caller holds writing.
func (r *Registry) checkPolicies(policies []string) error {
	if len(policies) > api.MaxAttached {
		return fmt.Errorf("%d policies: %w: %d at most", len(policies), ErrLimit, api.MaxAttached)
	}
	have := r.snapshot.Load().policies
	for i, name := range policies {
		if _, ok := have[name]; !ok {
			return fmt.Errorf("policy %q: %w", shorten(name), ErrNotFound)
		}
		if slices.Contains(policies[:i], name) {
			return fmt.Errorf("policy %q: %w: it is there twice", name, ErrInvalid)
		}
	}
	return nil
}

// Detach detaches a policy from a holder. ErrNotFound when it is not attached; ErrFixed.
func (r *Registry) Detach(ctx context.Context, of Holder, name, policy string) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.changeGrants(ctx, of, name, func(policies *[]string, _ *map[string]string) error {
		i := slices.Index(*policies, policy)
		if i < 0 {
			return fmt.Errorf("policy %q is not attached: %w", shorten(policy), ErrNotFound)
		}
		*policies = slices.Delete(*policies, i, i+1)
		return nil
	})
}

// Tag sets tags of a holder and removes others. ErrNotFound, ErrInvalid, ErrLimit, ErrFixed.
func (r *Registry) Tag(
	ctx context.Context, of Holder, name string, set map[string]string, remove []string,
) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.changeGrants(ctx, of, name, func(_ *[]string, tags *map[string]string) error {
		if *tags == nil {
			*tags = map[string]string{}
		}
		for _, key := range remove {
			delete(*tags, key)
		}
		maps.Copy(*tags, set)
		return checkTags(*tags)
	})
}
