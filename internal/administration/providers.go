package administration

import (
	"context"
	"encoding/json"

	"weir/internal/api"
	"weir/internal/oidc"
)

// PutOpenIDConnectProvider makes or replaces a provider.
func (s *Service) PutOpenIDConnectProvider(ctx context.Context, _ *Call,
	in *api.PutOpenIDConnectProviderInput) (*api.PutOpenIDConnectProviderOutput, error) {
	revision, err := ifVersion(in.CurrentVersion)
	if err != nil {
		return nil, err
	}
	p := oidc.Provider{Issuer: in.Url, ClientIDs: in.ClientIDList, KeysURL: in.KeysURL}
	if in.Keys != "" {
		p.Keys = json.RawMessage(in.Keys)
	}
	p, err = oidc.Put(ctx, s.access, p, revision)
	if err != nil {
		return nil, accessError(err)
	}
	return &api.PutOpenIDConnectProviderOutput{ProviderInfo: s.providerInfo(p)}, nil
}

func (s *Service) providerInfo(p oidc.Provider) api.ProviderInfo {
	return api.ProviderInfo{Url: p.Issuer, OpenIDConnectProviderArn: s.access.ProviderARN(p.Name),
		ClientIDList: orEmpty(p.ClientIDs), KeysURL: api.NullIfEmpty(p.KeysURL),
		CreationTime: timestampOf(p.Created), Version: formatVersion(p.Revision)}
}

// ListOpenIDConnectProviders lists the providers by name, without their keys.
func (s *Service) ListOpenIDConnectProviders(_ context.Context, _ *Call,
	in *api.ListOpenIDConnectProvidersInput) (*api.ListOpenIDConnectProvidersOutput, error) {
	list, next, err := page(oidc.List(s.access), &in.PageRef,
		func(p oidc.Provider) string { return p.Name })
	out := &api.ListOpenIDConnectProvidersOutput{ProviderInfoList: []api.ProviderInfo{},
		NextToken: next}
	for _, p := range list {
		out.ProviderInfoList = append(out.ProviderInfoList, s.providerInfo(p))
	}
	return out, err
}

// DeleteOpenIDConnectProvider deletes a provider. Credentials that its tokens were exchanged for
// stay valid until they expire.
func (s *Service) DeleteOpenIDConnectProvider(ctx context.Context, _ *Call,
	in *api.DeleteOpenIDConnectProviderInput) (*api.Done, error) {
	name := oidc.Name(in.Url)
	revision, err := ifVersion(in.CurrentVersion)
	if err != nil {
		return nil, err
	}
	return &api.Done{}, accessError(oidc.Delete(ctx, s.access, name, revision))
}
