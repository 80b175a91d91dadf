package administration

import (
	"cmp"
	"context"
	"slices"

	"weir/internal/access"
	"weir/internal/api"
)

// CreateKey makes a user with a first key and the given policies.
func (s *Service) CreateKey(ctx context.Context, call *Call,
	in *api.CreateKeyInput) (*api.KeyPair, error) {
	if err := s.permitGrant(call, access.HolderUser, in.UserName, in.Policies); err != nil {
		return nil, err
	}
	s.keys.Lock()
	defer s.keys.Unlock()
	user, pair, err := s.access.CreateUser(ctx, in.UserName, in.Tags, in.Policies)
	if err != nil {
		return nil, accessError(err)
	}
	return keyPair(user.Name, pair), nil
}

func keyPair(user string, pair access.KeyPair) *api.KeyPair {
	return &api.KeyPair{UserName: user, AccessKeyId: pair.AccessKeyID,
		SecretAccessKey: pair.SecretAccessKey}
}

// namedKeys returns the keys that an input names, by an ID or by their user. An ID takes precedence
// over a name.
func (s *Service) namedKeys(call *Call, ref api.KeyRef) ([]access.KeyInfo, error) {
	key, err := s.access.Key(ref.Key)
	if err == nil && key.User == call.User {
		return []access.KeyInfo{key}, nil
	}
	if err == nil || ref.Key != call.User {
		return nil, api.NewError(api.ResourceNotFoundException, "The key was deleted meanwhile.")
	}
	if _, err := s.access.User(call.User); err != nil {
		return nil, accessError(err)
	}
	return s.access.Keys(call.User), nil
}

// changeKeys calls do for each key that an input names.
func (s *Service) changeKeys(call *Call, ref api.KeyRef,
	change func(id string) error) (*api.Done, error) {
	keys, err := s.namedKeys(call, ref)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if err := change(key.AccessKeyID); err != nil {
			return nil, accessError(err)
		}
	}
	return &api.Done{}, nil
}

// DisableKey makes keys useless until EnableKey.
func (s *Service) DisableKey(ctx context.Context, call *Call,
	in *api.DisableKeyInput) (*api.Done, error) {
	return s.changeKeys(call, in.KeyRef, func(id string) error {
		return s.access.DisableKey(ctx, id)
	})
}

// EnableKey undoes DisableKey.
func (s *Service) EnableKey(ctx context.Context, call *Call,
	in *api.EnableKeyInput) (*api.Done, error) {
	return s.changeKeys(call, in.KeyRef, func(id string) error {
		return s.access.EnableKey(ctx, id)
	})
}

// DeleteKey deletes keys, and with the last key the user: a user is only a name for its keys, and
// one without keys would only block the name.
func (s *Service) DeleteKey(ctx context.Context, call *Call,
	in *api.DeleteKeyInput) (*api.Done, error) {
	s.keys.Lock()
	defer s.keys.Unlock()
	if _, err := s.namedKeys(call, in.KeyRef); err != nil {
		return nil, err
	}
	key, err := s.access.Key(in.Key)
	if err == nil && (key.Fixed || key.Fault != "" || len(s.access.Keys(call.User)) > 1) {
		return &api.Done{}, accessError(s.access.DeleteKey(ctx, key.AccessKeyID))
	}
	return &api.Done{}, accessError(s.access.DeleteUser(ctx, call.User))
}

// RotateKey makes another key for a user that has one. A session may not do so for itself: the new
// key would have neither its session policy nor its end.
func (s *Service) RotateKey(ctx context.Context, call *Call,
	in *api.RotateKeyInput) (*api.KeyPair, error) {
	s.keys.Lock()
	defer s.keys.Unlock()
	_, err := s.namedKeys(call, in.KeyRef)
	if err == nil && call.Principal.Kind != access.Key {
		err = s.notSelf(call, access.HolderUser, call.User)
	}
	if err != nil {
		return nil, err
	}
	if call.User == "" {
		return nil, api.NewError(api.InvalidArgumentException,
			"The key of root stands in the credentials file; weir keys reset-root makes another.")
	}
	pair, err := s.access.CreateKey(ctx, call.User)
	if err != nil {
		return nil, accessError(err)
	}
	return keyPair(call.User, pair), nil
}

// TagUser adds tags to a user, but not to the signer's own: tags may decide what a user may do.
func (s *Service) TagUser(ctx context.Context, call *Call,
	in *api.TagUserInput) (*api.Done, error) {
	return s.tag(ctx, call, in.UserName, in.Tags, nil)
}

// UntagUser removes tags from a user.
func (s *Service) UntagUser(ctx context.Context, call *Call,
	in *api.UntagUserInput) (*api.Done, error) {
	return s.tag(ctx, call, in.UserName, nil, in.TagKeys)
}

func (s *Service) tag(ctx context.Context, call *Call, user string, set map[string]string,
	remove []string) (*api.Done, error) {
	if err := s.notSelf(call, access.HolderUser, user); err != nil {
		return nil, err
	}
	return &api.Done{}, accessError(s.access.Tag(ctx, access.HolderUser, user, set, remove))
}

// ListKeys lists the keys of everybody, by user.
func (s *Service) ListKeys(_ context.Context, _ *Call,
	in *api.ListKeysInput) (*api.ListKeysOutput, error) {
	keys := s.access.Keys("")
	slices.SortFunc(keys, func(a, b access.KeyInfo) int {
		return cmp.Compare(keyPlace(a), keyPlace(b))
	})
	keys, next, err := page(keys, &in.PageRef, keyPlace)
	return &api.ListKeysOutput{KeyInfoList: keyInfos(keys), NextToken: next}, err
}

// keyPlace returns the name by which keys are ordered: by their users.
func keyPlace(k access.KeyInfo) string { return k.User + "/" + k.AccessKeyID }

func keyInfos(keys []access.KeyInfo) []api.KeyInfo {
	list := []api.KeyInfo{}
	for _, k := range keys {
		info := api.KeyInfo{UserName: api.NullIfEmpty(k.User), AccessKeyId: k.AccessKeyID,
			Status: api.KeyActive, CreationTime: timestampOf(k.Created),
			Fault: api.NullIfEmpty(k.Fault)}
		if k.Disabled {
			info.Status = api.KeyInactive
		}
		list = append(list, info)
	}
	return list
}

// DescribeKey describes a user and its keys, without their secrets.
func (s *Service) DescribeKey(_ context.Context, call *Call,
	in *api.DescribeKeyInput) (*api.DescribeKeyOutput, error) {
	keys, err := s.namedKeys(call, in.KeyRef)
	if err != nil {
		return nil, err
	}
	name := call.User
	out := &api.DescribeKeyOutput{KeyInfoList: keyInfos(keys), UserInfo: api.UserInfo{
		UserName: api.NullIfEmpty(name), UserARN: s.access.HolderARN(access.HolderUser, name),
		Tags: map[string]string{}, Policies: []string{}}}
	if u, err := s.access.User(name); err == nil { // root is not a user, and one may be gone
		out.UserInfo.UserId, out.UserInfo.CreationTime = &u.ID, timestampOf(u.Created)
		out.UserInfo.Tags, out.UserInfo.Policies = tagsOrEmpty(u.Tags), orEmpty(u.Policies)
	}
	return out, nil
}
