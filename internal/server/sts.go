package server

import (
	"context"
	"net/http"
	"strconv"

	"weir/internal/sts"
)

// opSTS is a call of the STS API whose action is unknown; others have the action's name.
const opSTS = "STS"

// stsPath is the path of the STS API, whose action is in the form.
const stsPath = "/"

// temporary answers a call of the STS API.
func (s *Server) temporary(ctx context.Context, req *request) (response, error) {
	form, err := sts.ParseForm(req.body)
	if err != nil {
		return nil, err
	}
	if req.operation, err = form.Action(); err != nil {
		req.operation = opSTS
		return nil, err
	}
	v := &verdict{request: req}
	made := &sts.Call{Principal: req.principal, Form: form,
		Conditions: s.conditions(v), Decided: func(action, resource string, allowed bool) {
			v.action, v.resource, v.allowed = action, resource, allowed
			s.decided(v)
		}, Identified: func(identity string) error {
			req.identity = identity
			return s.quotas.Call(identity)
		}}
	answer, err := s.sts.Do(ctx, made)
	if err != nil {
		return nil, err
	}
	return xmlResponse(answer.Body(req.id)), nil
}

// xmlResponse is the body of an answer of the STS API.
type xmlResponse []byte

func (x xmlResponse) send(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/xml")
	h.Set("Content-Length", strconv.Itoa(len(x)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(x)
	return err
}
