package playback

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"weir/internal/api"
	"weir/internal/store"
)

// clientKey is the key of From in a context.
type clientKey struct{}

// From returns a context for a request of a session that comes from an address. An invalid address,
// as of a Unix socket, counts as unknown.
func From(ctx context.Context, address netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, address)
}

// bound refuses a request from another address than that of the session's first request.
func (s *Service) bound(ctx context.Context, row *store.Session) error {
	from, ok := ctx.Value(clientKey{}).(netip.Addr)
	if !ok || !from.IsValid() {
		return nil
	}
	place := clientPlace(from)
	if row.Address == "" {
		var err error
		row.Address, err = s.store.BindSession(ctx, row.ID, place)
		if errors.Is(err, store.ErrNotFound) {
			return api.NewError(api.NotAuthorizedException, messageSessionClosed)
		} else if err != nil {
			return fmt.Errorf("bind session: %w", err)
		}
	}
	if row.Address != place {
		return api.NewError(api.NotAuthorizedException, messageOtherAddress)
	}
	return nil
}

// clientPlace returns what sessions are bound to: an IPv4 address, or the /64 network of an IPv6
// address, within which clients change theirs (RFC 8981).
func clientPlace(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
