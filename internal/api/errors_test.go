package api

import (
	"errors"
	"fmt"
	"testing"
)

func TestErrorStatusAndBody(t *testing.T) {
	for _, c := range []struct {
		code   ErrorCode
		status int
		body   string
	}{
		{ResourceNotFoundException, 404, `{"Message":"m"}`},
		{InvalidArgumentException, 400, `{"Message":"m"}`},
		{ClientLimitExceededException, 400, `{"Message":"m"}`},
		{ConnectionLimitExceededException, 400, `{"Message":"m"}`},
		{NotAuthorizedException, 403, `{"Message":"m"}`},
		{AccessDeniedException, 403, `{"Message":"m"}`},
		{StreamEdgeConfigurationNotFoundException, 404, `{"Message":"m"}`},
		{UnknownOperationException, 404, `{"Message":"m"}`},
		{InternalFailure, 500, `{"Message":"m"}`},
		{ServiceUnavailable, 503, `{"Message":"m"}`},
		{SerializationException, 400, `{"Message":"m"}`},
		{MissingAuthenticationTokenException, 403, `{"message":"m"}`},
		{IncompleteSignatureException, 403, `{"message":"m"}`},
		{InvalidSignatureException, 403, `{"message":"m"}`},
		{UnrecognizedClientException, 403, `{"message":"m"}`},
		{"MadeUp", 500, `{"Message":"m"}`},
	} {
		e := NewError(c.code, "m")
		if e.Status() != c.status || string(e.Body()) != c.body {
			t.Errorf("%s: %d %s, want %d %s", c.code, e.Status(), e.Body(), c.status, c.body)
		}
	}
	if got := string(Errorf(InvalidArgumentException, "%s",
		"a \"b\"\n\xff").Body()); got != `{"Message":"a \"b\"\n\ufffd"}` {
		t.Errorf("body %s", got)
	}
}

func TestErrorIs(t *testing.T) {
	err := fmt.Errorf("open: %w", NewError(ResourceNotFoundException, "m"))
	if !errors.Is(err, &Error{Code: ResourceNotFoundException}) ||
		errors.Is(err, &Error{Code: InvalidArgumentException}) ||
		errors.Is(err, &Error{Code: ResourceNotFoundException, Message: "other"}) {
		t.Error("errors.Is does not compare codes")
	}
}
