package access

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/policy"
	"weir/internal/store"
)

// RoleInfo is a role.
type RoleInfo struct {
	Name, ID, ARN string
	Description   string
	Created       time.Time
	MaxSession    time.Duration // how long its sessions may last
	Trust         *policy.Trust // who may assume it
	Tags          map[string]string
	Policies      []string
	Revision      int64
}

// RoleInput is what describes a role. Trust is the text of its trust policy; MaxSession 0 is an
// hour, as in AWS (IAM API reference, "CreateRole", MaxSessionDuration).
type RoleInput struct {
	Name, Description string
	Trust             []byte
	MaxSession        time.Duration
	Tags              map[string]string
	Policies          []string // CreateRole only
}

// check returns the document of a role, without what its creation adds.
func (in *RoleInput) check() (*roleDocument, error) {
	trust, err := policy.ParseTrust(in.Trust)
	if err != nil {
		return nil, err
	}
	longest := cmp.Or(in.MaxSession, api.MinRoleSession)
	if longest < api.MinRoleSession || longest > api.MaxRoleSession || longest%time.Second != 0 {
		return nil, fmt.Errorf("role %q: %w: sessions last from %s to %s", shorten(in.Name),
			ErrInvalid, api.MinRoleSession, api.MaxRoleSession)
	}
	if in.Name == cameraRole {
		return nil, fmt.Errorf("role %q: %w: it is the role of cameras", in.Name, ErrFixed)
	}
	err = errors.Join(checkName("role", in.Name, names, api.MaxUserName), checkTags(in.Tags),
		checkDescription(in.Description))
	return &roleDocument{Description: in.Description, MaxSession: int64(longest / time.Second),
		Trust: json.RawMessage(trust.Text()), Tags: in.Tags}, err
}

// CreateRole makes a role. A *policy.Error, ErrInvalid, ErrExists, ErrLimit; ErrNotFound for a
// policy; ErrFixed for the name that is reserved for cameras.
func (r *Registry) CreateRole(ctx context.Context, in RoleInput) (RoleInfo, error) {
	about, err := in.check()
	if err != nil {
		return RoleInfo{}, err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	switch s := r.snapshot.Load(); {
	case s.document(documentKey{kindRole, in.Name}) != nil:
		return RoleInfo{}, fmt.Errorf("role %q: %w", in.Name, ErrExists)
	case len(s.roles) >= api.MaxRoles:
		return RoleInfo{}, fmt.Errorf("%d roles: %w", len(s.roles), ErrLimit)
	}
	if err := r.checkPolicies(in.Policies); err != nil {
		return RoleInfo{}, err
	}
	about.ID, about.Created, about.Policies = newID("AROA"), r.now().UnixMilli(), in.Policies
	if err := r.put(ctx, kindRole, in.Name, about, store.NewDocument); err != nil {
		return RoleInfo{}, fmt.Errorf("role %q: %w", in.Name, err)
	}
	return r.Role(in.Name)
}

// UpdateRole replaces all of a role except its ID and its policies. revision is the one that was
// read, or store.AnyRevision. Errors are those of CreateRole, ErrNotFound and ErrVersion.
func (r *Registry) UpdateRole(ctx context.Context, in RoleInput, revision int64) (RoleInfo, error) {
	about, err := in.check()
	if err != nil {
		return RoleInfo{}, err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	err = change(ctx, r, kindRole, in.Name, revision, func(d *roleDocument) error {
		about.ID, about.Created, about.Policies = d.ID, d.Created, d.Policies
		*d = *about
		return nil
	})
	if err != nil {
		return RoleInfo{}, err
	}
	return r.Role(in.Name)
}

// Role returns a role. ErrNotFound.
func (r *Registry) Role(name string) (RoleInfo, error) {
	have := r.snapshot.Load().roles[name]
	if have == nil {
		return RoleInfo{}, fmt.Errorf("role %q: %w", shorten(name), ErrNotFound)
	}
	return r.roleInfo(have), nil
}

// RoleByARN returns the role of an ARN, arn:aws:iam::ACCOUNT:role/NAME. ErrNotFound.
func (r *Registry) RoleByARN(arn string) (RoleInfo, error) {
	name, ok := strings.CutPrefix(arn, r.arns.role(""))
	if !ok {
		return RoleInfo{}, fmt.Errorf("role %q: %w", shorten(arn), ErrNotFound)
	}
	return r.Role(name)
}

func (r *Registry) roleInfo(have *role) RoleInfo {
	d := have.about
	return RoleInfo{Name: have.name, ID: d.ID, ARN: r.arns.role(have.name),
		Description: d.Description, Created: fromMillis(d.Created),
		MaxSession: time.Duration(d.MaxSession) * time.Second, Trust: have.trust,
		Tags: maps.Clone(d.Tags), Policies: slices.Clone(d.Policies),
		Revision: have.revision}
}

// Roles lists the roles by name.
func (r *Registry) Roles() (list []RoleInfo) {
	for _, have := range r.snapshot.Load().roles {
		list = append(list, r.roleInfo(have))
	}
	slices.SortFunc(list, func(a, b RoleInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// DeleteRole deletes a role; sessions that have assumed it may do nothing from then on.
// ErrNotFound, ErrVersion.
func (r *Registry) DeleteRole(ctx context.Context, name string, revision int64) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := r.DeleteDocument(ctx, kindRole, name, revision); err != nil {
		return fmt.Errorf("role %q: %w", shorten(name), err)
	}
	return nil
}

// Principal returns the principal of an ARN, without a key: root, a user, a camera, or a session of
// a role, for which the role's ARN will do. It is for questions about what a principal could do.
// ErrNotFound.
func (r *Registry) Principal(arn string) (*Principal, error) {
	s := r.snapshot.Load()
	if arn == r.arns.root() {
		return s.root, nil
	}
	if name, ok := strings.CutPrefix(arn, r.arns.user("")); ok && s.users[name] != nil {
		return s.users[name].principal, nil
	}
	claims := &Claims{Issued: r.now(), Expires: r.now().Add(api.MaxRoleSession)}
	if thing, ok := strings.CutPrefix(arn, r.arns.session(cameraRole, "")); ok {
		claims.Kind, claims.Name, claims.Thing = Camera, thing, thing
		if have := s.cameras[thing]; have != nil {
			claims.ThingID = have.about.ID
		}
	} else {
		name, isRole := strings.CutPrefix(arn, r.arns.role(""))
		if !isRole {
			name, _ = strings.CutPrefix(arn, "arn:aws:sts::"+r.account+":assumed-role/")
		}
		claims.Kind, claims.SessionName = Role, "session"
		var session string
		if claims.Name, session, _ = strings.Cut(name, "/"); session != "" {
			claims.SessionName = session
		}
		if have := s.roles[claims.Name]; have != nil {
			claims.ID = have.about.ID
		}
	}
	p, err := r.temporaryPrincipal(s, claims)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", shorten(arn), ErrNotFound)
	}
	return p, nil
}
