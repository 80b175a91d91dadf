package local

import (
	"strings"
	"testing"

	"weir/internal/store"
)

func TestRandomText(t *testing.T) {
	a, b := randomText(alphanumerics, 20), randomText(alphanumerics, 20)
	if len(a) != 20 || a == b || strings.Trim(a, alphanumerics) != "" ||
		!store.StreamID(randomText(hexDigits, 32)).Valid() {
		t.Fatalf("%q, %q", a, b)
	}
}
