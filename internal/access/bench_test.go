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

// BenchmarkDecide measures finding a key and deciding a call, with 1,000 users and 1,000 policies.
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

// BenchmarkChange measures a change with as many: writing the document and taking the next
// snapshot.
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
