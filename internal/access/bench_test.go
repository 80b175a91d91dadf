package access

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/policy"
	"weir/internal/store"
)

// BenchmarkDecide is what a call costs here, with 1,000 users and 1,000 policies: its key is found
// and it is decided.
func BenchmarkDecide(b *testing.B) {
	s := benchSite(b, 1000)
	context := policy.Context{}
	b.ReportAllocs()
	for b.Loop() {
		_, p, err := s.Find("WEIR0000000000000500", "")
		if err != nil {
			b.Fatal(err)
		}
		clear(context)
		context.Set("aws:SourceIp", "192.0.2.1")
		if d := s.Decide(p, "kinesisvideo:PutMedia",
			"arn:aws:kinesisvideo:us-west-2:000000000000:stream/user-0500/1",
			context); !d.Allowed {
			b.Fatalf("%+v", d)
		}
	}
}

// BenchmarkChange is what a change costs with as many: the document is written, and the next
// snapshot is taken.
func BenchmarkChange(b *testing.B) {
	s := benchSite(b, 1000)
	n := 0
	for b.Loop() {
		n++
		text := statement("Allow", "*", fmt.Sprint("arn:aws:kinesisvideo:*:*:stream/", n, "/*"))
		if _, err := s.PutPolicy(b.Context(), "user-0500", "", text,
			store.AnyRevision); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSite(b *testing.B, users int) *site {
	b.Helper()
	dir := b.TempDir()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(dir, "credentials"))
	if err != nil {
		b.Fatal(err)
	}
	s := &site{dir: dir, store: emptyStore(), now: time.Now}
	open := func() {
		s.Registry, err = Open(b.Context(), Options{Store: s.store, Keys: keys,
			KeyFile: filepath.Join(dir, "access.key"), Account: "000000000000"})
		if err != nil {
			b.Fatal(err)
		}
	}
	open()
	fill(b, s, users)
	open()
	return s
}
