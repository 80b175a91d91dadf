package server

import (
	"net/netip"

	"weir/internal/api"
)

// penaltyKey is one client that does one thing.
type penaltyKey struct {
	site   netip.Prefix
	path   string // as the route table has it
	stream string // of a PutMedia with a valid signature; strangers could name any number
	acks   bool   // for ERROR acknowledgements, not answers
}

func (s *Server) penaltyOf(req *request, rt *route) penaltyKey {
	key := penaltyKey{site: s.siteOf(req.Request)}
	// all unknown paths count as one, so that a scanner does not push producers out of the table
	if rt != nil {
		key.path = rt.path
	}
	if req.operation == opPutMedia && req.signer() != "" {
		key.stream = shorten(req.Header.Get(api.HeaderStreamName) +
			req.Header.Get(api.HeaderStreamARN))
	}
	return key
}
