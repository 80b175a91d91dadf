package playback

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
	"weir/internal/timeline/timelinetest"
)

// TestLiveTimeline runs random histories through two services over one store, which are restarted
// at random. Both must answer each poll with the playlist of the model, and keep the rules of RFC
// 8216 across all reloads.
func TestLiveTimeline(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			newHistory(t, seed, false, false).run()
		})
	}
}

// TestReplayTimeline does the same with LIVE_REPLAY.
func TestReplayTimeline(t *testing.T) {
	for seed := range uint64(48) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			newHistory(t, seed, true, seed%3 == 2).run()
		})
	}
}

// TestSwitchingTimeline does the same with sessions that show changes of codec private data.
func TestSwitchingTimeline(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			newHistory(t, seed, false, true).run()
		})
	}
}

// history is a session over a camera with random behaviour.
type history struct {
	*testing.T
	random     *rand.Rand
	store      *testStore
	stream     store.Stream
	camera     *timelinetest.Camera
	model      *timelinetest.Model
	timestamps bool
	switching  bool
	services   [2]*Service
	token      string
	created    int64                // commit sequence at creation
	stored     []store.FragmentInfo // in commit order
	sets       [][]media.Track      // that the camera has sent
	checks     map[int]*rfc         // by track
	dash       string               // token of a DASH session of the same fragments
	watch      *mpdWatch
	overSince  int64 // when a poll first found that the playlists have ended; 0: not yet
}

func newHistory(t *testing.T, seed uint64, replay, switching bool) *history {
	h := &history{T: t, random: rand.New(rand.NewPCG(seed, 7)), switching: switching,
		checks: map[int]*rfc{}}
	h.store = newTestStore(t)
	h.stream = h.store.Stream
	tracks := []media.Track{videoTrack(), audioTrack()}
	if seed%5 == 4 {
		tracks = tracks[:1+seed/5%2]
	}
	if seed%10 == 9 {
		tracks = []media.Track{audioTrack()}
	}
	h.camera = timelinetest.NewCamera(h.random, h.store.Clock().UnixMilli(), tracks, h.set)
	if tracks[0].Kind == media.Video {
		h.camera.Other = append([]media.Track{otherVideo()}, tracks[1:]...)
	}
	h.timestamps = h.chance(50)
	h.model = &timelinetest.Model{
		Max: []int{1, 3, 5, 100}[h.random.IntN(4)], Producer: h.chance(50), Tracks: tracks,
		Replay:        replay,
		Discontinuity: timeline.DiscontinuityMode(1 + h.random.IntN(3)),
		Same:          func(set int64) bool { return switching || h.isUsual(set) },
		Codecs:        func(set int64) string { return strconv.FormatInt(set, 10) },
		Frames:        func(n store.Number) *media.Fragment { return h.camera.Frames[n] },
	}
	for range h.random.IntN(30) {
		h.step()
	}
	// The newest must be a fragment of the usual tracks, whole, with all of them.
	h.commit(h.camera.Whole())
	h.open()
	return h
}

func (h *history) chance(percent int) bool { return h.random.IntN(100) < percent }

// set returns the camera's number of a set of tracks, which is not the store's.
func (h *history) set(tracks []media.Track) int64 {
	i := slices.IndexFunc(h.sets, func(set []media.Track) bool {
		return reflect.DeepEqual(set, tracks)
	})
	if i < 0 {
		i, h.sets = len(h.sets), append(h.sets, tracks)
	}
	return int64(i)
}

// isUsual reports whether a set of the store is what the camera usually sends.
func (h *history) isUsual(set int64) bool {
	tracks, err := h.store.TrackSet(h.Context(), h.stream.ID, set)
	if err != nil {
		h.Fatal(err)
	}
	return h.set(tracks) == h.set(h.camera.Tracks)
}

// step lets the camera go on.
func (h *history) step() { h.commit(h.camera.Step()...) }

func (h *history) commit(commits ...timelinetest.Commit) {
	for _, c := range commits {
		rec := recordOf(&c.Info, h.sets[c.Info.TrackSet])
		if f := h.camera.Frames[c.Info.Number]; f != nil {
			rec.Runs, rec.Payload = f.Runs, nil
			for _, run := range f.Runs {
				rec.Payload = append(rec.Payload, make([]byte, run.Size()))
			}
		}
		h.stored = append(h.stored, h.store.Commit(rec, c.Replaces))
	}
	h.sleep(0)
}

// sleep lets time pass on the camera's and the store's clock.
func (h *history) sleep(d time.Duration) {
	h.camera.Now += d.Milliseconds()
	h.store.Sleep(time.UnixMilli(h.camera.Now).Sub(h.store.Clock()))
}

// restart replaces a process by a new one.
func (h *history) restart(i int) {
	limits := patient()
	if h.chance(20) {
		limits.CacheBytes = 0
	}
	h.services[i] = New(Options{Store: h.store, Tokens: fakeTokens{}, Limits: limits,
		Clock:        h.store.Clock,
		SwitchCodecs: h.switching})
}

// open begins the session.
func (h *history) open() {
	m := h.model
	newest, err := h.store.List(h.Context(), h.stream.ID, store.Query{Order: store.ByNumberNewest})
	if err != nil {
		h.Fatal(err)
	}
	m.Initial, m.Created = newest, h.camera.Now
	if !m.Replay {
		m.Initial = newest[:min(len(newest), 2*m.Max+64)]
	}
	h.created = h.stored[len(h.stored)-1].Sequence
	in := &api.GetHLSStreamingSessionURLInput{Expires: 43200,
		MaxMediaPlaylistFragmentResults: m.Max,
		HLSFragmentSelector: &api.FragmentSelector{
			FragmentSelectorType: api.SelectorServerTimestamp}}
	in.StreamName = h.stream.Name
	in.DiscontinuityMode = map[timeline.DiscontinuityMode]api.DiscontinuityMode{
		timeline.DiscontinuityAlways: api.DiscontinuityAlways,
		timeline.DiscontinuityNever:  api.DiscontinuityNever,
		timeline.DiscontinuityOnGap:  api.DiscontinuityOnDiscontinuity}[m.Discontinuity]
	if m.Producer {
		in.HLSFragmentSelector.FragmentSelectorType = api.SelectorProducerTimestamp
	}
	if m.Replay {
		h.chooseRange(in)
	}
	if h.timestamps {
		in.DisplayFragmentTimestamp = api.DisplayTimestampAlways
	}
	h.restart(0)
	h.restart(1)
	if h.token, err = tokenOf(h.services[0].OpenHLS(h.Context(), h.stream, "", in)); err != nil {
		h.Fatal(err)
	}
	for _, track := range m.Tracks {
		h.checks[track.Number] = newRFC(h.T)
	}
	dash := &api.GetDASHStreamingSessionURLInput{StreamRef: in.StreamRef, Expires: 43200,
		PlaybackMode: in.PlaybackMode, DASHFragmentSelector: in.HLSFragmentSelector,
		MaxManifestFragmentResults: m.Max, DisplayFragmentNumber: api.DisplayNumberAlways}
	if h.dash, err = tokenOf(h.services[0].OpenDASH(h.Context(), h.stream, "", dash)); err != nil {
		h.Fatal(err)
	}
	h.watch = watchDASH(h.T)
}

// chooseRange turns the session into one of LIVE_REPLAY.
func (h *history) chooseRange(in *api.GetHLSStreamingSessionURLInput) {
	m := h.model
	in.PlaybackMode = api.PlaybackModeLiveReplay
	// The first fragment in the range must be of the usual tracks, whole, with all of them.
	var starts []store.FragmentInfo
	for _, f := range m.Initial {
		if m.Same(f.TrackSet) && len(f.Spans) == len(m.Tracks) {
			starts = append(starts, f)
		}
	}
	m.Start, m.End = m.Timestamp(&starts[h.random.IntN(len(starts))]), math.MaxInt64
	from := api.Timestamp(m.Start)
	in.HLSFragmentSelector.TimestampRange = &api.TimestampRange{StartTimestamp: &from}
	if h.chance(60) {
		m.End = m.Start + 1 + int64(h.random.IntN(200_000))
		if !m.Producer {
			m.End = min(m.End, m.Created-1)
		}
		until := api.Timestamp(m.End)
		in.HLSFragmentSelector.TimestampRange.EndTimestamp = &until
		m.Closed = m.End < m.Created-60_000
	}
	// The first fragment of the range in ingest order decides the tracks.
	for _, f := range slices.Backward(m.Initial) {
		if at := m.Timestamp(&f); at >= m.Start && at <= m.End {
			usual := f.TrackSet
			m.Same = func(set int64) bool { return h.switching || set == usual }
			return
		}
	}
}

// run lets the camera go on and polls.
func (h *history) run() {
	for n := range 150 {
		if n > 0 {
			h.step()
			if h.chance(2) {
				h.sleep(time.Duration(h.random.IntN(25)) * time.Minute) // silence
			}
			if h.store.failSave = h.store.failSave && h.chance(60) ||
				h.chance(5); h.store.failSave {
				h.restart(1) // what was not saved is computed again
			}
		}
		if h.chance(40) && n > 0 {
			continue
		}
		if h.chance(20) {
			h.restart(h.random.IntN(2))
		}
		h.model.Later = h.model.Later[:0]
		for _, f := range h.stored {
			if f.Sequence > h.created {
				h.model.Later = append(h.model.Later, f)
			}
		}
		h.model.Run()
		for _, track := range h.model.Tracks {
			h.poll(n, track)
		}
		if h.chance(50) {
			h.pollDASH(n)
		}
	}
}

// pollDASH asks the services for the manifest, which lists what the playlists do.
func (h *history) pollDASH(n int) {
	h.Helper()
	lists := map[int]*timelinetest.Listing{}
	for _, track := range h.model.Tracks {
		lists[track.Number] = h.model.Listing(track, h.camera.Now,
			h.camera.Now-time.Hour.Milliseconds())
	}
	for i, s := range h.services {
		if h.chance(30) {
			continue
		}
		got, err := s.DASHManifest(h.Context(), h.dash)
		if err != nil {
			for track, l := range lists {
				if l != nil && len(l.Segments) > 0 {
					h.Fatalf("poll %d of service %d: %v, with segments of track %d", n, i, err,
						track)
				}
			}
			continue
		}
		if h.chance(30) {
			wantZipped(h.T, got)
		}
		m := h.watch.read(textOf(got))
		if lists[h.model.Tracks[0].Number] == nil {
			h.Fatalf("poll %d of service %d: nothing is listed, but\n%s", n, i, got.Text)
		}
		over := lists[h.model.Tracks[0].Number].Over
		if over && h.overSince == 0 {
			h.overSince = h.camera.Now
		}
		// the last segment is listed for two updates before
		late := m.Type == "dynamic" && over &&
			float64(h.camera.Now-h.overSince) >= 2000*seconds(h.T, m.MinimumUpdatePeriod)
		if m.Type == "static" && !over || late {
			h.Errorf("poll %d: %s, and the playlist's end is %v", n, m.Type, over)
		}
		listed := map[int][]string{}
		first := map[int]int{}
		for _, p := range m.Period {
			for _, a := range p.AdaptationSet {
				track := a.Representation.ID
				if listed[track] == nil {
					first[track] = a.SegmentTemplate.StartNumber
				}
				for _, e := range a.SegmentTemplate.S {
					listed[track] = append(listed[track], e.FN)
				}
			}
		}
		for track, l := range lists {
			var want []string
			for j := range l.Segments {
				want = append(want, h.stream.FormatNumber(l.Segments[j].Number))
			}
			// The manifest is asked for less often, and so may have lost more commits.
			if !slices.Equal(listed[track], want) ||
				len(want) > 0 && first[track] < l.MediaSequence+1 {
				h.Fatalf("poll %d of service %d, track %d: lists %d from %d on, want %d from "+
					"%d\n%s", n, i, track, len(listed[track]), first[track], len(want),
					l.MediaSequence+1, got.Text)
			}
		}
		if h.Failed() {
			h.Fatalf("poll %d of service %d:\n%s", n, i, got.Text)
		}
	}
}

// poll asks the services for the playlist of a track.
func (h *history) poll(n int, track media.Track) {
	h.Helper()
	want := h.playlist(track)
	for i, s := range h.services {
		if h.chance(30) {
			continue // not every process is asked each time
		}
		got, err := s.MediaPlaylist(h.Context(), h.token, track.Number)
		if err != nil && want != "" {
			h.Fatalf("poll %d of service %d: %v", n, i, err)
		}
		if got != nil && h.chance(3) { // the most expensive check
			wantZipped(h.T, got)
		}
		if text := textOf(got); text != want {
			h.Fatalf("poll %d of service %d, track %d: %s", n, i, track.Number,
				timelinetest.Difference(text, want))
		}
		if want != "" {
			h.checks[track.Number].reload(want)
		}
	}
}

// playlist returns the text that a track must have now, empty if nothing is listed.
func (h *history) playlist(track media.Track) string {
	l := h.model.Listing(track, h.camera.Now, h.camera.Now-time.Hour.Milliseconds())
	if l == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:7\n")
	fmt.Fprintf(&b, "#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n", l.Target,
		l.MediaSequence)
	if l.Marked {
		fmt.Fprintf(&b, "#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", l.Discontinuity)
	}
	if l.Independent {
		b.WriteString("#EXT-X-INDEPENDENT-SEGMENTS\n")
	}
	mapped := -1
	for i := range l.Segments {
		s := &l.Segments[i]
		b.WriteString(strings.Repeat("#EXT-X-DISCONTINUITY\n", s.Tags))
		if mapped != s.Generation {
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=\"getMP4InitFragment.mp4?"+
				"SessionToken=%s&TrackNumber=%d&SequenceNumber=%d\"\n",
				h.token, track.Number, s.Generation)
			mapped = s.Generation
		}
		h.writeSegment(&b, track, s)
	}
	if l.Over {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.String()
}

func (h *history) writeSegment(b *strings.Builder, track media.Track, s *timelinetest.Segment) {
	if h.timestamps {
		at := time.UnixMilli(s.Date).UTC().Format("2006-01-02T15:04:05.000Z")
		fmt.Fprintf(b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", strings.Replace(at, ".000Z", "Z", 1))
	}
	seconds := strconv.FormatFloat(float64(s.Millis)/1000, 'f', -1, 64)
	if !strings.Contains(seconds, ".") {
		seconds += ".0"
	}
	fmt.Fprintf(b, "#EXTINF:%s,\n"+
		"getMP4MediaFragment.mp4?FragmentNumber=%s&SessionToken=%s&TrackNumber=%d", seconds,
		h.stream.FormatNumber(s.Number), h.token, track.Number)
	if s.From > 0 {
		fmt.Fprintf(b, "&StartOffset=%d", s.From)
	}
	if s.Until > 0 {
		fmt.Fprintf(b, "&EndOffset=%d", s.Until)
	}
	if s.Silence != [2]int64{} {
		fmt.Fprintf(b, "&SilenceStart=%d&SilenceEnd=%d", s.Silence[0], s.Silence[1])
	}
	b.WriteString("\n")
}

// wantZipped checks that the gzip form of a playlist is that of its text.
func wantZipped(t *testing.T, p *Playlist) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(p.Gzip()))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !bytes.Equal(text, p.Text) {
		t.Fatalf("unzipped: %v: %s", err, timelinetest.Difference(string(text), string(p.Text)))
	}
}

func textOf(p *Playlist) string {
	if p == nil {
		return ""
	}
	return string(p.Text)
}
