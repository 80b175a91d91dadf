package images

import (
	"errors"
	"strings"
	"testing"

	"weir/internal/api"
)

// wantError checks for an *api.Error with that code, whose message has the text.
func wantError(t *testing.T, err error, code api.ErrorCode, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}
