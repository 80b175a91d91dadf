package playback

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/test/e2e/conformance"
)

// luck is a producer to which anything may happen, and a player that reads everything.
type luck struct {
	*lowRig
	*rand.Rand
	tracks []media.Track
	deltas int
}

// Whatever becomes of fragments and connections, what a player has seen stays as it is, or becomes
// gaps, in whole playlists and in delta updates, and another process lists the same.
func TestWhateverBecomesOfFragments(t *testing.T) {
	deltas := 0
	for seed := range uint64(10) {
		tracks := []media.Track{videoTrack(), audioTrack()}
		if seed%3 == 0 {
			tracks = tracks[:1]
		}
		lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
			in := r.input()
			in.MaxMediaPlaylistFragmentResults, in.Expires = 100, 3600
			in.DiscontinuityMode = api.DiscontinuityOnDiscontinuity
			if seed%2 == 1 {
				in.DiscontinuityMode = api.DiscontinuityAlways
			}
			r.token = r.open(in)
			r.began, r.grows = time.Now(), true
			l := &luck{lowRig: r, Rand: rand.New(rand.NewPCG(seed, 77)), tracks: tracks}
			for time.Since(r.began) < 5*time.Second {
				r.begin().store()
				l.look()
			}
			for range 10 {
				l.fragment()
				l.look()
				l.elsewhere()
			}
			for i := range tracks {
				r.samplesOf(i+1, r.read(i+1))
			}
			deltas += l.deltas
		})
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
	if deltas < 300 {
		t.Errorf("only %d delta updates", deltas)
	}
}

// look reads all that is listed, and checks it against what was read before.
func (l *luck) look() {
	l.Helper()
	for i := range l.tracks {
		before := l.seen[i+1]
		delta, _ := conformance.ParseMedia([]byte(l.reload(i+1,
			sessionurl.Directives{Skip: "YES"})))
		m := l.read(i + 1)
		if before != nil && delta.Skipped > 0 {
			l.deltas++
			for _, f := range conformance.CheckDelta(before, delta, m) {
				l.Errorf("delta update: %v", f)
			}
		}
		for j := range m.Segments {
			s := &m.Segments[j]
			if s.Gap {
				continue
			}
			data := bytes.Clone(l.whole(s.URI))
			at := bytes.Index(data, []byte("mfhd")) + 8
			clear(data[at : at+4]) // the sequence number is another one when it is sent again
			if was, ok := l.parts[s.URI]; ok && !bytes.Equal(was, data) {
				l.Errorf("segment %d has changed", s.Sequence)
			}
			l.parts[s.URI] = data
		}
	}
}

// elsewhere checks that another process lists the same.
func (l *luck) elsewhere() {
	l.Helper()
	other := l.process()
	defer other.Stop()
	for i := range l.tracks {
		if a, b := l.playlist(l.service, l.token, i+1),
			l.playlist(other, l.token, i+1); a != b {
			l.Errorf("another process lists\n%s\nand not\n%s", b, a)
		}
	}
}

// comes sends some of a fragment, and looks now and then.
func (l *luck) comes(f *sending, from, to int64) {
	for at := from; at < to; at += 200 + l.Int64N(900) {
		f.until(at)
		l.look()
	}
}

// fragment sends a fragment, to which something may happen.
func (l *luck) fragment() {
	length, change := int64(2000), func(*store.Record) {}
	if l.IntN(2) == 0 {
		length, change = 10_000, grown
	}
	f := l.begin(change)
	l.camera.Time += length - 2000
	cut := 100 + l.Int64N(length-100)
	again := func() *sending {
		defer func(at int64) { l.camera.Time = at }(l.camera.Time)
		return l.begin(sentAgain(f), func(rec *store.Record) {
			rec.ServerTimestamp -= min(cut, 3000) // it comes faster than it was filmed
		})
	}
	what := l.IntN(7)
	if what < 5 {
		l.comes(f, 100, cut)
	}
	switch what {
	case 0:
		f.breakOff()
	case 1:
		f.cutOff()
		l.look()
		f = again()
		l.comes(f, 100, length)
		f.store()
	case 2: // it comes on two connections, and either is stored
		g := again()
		for a, b := cut, int64(0); a < length && b < length; l.look() {
			a, b = a+l.Int64N(800), b+l.Int64N(2000)
			f.until(a)
			l.look()
			g.until(b)
		}
		if l.IntN(2) == 0 {
			f, g = g, f
		}
		f.store()
		l.look()
		g.cutOff()
	case 3: // it is stored before anybody has seen it come again
		f.cutOff()
		l.store.Commit(again().rec, 0)
	case 4: // the server is killed
		l.service.Stop()
		l.edge = live.New(live.Options{})
		l.service = l.process()
		clear(l.seen)
		f = again()
		l.comes(f, cut, length)
		f.store()
	default:
		l.comes(f, 100, length)
		f.store()
	}
}
