package access

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/policy"
	"weir/internal/store"
)

// PolicyInfo is a policy and its attachments.
type PolicyInfo struct {
	Name, ARN        string
	Description      string
	Created, Updated time.Time // zero for one that comes with Weir
	Document         []byte    // its JSON text; the stored bytes, if they cannot be parsed
	Fixed            bool      // it comes with Weir
	Fault            string    // why it denies everything to its holders, "" for most
	Attached         []Attachment
	Revision         int64 // 0: it comes with Weir
}

// Attachment is a holder of a policy.
type Attachment struct {
	Kind Holder
	Name string
}

// PutPolicy writes a policy from its text and returns it. revision is the one that was read,
// store.NewDocument for a new one, or store.AnyRevision. A *policy.Error, ErrInvalid, ErrExists,
// ErrVersion, ErrLimit; ErrFixed for one that comes with Weir.
func (r *Registry) PutPolicy(
	ctx context.Context, name, description string, text []byte, revision int64,
) (PolicyInfo, error) {
	document, err := policy.Parse(text)
	if err == nil {
		err = errors.Join(checkName("policy", name, names, api.MaxPolicyName),
			checkDescription(description))
	}
	if err != nil {
		return PolicyInfo{}, err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	s := r.snapshot.Load()
	have, ok := s.policies[name]
	now := r.now().UnixMilli()
	about := policyDocument{Created: now, Updated: now, Description: description,
		Policy: json.RawMessage(document.Text())}
	switch {
	case ok && have.revision == 0:
		return PolicyInfo{}, fmt.Errorf("policy %q: %w: it comes with Weir", name, ErrFixed)
	case !ok && len(s.policies) >= api.MaxPolicies:
		return PolicyInfo{}, fmt.Errorf("%d policies: %w", len(s.policies), ErrLimit)
	case ok && have.about.Created > 0:
		about.Created = have.about.Created
	}
	if err := r.put(ctx, kindPolicy, name, &about, revision); err != nil {
		return PolicyInfo{}, fmt.Errorf("policy %q: %w", name, err)
	}
	return r.Policy(name)
}

// Policy returns a policy. ErrNotFound.
func (r *Registry) Policy(name string) (PolicyInfo, error) {
	s := r.snapshot.Load()
	entry, ok := s.policies[name]
	if !ok {
		return PolicyInfo{}, fmt.Errorf("policy %q: %w", shorten(name), ErrNotFound)
	}
	p := r.policyInfo(s, entry, name)
	p.Attached = s.attached()[name]
	return p, nil
}

func (r *Registry) policyInfo(s *snapshot, entry policyEntry, name string) PolicyInfo {
	p := PolicyInfo{Name: name, ARN: r.arns.policy(name), Revision: entry.revision}
	if entry.about == nil {
		p.Fixed, p.Document = true, entry.named.Document.Text()
		return p
	}
	p.Description = entry.about.Description
	p.Created, p.Updated = fromMillis(entry.about.Created), fromMillis(entry.about.Updated)
	if entry.named.Document != nil {
		p.Document = entry.named.Document.Text()
	} else if d := s.document(documentKey{kindPolicy, name}); d != nil {
		p.Document, p.Fault = entry.about.Policy, d.err.Error()
	}
	return p
}

// Policies lists the policies by name.
func (r *Registry) Policies() (list []PolicyInfo) {
	s := r.snapshot.Load()
	attached := s.attached()
	for name, entry := range s.policies {
		p := r.policyInfo(s, entry, name)
		p.Attached = attached[name]
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b PolicyInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// attached returns the holders of each policy, by kind and name.
func (s *snapshot) attached() map[string][]Attachment {
	all := make(map[string][]Attachment)
	add := func(kind Holder, name string, policies []string) {
		for _, p := range policies {
			all[p] = append(all[p], Attachment{kind, name})
		}
	}
	for name, u := range s.users {
		add(HolderUser, name, u.policies)
	}
	for name, role := range s.roles {
		add(HolderRole, name, role.about.Policies)
	}
	for name, c := range s.cameras {
		add(HolderCamera, name, c.about.Policies)
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b Attachment) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
		})
	}
	return all
}

// DeletePolicy deletes a policy that is not attached. ErrNotFound, ErrVersion; ErrInUse when it is
// attached; ErrFixed for one that comes with Weir.
func (r *Registry) DeletePolicy(ctx context.Context, name string, revision int64) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	p, err := r.Policy(name)
	switch {
	case err != nil:
		return err
	case p.Fixed:
		return fmt.Errorf("policy %q: %w: it comes with Weir", name, ErrFixed)
	case len(p.Attached) > 0:
		return fmt.Errorf("policy %q %w: %s %q has it", name, ErrInUse, p.Attached[0].Kind,
			p.Attached[0].Name)
	}
	if revision == store.AnyRevision {
		revision = p.Revision
	}
	return r.DeleteDocument(ctx, kindPolicy, name, revision)
}
