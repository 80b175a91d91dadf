package playback

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"

	"weir/internal/api"
	"weir/internal/store"
)

// Opener is who opens a session.
type Opener struct {
	Principal string // ARN
	Session   string // ID of the session that was opened, in hexadecimal digits; set by OpenHLS
}

// openerKey is the key of By in a context, clientKey that of From.
type openerKey struct{}
type clientKey struct{}

// By returns a context for OpenHLS and OpenDASH. They record o as the opener of the session, and
// set o.Session.
func By(ctx context.Context, o *Opener) context.Context {
	return context.WithValue(ctx, openerKey{}, o)
}

// From returns a context for a request of a session that comes from an address. An invalid address,
// as of a Unix socket, counts as unknown.
func From(ctx context.Context, address netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, address)
}

// openedBy records the opener of a session.
func openedBy(ctx context.Context, s *store.Session) {
	if o, ok := ctx.Value(openerKey{}).(*Opener); ok {
		s.Principal, o.Session = o.Principal, hex.EncodeToString([]byte(s.ID))
	}
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
