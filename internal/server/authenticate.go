package server

import (
	"errors"
	"io"
	"net/http"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/connections"
)

// authenticate checks what can be checked by the request's head, then reads the body of a call and
// checks the signature. PutMedia's signature does not cover its body.
func (s *Server) authenticate(w *recorder, req *request) error {
	verifier, most := s.verifier, int64(api.MaxBodyBytes)
	if req.sts {
		verifier, most = s.stsVerifier, api.MaxFormBytes
	}
	req.unread = req.ContentLength > most
	head, err := verifier.VerifyHead(req.Request)
	var refused *auth.Error
	// A call of STS without a signature may have other proof in its form.
	unsigned := req.sts && errors.As(err, &refused) &&
		refused.Code == auth.MissingAuthenticationToken
	if err != nil && !unsigned {
		return err
	}
	if req.operation != opPutMedia {
		if req.body, err = readBody(w, req, most); err != nil {
			return err
		}
	}
	if unsigned {
		return nil
	}
	identity, err := head.Verify(req.body)
	if err != nil {
		return err
	}
	req.principal = identity.Holder
	return nil
}

// readBody reads the body of a call. The error is an *api.Error.
func readBody(w *recorder, req *request, most int64) ([]byte, error) {
	tooLarge := api.Errorf(api.RequestEntityTooLargeException,
		"The request body is longer than %d bytes.", most)
	if req.unread {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, most))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, tooLarge
	case errors.Is(err, connections.ErrNoRoom):
		req.unread = true
		return nil, api.NewError(api.ServiceUnavailable,
			"Too many requests are being received that are not verified yet.")
	case err != nil:
		return nil, api.Errorf(api.SerializationException,
			"The request body could not be read: %v.", err)
	}
	return body, nil
}
