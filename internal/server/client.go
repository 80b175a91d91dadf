package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// caller is where a request comes from, for policies and the audit log.
type caller struct {
	address netip.Addr // not valid for a Unix socket
	secure  bool       // it came over TLS
}

// callerOf returns where a request comes from. A trusted proxy is believed: the caller is the last
// address of X-Forwarded-For that is not itself a trusted proxy, and X-Forwarded-Proto says how the
// request came. What a stranger writes into these headers comes before that, and does not count.
func (s *Server) callerOf(r *http.Request) caller {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr)
	c := caller{remote.Addr().Unmap(), r.TLS != nil}
	if !s.trusts(c.address) {
		return c
	}
	// If a proxy adds to what the client wrote, only the last value is the proxy's.
	for i, proto := range r.Header.Values("X-Forwarded-Proto") {
		c.secure = strings.EqualFold(proto, "https") && (c.secure || i == 0)
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusts(c.address); i-- {
		hop := strings.TrimSpace(hops[i])
		address, err := netip.ParseAddr(hop)
		if at, withPort := netip.ParseAddrPort(hop); withPort == nil { // as some proxies have it
			address, err = at.Addr(), nil
		}
		if err != nil {
			break // only the proxy's own address is known
		}
		c.address = address.Unmap()
	}
	return c
}

// trusts reports whether an address is that of a trusted proxy.
func (s *Server) trusts(address netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(address) {
			return true
		}
	}
	return false
}
