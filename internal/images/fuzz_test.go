package images

import (
	"testing"

	"weir/internal/api"
)

// A token of GetImages is valid for the request that it was made for. Anything else is an error.
func FuzzParsePageToken(f *testing.F) {
	token := pageToken{1_790_000_000_000, 1_790_000_300_000, 200}
	f.Add(token.encode(25))
	f.Add("aW1hZ2VzAQ==")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := token.parse(text)
		if err != nil {
			wantError(t, err, api.InvalidArgumentException, "NextToken")
			return
		}
		if first < 0 || first > 1500 {
			t.Errorf("image %d of at most 1,500", first)
		}
		if again, err := token.parse(token.encode(first)); again != first || err != nil {
			t.Errorf("%d comes back as %d, %v", first, again, err)
		}
	})
}
