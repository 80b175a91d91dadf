package clip

import (
	"testing"

	"weir/internal/media"
	"weir/internal/store"
)

// A long clip that is asked for again is the same without a new listing of its fragments, as long
// as a listing would return the same ones.
func TestLongClipAgain(t *testing.T) {
	f := newFake(t)
	f.fill(t, 1200)
	s := newService(t, f)
	r := Request{Selector: store.ProducerTimestamp, Start: base, End: base + 1200_000}
	at := func(seconds int64) *store.Record {
		at := base + seconds*1000
		return f.record(at, []media.Run{second(at), sound(at)}, videoTrack(), audioTrack())
	}
	keep := func(rec *store.Record) {
		t.Helper()
		if _, err := f.Append(t.Context(), f.stream.ID, rec); err != nil {
			t.Fatal(err)
		}
	}
	replace := func(old store.Number, rec *store.Record) {
		t.Helper()
		if _, err := f.Replace(t.Context(), f.stream.ID, old, rec); err != nil {
			t.Fatal(err)
		}
	}
	open(t, s, r)
	step := func(what string, anew bool, do func()) {
		t.Helper()
		do()
		want := open(t, newService(t, f), r).ETag()
		f.listed = 0
		if got := open(t, s, r).ETag(); got != want {
			t.Errorf("%s: not the clip that it is now", what)
		}
		if (f.listed > 1) != anew {
			t.Errorf("%s: %d fragments were listed", what, f.listed)
		}
	}
	step("at once", false, func() {})
	step("later media", false, func() { keep(at(3 * 3600)) })
	step("in its range", true, func() { keep(at(600)) })
	step("sent again", true, func() { replace(20<<16, at(19)) })
	step("sent again by another clock", true, func() { replace(30<<16, at(1205)) })
	step("its oldest went", true, func() { f.gone(1 << 16) })
	step("nothing more", false, func() {})
}
