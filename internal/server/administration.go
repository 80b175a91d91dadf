package server

import (
	"context"
	"log/slog"

	"weir/internal/administration"
	"weir/internal/api"
	"weir/internal/playback"
)

// administration are the routes of package administration.
func (s *Server) administration() []operationRoute {
	const info, debug = slog.LevelInfo, slog.LevelDebug
	a := administration.New(s.access, s.certified)
	sessions := &administration.Sessions{Store: s.store, Tokens: s.tokenKeys, Audit: s.audit,
		Protocol: playback.Protocol, Region: s.region, Account: s.account}
	if s.sts != nil {
		sessions.RotateCredentials = s.sts.Rotate
	}
	return append(s.cameraAdministration(a), []operationRoute{
		{"CreateKey", info, administer(s, a.CreateKey)},
		{"ListKeys", debug, administer(s, a.ListKeys)},
		{"DescribeKey", debug, administer(s, a.DescribeKey)},
		{"DisableKey", info, administer(s, a.DisableKey)},
		{"EnableKey", info, administer(s, a.EnableKey)},
		{"DeleteKey", info, administer(s, a.DeleteKey)},
		{"RotateKey", info, administer(s, a.RotateKey)},
		{"TagUser", info, administer(s, a.TagUser)},
		{"UntagUser", info, administer(s, a.UntagUser)},
		{"PutPolicy", info, administer(s, a.PutPolicy)},
		{"GetPolicy", debug, administer(s, a.GetPolicy)},
		{"ListPolicies", debug, administer(s, a.ListPolicies)},
		{"DeletePolicy", info, administer(s, a.DeletePolicy)},
		{"AttachPolicy", info, administer(s, a.AttachPolicy)},
		{"DetachPolicy", info, administer(s, a.DetachPolicy)},
		{"SimulatePolicy", debug, administer(s, a.SimulatePolicy)},
		{"CreateRole", info, administer(s, a.CreateRole)},
		{"UpdateRole", info, administer(s, a.UpdateRole)},
		{"GetRole", debug, administer(s, a.GetRole)},
		{"ListRoles", debug, administer(s, a.ListRoles)},
		{"DeleteRole", info, administer(s, a.DeleteRole)},
		{"PutOpenIDConnectProvider", info, administer(s, a.PutOpenIDConnectProvider)},
		{"ListOpenIDConnectProviders", debug, administer(s, a.ListOpenIDConnectProviders)},
		{"DeleteOpenIDConnectProvider", info, administer(s, a.DeleteOpenIDConnectProvider)},
		{"ListSessions", debug, administer(s, sessions.ListSessions)},
		{"CloseSessions", info, administer(s, sessions.CloseSessions)},
		{"RotateTokenKey", info, administer(s, sessions.RotateTokenKey)},
		{"ListAuditEvents", debug, administer(s, sessions.ListAuditEvents)},
		{"GetStreamStatus", debug, call(s, s.getStreamStatus)},
		{"ListFragmentTags", debug, call(s, s.listFragmentTags)},
		{"GetServerStatus", debug, call(s, s.getServerStatus)},
		{"GetPermissions", debug, call(s, s.getPermissions)},
		{"CreateSignInCode", info, call(s, s.createSignInCode)},
	}...)
}

// administer makes a handler of an operation of package administration.
func administer[T any, I input[T], O any](s *Server,
	do func(ctx context.Context, c *administration.Call, in I) (O, error)) handler {
	return call(s, func(ctx context.Context, req *request, in I) (O, error) {
		return do(ctx, &administration.Call{Principal: req.principal,
			Action: api.Find(req.operation).Action(), Stream: req.target.ID, User: req.user,
			Permit: func(action, resource string) error {
				return s.permitAction(req, action, resource, nil)
			}}, in)
	})
}
