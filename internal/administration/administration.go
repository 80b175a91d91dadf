// Package administration performs the operations of the administration API on keys, policies,
// roles, cameras and sessions. Only root can gain rights with them. A call that changes what its
// own signer may do is refused, whatever the policies say, and only a signer that may attach a
// policy can give it to somebody.
package administration

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/cameras"
	"weir/internal/policy"
	"weir/internal/store"
)

// Service performs the operations. Whether a call is allowed was decided before, from the table of
// the API. An operation that gives somebody policies also asks for that right, before it does
// anything. Errors are *api.Error, or internal faults.
type Service struct {
	access  *access.Registry
	cameras *cameras.Service
	// held while the keys of a user are counted and changed
	keys sync.Mutex
}

// New makes the service.
func New(who *access.Registry, of *cameras.Service) *Service {
	return &Service{access: who, cameras: of}
}

// Call is an allowed call: who makes it, and what it is about.
type Call struct {
	Principal *access.Principal
	Action    string         // of the operation, such as weir:CreateKey
	Stream    store.StreamID // the stream that the call is about; "": none, or all
	User      string         // whose key the call is about; "": root's, or no key
	// Permit decides whether the principal may also perform another action on a resource. Its error
	// is the answer to a refused call.
	Permit func(action, resource string) error
}

// actionAttach is the right that a call needs to give somebody a policy.
const actionAttach = "weir:AttachPolicy"

// permitGrant refuses a call that gives a holder policies unless its signer may attach them, to the
// holder and each of the policies, and is not the holder: nobody but root can gain rights by a call
// of his own.
func (s *Service) permitGrant(call *Call, of access.Holder, name string, policies []string) error {
	if len(policies) == 0 {
		return nil
	}
	if err := call.Permit(actionAttach, s.access.HolderARN(of, name)); err != nil {
		return err
	}
	for _, p := range policies {
		if err := call.Permit(actionAttach, s.access.PolicyARN(p)); err != nil {
			return err
		}
	}
	return s.notSelf(call, of, name)
}

// notSelf refuses a call about the holder that signed it.
func (s *Service) notSelf(call *Call, of access.Holder, name string) error {
	p := call.Principal
	self := map[access.Kind]access.Holder{access.Key: access.HolderUser,
		access.Session: access.HolderUser, access.Role: access.HolderRole,
		access.Camera: access.HolderCamera}[p.Kind]
	if p.IsRoot() || self != of || p.Name != name {
		return nil
	}
	return api.Errorf(api.AccessDeniedException,
		"User: %s is not authorized to perform: %s on itself: only somebody else changes what it "+
			"may do", p.ARN, call.Action)
}

// holderOf returns the holder that an input names.
func holderOf(ref *api.HolderRef) (access.Holder, string) {
	switch {
	case ref.RoleName != "":
		return access.HolderRole, ref.RoleName
	case ref.ThingName != "":
		return access.HolderCamera, ref.ThingName
	}
	return access.HolderUser, ref.UserName
}

// refOf is the inverse of holderOf.
func refOf(a access.Attachment) api.HolderRef {
	switch a.Kind {
	case access.HolderRole:
		return api.HolderRef{RoleName: a.Name}
	case access.HolderCamera:
		return api.HolderRef{ThingName: a.Name}
	}
	return api.HolderRef{UserName: a.Name}
}

// accessError turns the errors of package access into those of the API. Any other error stays an
// internal fault.
func accessError(err error) error {
	var document *policy.Error
	codes := []struct {
		is   error
		code api.ErrorCode
	}{
		{access.ErrNotFound, api.ResourceNotFoundException},
		{access.ErrExists, api.ResourceInUseException},
		{access.ErrInUse, api.ResourceInUseException},
		{access.ErrLimit, api.LimitExceededException},
		{access.ErrInvalid, api.InvalidArgumentException},
		{access.ErrFixed, api.InvalidArgumentException},
		{access.ErrNoSeal, api.ServiceUnavailable},
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFull):
		return err
	case errors.Is(err, access.ErrVersion):
		return api.NewError(api.VersionMismatchException,
			"The version is not the latest: somebody else made a change.")
	case errors.As(err, &document):
		return api.Errorf(api.InvalidArgumentException, "The policy is refused: %v.", document)
	}
	for _, c := range codes {
		if errors.Is(err, c.is) {
			return api.Errorf(c.code, "%v.", err)
		}
	}
	return err
}

// ifVersion returns the revision that a change is for. Without a version it is for any.
func ifVersion(version string) (int64, error) {
	if version == "" {
		return store.AnyRevision, nil
	}
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || n <= 0 {
		return 0, api.NewError(api.VersionMismatchException, "There is no such version.")
	}
	return n, nil
}

// page returns a page of a list that is sorted by name.
func page[T any](list []T, ref *api.PageRef, name func(T) string) ([]T, *string, error) {
	after, err := api.DecodeNextToken(ref.NextToken)
	if err != nil {
		return nil, nil, err
	}
	if after != "" {
		i, found := slices.BinarySearchFunc(list, after, func(item T, after string) int {
			return cmp.Compare(name(item), after)
		})
		if found {
			i++
		}
		list = list[i:]
	}
	if limit := ref.Limit(); len(list) > limit {
		next := api.EncodeNextToken(name(list[limit-1]))
		return list[:limit], &next, nil
	}
	return list, nil, nil
}

// orEmpty replaces a nil list in an answer, because clients iterate over it.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func tagsOrEmpty(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

// timestampOf returns a timestamp, nil for the zero time.
func timestampOf(t time.Time) *api.Timestamp {
	if t.IsZero() {
		return nil
	}
	ts := api.Timestamp(t.UnixMilli())
	return &ts
}

func formatVersion(revision int64) string { return strconv.FormatInt(revision, 10) }
