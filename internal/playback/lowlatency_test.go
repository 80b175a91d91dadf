package playback

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/test/e2e/conformance"
)

// Parts are listed as frames come, 40 ms after their last one began, and in the end are those of
// the whole segment.
func TestPartsAreListedAsFramesCome(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		before := r.read(1)
		if n, _ := listed(before); n != 0 || len(before.Segments[2].Parts) != 7 {
			t.Fatalf("at first\n%+v", before)
		}
		r.read(2)
		for range 6 {
			f := r.begin()
			for _, at := range []int64{300, 330, 700, 1000, 1500, 1970} {
				f.until(at)
				m := r.read(1)
				if n, ms := listed(m); int64(n) != (at-10)/320 || ms != int64(n)*320 {
					t.Errorf("%d parts of %d ms after %d ms", n, ms, at)
				}
				r.read(2)
			}
			f.store()
			if n, _ := listed(r.read(1)); n != 0 {
				t.Errorf("%d parts are open after the end", n)
			}
			r.samplesOf(1, r.read(1))
			r.samplesOf(2, r.read(2))
		}
		if r.store.OpenNow() != 0 {
			t.Errorf("%d fragments are still open", r.store.OpenNow())
		}
		before = r.read(1)
		again := r.process() // another process has none of this in memory
		r.service.Stop()
		r.service = again
		r.take(1, r.reload(1, sessionurl.Directives{}))
		r.samplesOf(1, before)
	})
}

var hintOf = regexp.MustCompile(`PRELOAD-HINT:TYPE=PART,URI="([^"]+)"`)

// The name of the next part is known in advance. Its bytes come when they are there, even across
// the end of a fragment.
func TestTheHintedPartIsWaitedFor(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		for i := range 9 {
			m := r.read(1)
			hint := hintOf.FindStringSubmatch(r.reload(1, sessionurl.Directives{}))[1]
			var data []byte
			done := false
			go func() {
				var err error
				if data, err = r.getPart(r.Context(), hint); err != nil {
					t.Error(err)
				}
				done = true
			}()
			synctest.Wait()
			if done {
				t.Fatalf("part %d came before its frames", i)
			}
			if i == 6 {
				f.store()
			} else if i == 7 {
				f = r.begin()
				f.until(330)
			} else {
				_, ms := listed(m)
				f.until(ms + 330)
			}
			if !done {
				t.Fatalf("part %d has not come", i)
			}
			if listed := r.part(hint); !bytes.Equal(listed, data) {
				t.Errorf("part %d is not what was waited for", i)
			}
			if !strings.Contains(r.reload(1, sessionurl.Directives{}), `DURATION=0.320000001,URI="`+hint+`"`) &&
				!strings.Contains(r.reload(1, sessionurl.Directives{}), `DURATION=0.080000001,URI="`+hint+`"`) {
				t.Errorf("part %d is not listed by its name:\n%s", i, r.reload(1,
					sessionurl.Directives{}))
			}
			r.read(1)
		}
	})
}

// A request waits for what it asks for, but gets what there is before the player takes it for lost.
func TestReloadsWait(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(330)
		wait := func(d sessionurl.Directives) *string {
			text := new(string)
			go func() { *text = r.reload(1, d) }()
			synctest.Wait()
			return text
		}
		msn := strconv.FormatInt(r.read(1).Open.Sequence, 10)
		if at := wait(sessionurl.Directives{MSN: msn, Part: "0"}); *at == "" {
			t.Error("waits for a part that is there")
		}
		next := wait(sessionurl.Directives{MSN: msn, Part: "1"})
		whole := wait(sessionurl.Directives{MSN: msn})
		after := wait(sessionurl.Directives{MSN: msn, Part: "7"})
		if *next != "" || *whole != "" || *after != "" {
			t.Error("answered although nothing has come")
		}
		f.until(650)
		if n, _ := listed(r.take(1, *next)); n != 2 || *whole != "" {
			t.Errorf("answered with %d parts", n)
		}
		f.until(1790) // 70 % of the target duration after it was asked for
		if n, _ := listed(r.take(1, *whole)); n != 5 {
			t.Errorf("answered in time with %d parts", n)
		}
		whole = wait(sessionurl.Directives{MSN: msn})
		f.store()
		m, faults := conformance.ParseMedia([]byte(*whole))
		if len(faults) > 0 || m.Open.Sequence != m.Segments[len(m.Segments)-1].Sequence+1 {
			t.Errorf("answered with %v", faults)
		}
		open, huge := strconv.FormatInt(m.Open.Sequence, 10), strings.Repeat("9", 30)
		for _, refused := range []struct {
			directives sessionurl.Directives
			why        string
		}{
			{sessionurl.Directives{Part: "1"}, "without _HLS_msn"},
			{sessionurl.Directives{MSN: "x"}, "_HLS_msn is not a decimal number"},
			{sessionurl.Directives{MSN: "-1"}, "_HLS_msn is not a decimal number"},
			{sessionurl.Directives{MSN: msn, Part: "x"}, "_HLS_part is not a decimal number"},
			{sessionurl.Directives{MSN: "99"}, "too far ahead"},
			{sessionurl.Directives{MSN: huge}, "too far ahead"},
			{sessionurl.Directives{MSN: open, Part: "12"}, "too far ahead"},
			{sessionurl.Directives{MSN: open, Part: huge}, "too far ahead"},
		} {
			_, err := r.service.ReloadPlaylist(t.Context(), r.token,
				sessionurl.MediaPlaylist{Track: 1, Directives: refused.directives})
			wantError(t, err, api.InvalidArgumentException, refused.why)
		}
		last := wait(sessionurl.Directives{MSN: open,
			Part: "11"}) // as hls.js asks without low latency
		time.Sleep(2 * time.Second)
		if synctest.Wait(); *last == "" {
			t.Error("a request for a part that the segment may have is not answered")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go r.service.ReloadPlaylist(ctx, r.token, sessionurl.MediaPlaylist{Track: 1,
			Directives: sessionurl.Directives{MSN: strconv.FormatInt(m.Open.Sequence, 10)}})
		synctest.Wait()
		if n := r.service.waiting.shares.Used(); n != 1 {
			t.Errorf("%d wait", n)
		}
		cancel()
		synctest.Wait()
		if w := &r.service.waiting; w.shares.Used() != 0 || len(w.sessions)+len(w.streams) != 0 {
			t.Errorf("%d wait after they have left", w.shares.Used())
		}
	})
}

// However many wait, each state of a playlist is written once.
func TestAPlaylistIsWrittenOnceForAllWhoWait(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(330)
		msn := strconv.FormatInt(r.read(1).Open.Sequence, 10)
		answers := make([]*Playlist, 50)
		for i := range answers {
			go func() {
				answers[i], _ = r.service.ReloadPlaylist(t.Context(), r.token,
					sessionurl.MediaPlaylist{Track: 1, Directives: sessionurl.Directives{MSN: msn,
						Part: "1"}})
			}()
		}
		synctest.Wait()
		f.until(650)
		synctest.Wait()
		if answers[0] == nil || slices.ContainsFunc(answers,
			func(p *Playlist) bool { return p != answers[0] }) {
			t.Errorf("answers differ: %v", answers)
		}
	})
}

// The listed parts of a fragment that breaks off become a gap, with its number. The producer
// resends it, and playback goes on.
func TestAFragmentThatBreaksOffIsAGap(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(700)
		before := r.read(1)
		r.read(2)
		f.breakOff()
		check := func() {
			t.Helper()
			for track := 1; track <= 2; track++ {
				m := r.read(track)
				i := before.Open.Sequence - m.MediaSequence
				gap := &m.Segments[i]
				if !gap.Gap || gap.Sequence != before.Open.Sequence || len(gap.Parts) != 2 ||
					gap.Duration.Milliseconds() < 600 || gap.Duration.Milliseconds() > 640 {
					t.Errorf("gap %+v", gap)
				}
			}
		}
		check()
		again := r.begin()
		again.until(700)
		if n, _ := listed(r.read(1)); n != 2 {
			t.Errorf("%d parts of what is sent again", n)
		}
		again.store()
		check()
		r.samplesOf(1, r.read(1))
		for range 3 { // until its parts are not listed any more
			r.begin().store()
			r.read(1)
		}
		if gap := r.read(1).Segments[0]; !gap.Gap || len(gap.Parts) > 0 {
			t.Errorf("the gap has become %+v", gap)
		}
		r.service.Stop()
		r.service = r.process()
		if m := r.read(1); !slices.ContainsFunc(m.Segments,
			func(s conformance.Segment) bool { return s.Gap }) {
			t.Error("another process knows no gap")
		}
	})
}

// A server that is killed in the middle of a fragment forgets it. The producer comes back and
// resends it. For players it is the same segment, with the very same parts.
func TestAKilledServerGoesOnWithTheFragmentThatIsSentAgain(t *testing.T) {
	tracks := []media.Track{videoTrack(), audioTrack()}
	lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(1000)
		r.read(1)
		r.read(2)
		n := r.seen[1].Open.Sequence
		r.service.Stop()
		r.edge = live.New(live.Options{})
		r.service = r.process()
		r.camera.Time = f.rec.ProducerTimestamp
		again := r.begin()
		again.until(1400)
		clear(r.seen) // its date is that of the resend
		if m := r.read(1); m.Open.Sequence != n || len(m.Open.Parts) != 4 {
			t.Errorf("open is %+v", m.Open)
		}
		r.read(2)
		again.store()
		r.samplesOf(1, r.read(1))
		r.samplesOf(2, r.read(2))
	})
}

// A fragment that breaks off while nobody asks is a gap for a player that comes back.
func TestAFragmentBreaksOffWhileNobodyAsks(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(700)
		n := r.read(1).Open.Sequence
		for range 4 {
			time.Sleep(followIdle)
			r.store.Sleep(followIdle)
		}
		synctest.Wait()
		f.breakOff()
		m := r.read(1)
		if last := m.Segments[len(m.Segments)-1]; !last.Gap || last.Sequence != n {
			t.Errorf("the last segment is %+v", last)
		}
	})
}

// Parts are listed after three segments: with fewer Shaka Player does not begin.
func TestAPlaylistHasThreeSegmentsBeforeParts(t *testing.T) {
	lowLatencyTestAfter(t, 2, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T,
		r *lowRig) {
		f := r.begin()
		f.until(1500)
		if m := r.read(1); len(m.Open.Parts) > 0 || len(m.Hints) > 0 || m.PartTarget == 0 {
			t.Errorf("two segments, and %+v, hints %v, part target %v", m.Open, m.Hints,
				m.PartTarget)
		}
		r.read(2)
		f.store()
		f = r.begin()
		f.until(700)
		if m := r.read(1); len(m.Open.Parts) != 2 || len(m.Hints) != 1 {
			t.Errorf("three segments, and %+v, hints %v", m.Open, m.Hints)
		}
		r.read(2)
	})
}

// A camera that goes silent leaves the playlist as it is.
func TestASilentCamera(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(700)
		text := r.reload(1, sessionurl.Directives{})
		msn := strconv.FormatInt(r.read(1).Open.Sequence, 10)
		began := time.Now()
		if got := r.reload(1, sessionurl.Directives{MSN: msn, Part: "2"}); got != text {
			t.Error("changed, although nothing has come")
		}
		if took := time.Since(began); took >= 1600*time.Millisecond {
			t.Errorf("answered after %v: hls.js has given up by then", took)
		}
		for range 3 {
			time.Sleep(followIdle)
			r.store.Sleep(followIdle)
		}
		synctest.Wait()
		if r.service.views.get(r.sessionID(), 0).low.follower != nil {
			t.Error("followed, although nobody asks")
		}
		f.until(1100)
		r.read(1)
		f.store()
		r.samplesOf(1, r.read(1))
	})
}

// A camera takes two pictures a second at night: pictures that do not fit into parts are only in
// the whole segment.
func TestSlowFramesEndTheParts(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin(func(rec *store.Record) {
			frames := rec.Runs[0].Frames[:14]
			for i := 10; i < 14; i++ {
				frames[i].Duration = 36_000
			}
			rec.Runs[0].Frames, rec.Payload[0] = frames, rec.Payload[0][:140]
		})
		f.until(1900)
		text := r.reload(1, sessionurl.Directives{})
		if n := strings.Count(text[strings.LastIndex(text, "#EXTINF"):], "#EXT-X-PART:"); n != 2 {
			t.Errorf("%d parts before the slow pictures, want 2:\n%s", n, text)
		}
		msn := strconv.FormatInt(r.seenOpen(text), 10)
		answer := ""
		go func() { answer = r.reload(1, sessionurl.Directives{MSN: msn, Part: "2"}) }()
		synctest.Wait()
		f.store()
		if !strings.Contains(answer, "#EXTINF:2.000000015,\n") {
			t.Errorf("who waits for a part that will not come is not told:\n%s", answer)
		}
	})
}

// If a segment has no parts at all, because its pictures are too long, who asks for its hinted part
// gets the whole segment. (Shaka Player calls a 404 critical.)
func TestAHintOfAPartThatDoesNotComeIsTheSegment(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		hint := hintOf.FindStringSubmatch(r.reload(1, sessionurl.Directives{}))[1]
		var data []byte
		go func() {
			var err error
			if data, err = r.getPart(r.Context(), hint); err != nil {
				t.Error(err)
			}
		}()
		f := r.begin(func(rec *store.Record) {
			frames := rec.Runs[0].Frames[:5]
			for i := range frames {
				frames[i].Duration = 36_000
			}
			rec.Runs[0].Frames, rec.Payload[0] = frames, rec.Payload[0][:50]
		})
		f.until(1900)
		if synctest.Wait(); data != nil {
			t.Error("the part came before the segment was whole")
		}
		f.store()
		synctest.Wait()
		track := r.camera.Tracks[0]
		head, err := fmp4.InitSegment(&track)
		if err != nil {
			t.Fatal(err)
		}
		in, _ := conformance.ParseInit(head)
		if timing, _ := conformance.ParseFragment(in, hint, data); timing == nil ||
			timing.Frames != 5 {
			t.Errorf("the hint has %v", timing)
		}
	})
}

func (r *lowRig) seenOpen(text string) int64 {
	m, _ := conformance.ParseMedia([]byte(text))
	return m.Open.Sequence
}

// Long windows have delta updates.
func TestDeltaUpdates(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		in := r.input()
		in.MaxMediaPlaylistFragmentResults = 100
		in.DiscontinuityMode = api.DiscontinuityAlways
		for range 30 {
			r.camera.sendMedia()
		}
		r.token = r.open(in)
		f := r.begin()
		for _, at := range []int64{100, 700, 1500} {
			f.until(at)
			for track := 1; track <= 2; track++ {
				known := r.read(track)
				delta, faults := conformance.ParseMedia(
					[]byte(r.reload(track, sessionurl.Directives{Skip: "YES"})))
				whole := r.read(track)
				faults = append(faults, conformance.CheckDelta(known, delta, whole)...)
				if delta.Skipped == 0 || len(faults) > 0 {
					t.Errorf("%d skipped, %v", delta.Skipped, faults)
				}
			}
		}
		f.store()
	})
}

// Players stay far enough behind a producer that sends fragment by fragment to play without stalls.
func TestPlayersStayBehindBursts(t *testing.T) {
	tracks := []media.Track{videoTrack(), audioTrack()}
	lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
		holds := func(want string) {
			t.Helper()
			r.token = r.open(r.input())
			if text := r.reload(1, sessionurl.Directives{}); !strings.Contains(text,
				"PART-HOLD-BACK="+want+"\n") {
				t.Errorf("want a hold back of %s in\n%s", want, text)
			}
		}
		f := r.begin()
		f.store()
		holds("0.963")
		for range 2 {
			f := r.begin()
			f.rec.ServerTimestamp -= 2000 // all of it is due
			f.store()
			r.camera.pass(2000)
			time.Sleep(2 * time.Second)
		}
		holds("2.615")
		r.camera.without = 2
		r.begin().store()
		holds("6.0")
	})
}

// A session keeps its PART-TARGET, and one that was opened without parts stays without.
func TestSessionsKeepTheirParts(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		without := r.another()
		token, err := tokenOf(without.OpenHLS(t.Context(), r.stream, "", r.input()))
		if err != nil {
			t.Fatal(err)
		}
		r.camera.sendMedia()
		plain := r.playlist(without, token, 1)
		if got := r.playlist(r.service, token, 1); got != plain ||
			strings.Contains(got, "#EXT-X-PART") {
			t.Errorf("a session without parts has them:\n%s", got)
		}
		in := r.input()
		in.MaxMediaPlaylistFragmentResults = leastSegments - 1
		if text := r.playlist(r.service, r.open(in), 1); strings.Contains(text, "PART-INF") {
			t.Errorf("a session whose playlists are too short for parts:\n%s", text)
		}
		if text := r.playlist(without, r.token, 1); !strings.Contains(text, "PART-TARGET=0.321\n") {
			t.Errorf("a session with parts has lost them:\n%s", text)
		}
		without.Stop()
	})
}
