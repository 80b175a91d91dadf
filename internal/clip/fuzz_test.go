package clip

import (
	"bytes"
	"testing"
	"time"

	"weir/internal/store"
)

// A link that decodes encodes to the same bytes.
func FuzzDecodeLink(f *testing.F) {
	r := Request{Selector: store.ProducerTimestamp, Start: base, End: base + 1000, Exact: true}
	stream := &store.Stream{ID: "00112233445566778899aabbccddeeff"}
	link, err := encodeLink(stream, &r, 17, clipKey{1, 2, 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(link)
	f.Add(link[:linkSize-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		l, ok := decodeLink(b)
		if !ok {
			return
		}
		again, err := encodeLink(&store.Stream{ID: l.stream}, &l.Request, l.sequence, l.key)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x comes back as %x, %v", b, again, err)
		}
	})
}

// A query of GetClip is refused, or means the same as what Query writes.
func FuzzParseQuery(f *testing.F) {
	f.Add("Exact=true&KeepGaps=false&LinkExpires=300")
	f.Add("LinkExpires=-1&Exact=%zz")
	f.Fuzz(func(t *testing.T, query string) {
		var r, again Request
		life, err := ParseQuery(query, &r)
		if err != nil {
			return
		}
		if life < 0 || life > 12*time.Hour {
			t.Errorf("a life of %v", life)
		}
		if l, err := ParseQuery(r.Query(life), &again); err != nil || l != life || again != r {
			t.Errorf("%q comes back as %q: %v", query, again.Query(l), err)
		}
	})
}
