package playback

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/api"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/test/e2e/conformance"
)

// Groups that last longer than the session expects are listed as they come, slice by slice. What is
// listed before the commit stays as it is.
func TestGroupsThatGrowAreListedAsTheyCome(t *testing.T) {
	for _, tracks := range [][]media.Track{{videoTrack()}, {videoTrack(), audioTrack()}} {
		lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
			read := func() {
				for i := range tracks {
					r.segments(r.read(i + 1))
				}
			}
			r.begin().store()
			for range 2 {
				read()
				was := ends(r.read(1))
				f := r.beginGrown()
				for at := int64(500); at < 10_000; at += 370 {
					f.until(at)
					read()
					come := was.Add(time.Duration(at) * time.Millisecond)
					for i := range tracks {
						if late := come.Sub(ends(r.seen[i+1])); late > 500*time.Millisecond {
							t.Errorf("track %d: after %d ms the playlist is %v late", i+1, at, late)
						}
					}
				}
				early := len(r.read(1).Segments)
				f.store()
				read()
				for i := range tracks {
					r.samplesOf(i+1, r.seen[i+1])
				}
				if early < 7 {
					t.Errorf("%d segments before the commit", early)
				}
				r.begin().store()
				read()
			}
			other := r.process()
			defer other.Stop()
			for i := range tracks {
				if a, b := r.playlist(r.service, r.token, i+1),
					r.playlist(other, r.token, i+1); a != b {
					t.Errorf("another process lists\n%s\nand not\n%s", b, a)
				}
			}
		})
	}
}

// Players that begin in the middle of a group need its key frame: of a group that began before they
// did, no slice is listed but the first one.
func TestAGroupThatWasThereBefore(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin(grown)
		for _, at := range []int64{1000, 3000, 7000, 9900} {
			f.until(at)
			for track := 1; track <= 2; track++ {
				m := r.read(track)
				_, ms := listed(m)
				if len(m.Segments) != 3 || ms < min(at-400, 2000) || ms > 2400 {
					t.Errorf("after %d ms, track %d: %d segments, %d ms in parts", at, track,
						len(m.Segments), ms)
				}
			}
		}
		r.grows = true
		f.store()
		r.samplesOf(1, r.read(1))
		r.samplesOf(2, r.read(2))
	})
}

// Another process that follows the same fragment lists the same, before the commit too.
func TestGroupsThatGrowAreTheSameElsewhere(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		other := r.process()
		defer other.Stop()
		f := r.beginGrown()
		for at := int64(700); at < 10_000; at += 1700 {
			f.until(at)
			for track := 1; track <= 2; track++ {
				if a, b := r.playlist(r.service, r.token, track),
					r.playlist(other, r.token, track); a != b {
					t.Fatalf("after %d ms another process lists\n%s\nand not\n%s", at, b, a)
				}
			}
		}
		f.store()
	})
}

// A fragment that breaks off in its third slice leaves a gap for each slice.
func TestAGrownGroupBreaksOff(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		f := r.beginGrown()
		f.until(5800)
		before := r.read(1)
		r.read(2)
		first := before.Open.Sequence - 2
		f.breakOff()
		check := func() {
			t.Helper()
			for track := 1; track <= 2; track++ {
				m := r.read(track)
				gaps := 0
				for i := range m.Segments {
					if s := &m.Segments[i]; s.Gap {
						if s.Sequence != first+int64(gaps) {
							t.Errorf("gap %d has number %d", gaps, s.Sequence)
						}
						gaps++
					}
				}
				if gaps != 3 {
					t.Errorf("%d gaps in\n%s", gaps, r.reload(track, sessionurl.Directives{}))
				}
			}
		}
		check()
		for i := first - before.MediaSequence; i < int64(len(before.Segments)); i++ {
			if _, err := r.getPart(t.Context(), before.Segments[i].URI); err == nil {
				t.Error("a gap can be read")
			}
		}
		r.begin().store()
		check()
		r.service.Stop()
		r.service = r.process()
		check()
		for range 3 {
			r.begin().store()
			r.segments(r.read(1))
		}
		r.samplesOf(1, r.read(1))
	})
}

// A producer that loses its connection in the third slice resends the fragment from its start: what
// was listed stays, and the fragment goes on. The connection may have died in silence, and the
// fragment may be stored before anybody has seen it come.
func TestAGrownGroupIsSentAgain(t *testing.T) {
	for _, how := range []string{"broke off", "silent", "stored at once", "its sound begins anew"} {
		t.Run(how, func(t *testing.T) { testSentAgain(t, how) })
	}
}

func testSentAgain(t *testing.T, how string) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		f := r.beginGrown()
		f.until(5800)
		before := r.read(1)
		r.read(2)
		if how != "silent" && how != "stored at once" {
			f.cutOff()
		}
		again := r.begin(sentAgain(f), func(rec *store.Record) {
			if how == "its sound begins anew" {
				rec.Runs = slices.Clone(rec.Runs)
				rec.Runs[1].BaseDecodeTime += 20 // of 44 to a millisecond
			}
			rec.ServerTimestamp -= 5500 // it comes faster than it was filmed
		})
		for _, at := range []int64{0, 330, 3000, 5800, 6200, 8000, 9900} {
			if how == "stored at once" {
				break
			}
			again.until(at)
			if how == "its sound begins anew" { // and has other decode times
				clear(r.parts)
			}
			m := r.read(1)
			r.read(2)
			if len(m.Segments) < len(before.Segments) || m.Segments[len(m.Segments)-1].Gap {
				t.Fatalf("after %d ms of what is sent again:\n%s", at, r.reload(1,
					sessionurl.Directives{}))
			}
		}
		if how == "stored at once" {
			r.store.Commit(again.rec, 0)
		} else {
			again.store()
		}
		for track := 1; track <= 2; track++ {
			r.samplesOf(track, r.read(track))
		}
		for _, was := range before.Segments {
			i := was.Sequence - r.seen[1].MediaSequence
			if i < 0 {
				continue
			}
			if is := &r.seen[1].Segments[i]; is.Gap || is.URI != was.URI {
				t.Errorf("segment %d is %+v", is.Sequence, is)
			}
		}
	})
}

// A server that is killed in the third slice has forgotten what it listed. The producer resends the
// fragment, and it is listed again under the same names.
func TestAKilledServerListsAGrownGroupAgain(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.beginGrown()
		f.until(5800)
		before := r.read(1)
		r.segments(before)
		slice := before.Segments[len(before.Segments)-1].URI
		text := r.reload(1, sessionurl.Directives{})
		hint := hintOf.FindStringSubmatch(text)[1]
		at := strconv.FormatInt(before.Open.Sequence, 10)
		killed := r.service
		r.edge = live.New(live.Options{})
		r.service = r.process()
		defer killed.Stop()
		var data, part []byte
		var edge string
		go func() { data, _ = r.getPart(t.Context(), slice) }()
		go func() { part, _ = r.getPart(t.Context(), hint) }()
		go func() { edge = r.reload(1, sessionurl.Directives{MSN: at, Part: "0"}) }()
		synctest.Wait()
		if data != nil || part != nil || edge != "" {
			t.Fatal("a slice came before its frames")
		}
		again := r.begin(func(rec *store.Record) {
			rec.Runs, rec.Payload = f.rec.Runs, f.rec.Payload
			rec.ServerTimestamp -= 5500
		})
		again.until(5800)
		if want := r.parts[slice]; len(data) != len(want) || len(data) == 0 ||
			!bytes.Equal(data[200:], want[200:]) { // after the sequence number
			t.Errorf("%d bytes came of the slice, which had %d", len(data), len(want))
		}
		if !strings.Contains(edge, slice) {
			t.Errorf("who waited for segment %s got\n%s", at, edge)
		}
		clear(r.seen) // its dates are those of the resend
		after := r.read(1)
		for i := range before.Segments {
			if a, b := &before.Segments[i], &after.Segments[i]; a.URI != b.URI ||
				a.Sequence != b.Sequence || a.Duration != b.Duration {
				t.Errorf("segment %d was\n%+v\nand is\n%+v", a.Sequence, a, b)
			}
		}
		again.store()
		r.samplesOf(1, r.read(1))
		if len(part) == 0 || !bytes.Equal(part, r.parts[hint]) {
			t.Errorf("%d bytes came of %s", len(part), hint)
		}
	})
}

// A request for a part waits across the end of a slice, and the hint is right there.
func TestHintsInGrownGroups(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.beginGrown()
		f.until(100)
		for at := int64(330); at < 9600; at += 320 {
			hint := hintOf.FindStringSubmatch(r.reload(1, sessionurl.Directives{}))[1]
			var data []byte
			go func() { data, _ = r.getPart(t.Context(), hint) }()
			synctest.Wait()
			if data != nil {
				t.Fatalf("after %d ms the part came before its frames", at)
			}
			f.until(at)
			r.read(1)
			if data == nil || !bytes.Equal(data, r.parts[hint]) ||
				!strings.Contains(r.reload(1, sessionurl.Directives{}), `URI="`+hint+`"`) {
				t.Fatalf("after %d ms the part that was hinted has %d bytes: %s\n%s", at, len(data),
					hint, r.reload(1, sessionurl.Directives{}))
			}
		}
		f.store()
	})
}

// A player that went back to the beginning of a long playlist may ask for a slice that has just
// left it.
func TestASliceThatHasLeftThePlaylist(t *testing.T) {
	lowLatencyTestAfter(t, 100, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		in := r.input()
		in.MaxMediaPlaylistFragmentResults, in.Expires = 100, 3600
		r.token = r.open(in)
		r.beginGrown().store()
		m := r.read(1)
		slice := &m.Segments[len(m.Segments)-3]
		data := r.whole(slice.URI)
		for m.MediaSequence < slice.Sequence+90 {
			r.begin().store()
			m = r.read(1)
			if m.MediaSequence > slice.Sequence && !bytes.Equal(r.whole(slice.URI), data) {
				t.Fatalf("%s is another segment", slice.URI)
			}
		}
		for range 50 {
			r.begin().store()
		}
		r.read(1)
		v := r.service.views.get(r.sessionID(), 1<<62)
		if n := len(v.state.Entries); n != 100 {
			t.Errorf("without slices the state keeps %d entries", n)
		}
	})
}

// Players that read delta updates hear of all slices that became gaps, also of those that are
// further from the end than what such an update has to list.
func TestDeltaUpdatesListNewGaps(t *testing.T) {
	lowLatencyTestAfter(t, 100, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		in := r.input()
		in.MaxMediaPlaylistFragmentResults, in.Expires = 100, 3600
		in.DiscontinuityMode = api.DiscontinuityOnDiscontinuity
		r.token = r.open(in)
		for range 3 {
			r.begin().store()
		}
		f := r.beginGrown()
		f.until(9900)
		before := r.read(1)
		f.breakOff()
		gaps := func() (all, told int) {
			t.Helper()
			m, _ := conformance.ParseMedia([]byte(r.reload(1, sessionurl.Directives{Skip: "YES"})))
			whole := r.read(1)
			for i := range whole.Segments {
				if !whole.Segments[i].Gap {
					continue
				}
				all++
				if whole.Segments[i].Sequence >= m.MediaSequence+m.Skipped {
					told++
				}
			}
			return all, told
		}
		if before.Open.Sequence != 107 {
			t.Fatalf("segment %d is open", before.Open.Sequence)
		}
		for range 6 { // longer than half of the skip boundary
			if all, told := gaps(); all != 5 || told != 5 {
				t.Fatalf("a delta update has %d of %d gaps", told, all)
			}
			r.begin().store()
		}
		r.begin().store()
		if _, told := gaps(); told != 0 {
			t.Errorf("old gaps are still told: %d", told)
		}
	})
}
