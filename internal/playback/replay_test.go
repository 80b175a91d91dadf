package playback

import (
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/store"
	"weir/internal/timeline/timelinetest"
)

// A replay begins at its start whatever the size of its playlist, grows as time passes, and ends
// after the range's end.
func TestReplay(t *testing.T) {
	for _, selector := range []api.FragmentSelectorType{api.SelectorServerTimestamp,
		api.SelectorProducerTimestamp} {
		r := newRig(t, videoTrack())
		var sent []store.FragmentInfo
		for range 100 { // at 0, 2, 4, … seconds
			sent = append(sent, r.camera.send())
		}
		in := r.replay(selector, sent[10].ServerTimestamp, sent[20].ServerTimestamp)
		in.MaxMediaPlaylistFragmentResults = 5
		token := r.open(in)
		in.MaxMediaPlaylistFragmentResults = 1000
		wide := r.open(in)

		check, checkWide := newRFC(t), newRFC(t)
		for n := range 12 { // each two seconds
			text, wideText := r.playlist(r.another(), token, 1), r.playlist(r.service, wide, 1)
			check.reload(text)
			checkWide.reload(wideText)
			last := min(10+2+n, 20)
			var want, wantWide []int
			for i := 10; i <= last; i++ {
				wantWide = append(wantWide, i)
				if i > last-5 {
					want = append(want, i)
				}
			}
			r.wantNumbers(text, sent, want...)
			r.wantNumbers(wideText, sent, wantWide...)
			if ended := strings.HasSuffix(text, "\n#EXT-X-ENDLIST\n"); ended != (last == 20) ||
				strings.Contains(text, "PLAYLIST-TYPE") {
				t.Errorf("with the last at %d:\n%s", last, text)
			}
			if n == 3 && selector == api.SelectorServerTimestamp {
				golden(t, "replay.txt", anonymous(text, token))
			}
			r.store.Sleep(2*time.Second - time.Millisecond)
			if again := r.playlist(r.service, token, 1); again != text {
				t.Errorf("changed before the duration elapsed:\n%s\nwas\n%s", again, text)
			}
			r.store.Sleep(time.Millisecond)
		}
	}
}

// Without an end, a replay continues with what is stored after its creation, at its distance to
// live. A gap brings it to the live edge. When the camera then sends what it held back, nothing of
// the burst is missed.
func TestReplayRunsIntoLive(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	var sent []store.FragmentInfo
	for range 10 {
		sent = append(sent, r.camera.send())
	}
	in := r.replay("", sent[0].ServerTimestamp, 0)
	in.Expires = 3600
	token := r.open(in)
	check := newRFC(t)
	seen := map[int]bool{}
	poll := func() []int {
		t.Helper()
		text := r.playlist(r.service, token, 1)
		check.reload(text)
		if other := r.playlist(r.another(), token, 1); other != text {
			t.Fatalf("another process answers\n%s\nwant\n%s", other, text)
		}
		listed := r.numbers(text, sent)
		for _, i := range listed {
			seen[i] = true
		}
		return listed
	}
	wantLast := func(want int) {
		t.Helper()
		if listed := poll(); listed[len(listed)-1] != want {
			t.Fatalf("lists %v, want the last to be %d", listed, want)
		}
	}
	wantLast(2)
	for i := range 10 {
		sent = append(sent, r.camera.send())
		wantLast(3 + i) // 20 seconds behind live, less the three fragments that are listed at first
	}
	for range 12 { // the camera is cut off for a minute
		r.store.Sleep(5 * time.Second)
		poll()
	}
	wantLast(19)
	for range 3 { // it has caught up
		sent = append(sent, r.camera.send())
		wantLast(len(sent) - 1)
	}
	// It comes back from another cut with twelve fragments at once.
	r.store.Sleep(24 * time.Second)
	poll()
	for range 12 {
		sent = append(sent, r.camera.commit(r.camera.info(r.camera.NextNumber()), 0))
		r.camera.Time += 2000
	}
	for range 13 {
		poll()
		r.store.Sleep(2 * time.Second)
	}
	if len(seen) != len(sent) {
		t.Errorf("%d of %d fragments were ever listed", len(seen), len(sent))
	}
}

// A replay of more fragments than are chosen at its creation continues in commit order, and ends
// where the range does.
func TestReplayOfVeryMany(t *testing.T) {
	r := newRig(t, audioTrack())
	r.store.retain(r.stream.ID, 24)
	r.stream.RetentionHours = 24
	r.camera.Length = 1000
	began := r.store.Clock().UnixMilli()
	for range replayKnown + 700 {
		r.camera.send()
	}
	r.store.Sleep(2 * time.Minute)
	end := began + (replayKnown+500)*1000
	in := r.replay("", began, end)
	in.Expires, in.MaxMediaPlaylistFragmentResults = 43_200, 100
	token := r.open(in)
	other := r.another()
	check := newRFC(t)
	for range 600 {
		text := r.playlist(r.service, token, 2)
		check.reload(text)
		if got := r.playlist(other, token, 2); got != text {
			t.Fatal(timelinetest.Difference(got, text))
		}
		if strings.HasSuffix(text, "#EXT-X-ENDLIST\n") {
			break
		}
		if len(check.sequences)%500 < 15 {
			other = r.another()
		}
		r.store.Sleep(10 * time.Second)
	}
	if !check.ended || len(check.sequences) != replayKnown+501 {
		t.Errorf("%d fragments were listed, ended: %t", len(check.sequences), check.ended)
	}
	if n := r.checkpoint(token); n > 200_000 {
		t.Errorf("a checkpoint of %d bytes", n)
	}
}
