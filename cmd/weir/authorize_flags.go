package main

import (
	"net/netip"

	"weir/internal/server"
)

// authorizeFlags are about what policies decide, and what happens when a right is lost.
type authorizeFlags struct {
	TrustedProxies    []netip.Prefix `name:"trusted-proxies" group:"Access" env:"WEIR_TRUSTED_PROXIES" placeholder:"CIDR" help:"Proxies that are believed about the address (X-Forwarded-For) and the scheme (X-Forwarded-Proto) that a call came from, for aws:SourceIp and aws:SecureTransport in policies."`
	CloseLostSessions bool           `name:"close-lost-sessions" group:"Access" env:"WEIR_CLOSE_LOST_SESSIONS" help:"Close sessions when the user, role or camera that opened them may no longer open them. Conditions on the request, such as aws:SourceIp, then count as not met."`
}

func (f *authorizeFlags) configure(o *server.Options) {
	o.TrustedProxies, o.CloseLostSessions = f.TrustedProxies, f.CloseLostSessions
}
