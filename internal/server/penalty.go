package server

import (
	"net/netip"

	"weir/internal/api"
)

// penaltyKey is one client doing one thing.
type penaltyKey struct {
	site   netip.Prefix
	path   string // as the route table has it
	stream string // what a PutMedia with a right signature names; strangers could name any number
	acks   bool   // ERROR acknowledgements, not answers
}

func (s *Server) penaltyOf(req *request, rt *route) penaltyKey {
	key := penaltyKey{site: s.siteOf(req.Request)}
	// unknown paths are one place: a scanner does not push producers out of the table
	if rt != nil {
		key.path = rt.path
	}
	if req.operation == opPutMedia && req.signer() != "" {
		key.stream = shorten(req.Header.Get(api.HeaderStreamName) +
			req.Header.Get(api.HeaderStreamARN))
	}
	return key
}
