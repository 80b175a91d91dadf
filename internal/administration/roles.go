package administration

import (
	"cmp"
	"context"
	"time"

	"weir/internal/access"
	"weir/internal/api"
)

// CreateRole makes a role with the given policies.
func (s *Service) CreateRole(ctx context.Context, call *Call,
	in *api.CreateRoleInput) (*api.RoleOutput, error) {
	if err := s.permitGrant(call, access.HolderRole, in.RoleName, in.Policies); err != nil {
		return nil, err
	}
	role, err := s.access.CreateRole(ctx, access.RoleInput{Name: in.RoleName,
		Description: in.Description, Trust: []byte(in.TrustPolicy), Tags: in.Tags,
		MaxSession: time.Duration(in.MaxSessionDuration) * time.Second, Policies: in.Policies})
	if err != nil {
		return nil, accessError(err)
	}
	return roleOutput(role), nil
}

// UpdateRole changes a role. Whatever the input leaves out stays.
func (s *Service) UpdateRole(ctx context.Context, call *Call,
	in *api.UpdateRoleInput) (*api.RoleOutput, error) {
	if err := s.notSelf(call, access.HolderRole, in.RoleName); err != nil {
		return nil, err
	}
	have, err := s.access.Role(in.RoleName)
	if err != nil {
		return nil, accessError(err)
	}
	revision := have.Revision
	if in.CurrentVersion != "" {
		if revision, err = ifVersion(in.CurrentVersion); err != nil {
			return nil, err
		}
	}
	next := access.RoleInput{Name: in.RoleName,
		Description: cmp.Or(in.Description, have.Description), Trust: []byte(in.TrustPolicy),
		MaxSession: cmp.Or(time.Duration(in.MaxSessionDuration)*time.Second, have.MaxSession),
		Tags:       in.Tags}
	if in.TrustPolicy == "" {
		next.Trust = have.Trust.Text()
	}
	if in.Tags == nil {
		next.Tags = have.Tags
	}
	role, err := s.access.UpdateRole(ctx, next, revision)
	if err != nil {
		return nil, accessError(err)
	}
	return roleOutput(role), nil
}

// GetRole returns a role with its trust policy.
func (s *Service) GetRole(_ context.Context, _ *Call,
	in *api.GetRoleInput) (*api.RoleOutput, error) {
	role, err := s.access.Role(in.RoleName)
	if err != nil {
		return nil, accessError(err)
	}
	return roleOutput(role), nil
}

func roleOutput(r access.RoleInfo) *api.RoleOutput {
	info := roleInfo(r)
	trust := string(r.Trust.Text())
	info.TrustPolicy = &trust
	return &api.RoleOutput{RoleInfo: info}
}

func roleInfo(r access.RoleInfo) api.RoleInfo {
	return api.RoleInfo{RoleName: r.Name, RoleId: r.ID, RoleARN: r.ARN,
		Description:        api.NullIfEmpty(r.Description),
		CreationTime:       api.Timestamp(r.Created.UnixMilli()),
		MaxSessionDuration: int(r.MaxSession / time.Second), Tags: tagsOrEmpty(r.Tags),
		Policies: orEmpty(r.Policies), Version: formatVersion(r.Revision)}
}

// ListRoles lists the roles by name, without their trust policies.
func (s *Service) ListRoles(_ context.Context, _ *Call,
	in *api.ListRolesInput) (*api.ListRolesOutput, error) {
	roles, next, err := page(s.access.Roles(), &in.PageRef,
		func(r access.RoleInfo) string { return r.Name })
	out := &api.ListRolesOutput{RoleInfoList: []api.RoleInfo{}, NextToken: next}
	for _, r := range roles {
		out.RoleInfoList = append(out.RoleInfoList, roleInfo(r))
	}
	return out, err
}

// DeleteRole deletes a role. From then on its sessions may do nothing.
func (s *Service) DeleteRole(ctx context.Context, _ *Call,
	in *api.DeleteRoleInput) (*api.Done, error) {
	revision, err := ifVersion(in.CurrentVersion)
	if err != nil {
		return nil, err
	}
	return &api.Done{}, accessError(s.access.DeleteRole(ctx, in.RoleName, revision))
}
