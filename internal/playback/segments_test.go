package playback

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

// A session's segments are a header, whose decode times begin near zero, and the frames as they
// were stored. Every process sends the same bytes.
func TestSegments(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	r.camera.sendMedia()
	var sent []store.FragmentInfo
	var records []*store.Record
	for range 3 {
		sent = append(sent, r.camera.sendMedia(func(rec *store.Record) {
			records = append(records, rec)
		}))
	}
	in := r.input()
	in.MaxMediaPlaylistFragmentResults = 3
	token := r.open(in)
	origin := sent[0].ProducerTimestamp
	if sent[0].Spans[1].BaseDecodeTime*1000/44100 < origin {
		origin-- // audio begins a fraction of a sample earlier
	}
	for _, track := range []media.Track{videoTrack(), audioTrack()} {
		init, err := r.service.InitSegment(t.Context(), token, track.Number, 0)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := fmp4.InitSegment(&track); !bytes.Equal(init, want) {
			t.Errorf("init segment of track %d is another one", track.Number)
		}
		for i := range sent {
			r.wantSegment(token, &track, sent[i], records[i], origin)
		}
	}
	if r.store.OpenNow() != 0 {
		t.Errorf("%d fragments left open", r.store.OpenNow())
	}
}

// wantSegment checks the segment of a track of a stored fragment, from two processes, in a session
// whose media begins at origin (milliseconds).
func (r *rig) wantSegment(token string, track *media.Track, info store.FragmentInfo,
	rec *store.Record, origin int64) {
	r.Helper()
	ref := sessionurl.Segment{Track: track.Number, Number: r.stream.FormatNumber(info.Number)}
	s, err := r.service.MediaSegment(r.Context(), token, ref)
	if err != nil {
		r.Fatal(err)
	}
	defer s.Close()
	header := int64(len(s.Header))
	var body bytes.Buffer
	if err := s.WriteRange(&body, header, s.Length-header); err != nil {
		r.Fatal(err)
	}
	run := &rec.Runs[track.Number-1]
	wantHeader, err := fmp4.AppendMediaHeader(nil, track, run, uint32(info.Sequence),
		run.BaseDecodeTime-origin*int64(track.Timescale)/1000)
	if err != nil {
		r.Fatal(err)
	}
	if !bytes.Equal(s.Header, wantHeader) {
		r.Errorf("header of fragment %d, track %d:\n%x\nwant\n%x", info.Number, track.Number,
			s.Header, wantHeader)
	}
	if !bytes.Equal(body.Bytes(), rec.Payload[track.Number-1]) {
		r.Errorf("fragment %d, track %d: other frames", info.Number, track.Number)
	}
	again, err := r.another().MediaSegment(r.Context(), token, ref)
	if err != nil {
		r.Fatal(err)
	}
	defer again.Close()
	if !bytes.Equal(again.Header, s.Header) {
		r.Errorf("another process sends other bytes of fragment %d", info.Number)
	}
}

// A session opens only what it lists, nothing else of its stream or of another.
func TestSegmentsThatASessionDoesNotOpen(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	old := r.camera.sendMedia()
	sent := []store.FragmentInfo{r.camera.sendMedia(), r.camera.sendMedia(), r.camera.sendMedia()}
	in := r.input()
	in.MaxMediaPlaylistFragmentResults = 3
	token := r.open(in)
	foreign := r.stream
	foreign.NumberTag++
	late := r.camera.info(r.camera.NextNumber())
	late.Partial = true
	r.camera.commit(late, 0)
	for name, c := range map[string]struct {
		track  int
		number string
	}{
		"before the session":   {1, r.stream.FormatNumber(old.Number)},
		"of another stream":    {1, foreign.FormatNumber(sent[0].Number)},
		"not a number":         {1, "fragment"},
		"never stored":         {1, r.stream.FormatNumber(sent[2].Number + 1)},
		"partial":              {1, r.stream.FormatNumber(late.Number)},
		"of no packaged track": {3, r.stream.FormatNumber(sent[0].Number)},
	} {
		_, err := r.service.MediaSegment(t.Context(), token,
			sessionurl.Segment{Track: c.track, Number: c.number})
		wantError(t, err, api.ResourceNotFoundException, "")
		if err == nil {
			t.Errorf("fragment %s was served", name)
		}
	}
	_, err := r.service.InitSegment(t.Context(), token, 1, 1)
	wantError(t, err, api.ResourceNotFoundException, "")
	_, err = r.service.InitSegment(t.Context(), token, 3, 0)
	wantError(t, err, api.ResourceNotFoundException, "")
	_, err = r.service.MediaPlaylist(t.Context(), token, 3)
	wantError(t, err, api.ResourceNotFoundException, "track 3")

	recording := r.open(r.recording("", sent[1].ServerTimestamp, sent[1].ServerTimestamp+1))
	for i, want := range []bool{false, true, false} {
		s, err := r.service.MediaSegment(t.Context(), recording,
			sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(sent[i].Number)})
		if want && err != nil {
			t.Error(err)
		} else if !want {
			wantError(t, err, api.ResourceNotFoundException, "")
		} else {
			s.Close()
		}
	}
	long := r.input()
	long.Expires = 43_200
	token = r.open(long)
	r.store.Sleep(time.Hour)
	_, err = r.service.MediaSegment(t.Context(), token,
		sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(sent[1].Number)})
	wantError(t, err, api.ResourceNotFoundException, "")
}

// decodeTimeOf finds the tfdt in a segment header.
func decodeTimeOf(t *testing.T, header []byte) uint64 {
	t.Helper()
	i := bytes.Index(header, []byte("tfdt"))
	if i < 0 {
		t.Fatal("no tfdt")
	}
	return binary.BigEndian.Uint64(header[i+8:])
}

// After a camera's clock was set back, or forward by days, decode times are small, and there is a
// discontinuity even under NEVER.
func TestClockThatIsSet(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.sendMedia()
	in := r.input()
	in.DiscontinuityMode = api.DiscontinuityNever
	token := r.open(in)
	start := r.camera.Time
	for _, clock := range []int64{start - 86_400_000*400, start + 86_400_000*400} {
		r.camera.Time = clock
		i := r.camera.sendMedia()
		s, err := r.service.MediaSegment(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(i.Number)})
		if err != nil {
			t.Fatal(err)
		}
		if at := decodeTimeOf(t, s.Header); at > 48*3600*90_000 {
			t.Errorf("decode time %d", at)
		}
		s.Close()
	}
	r.camera.sendMedia()
	if n := strings.Count(r.playlist(r.service, token, 1), "#EXT-X-DISCONTINUITY\n"); n != 2 {
		t.Errorf("%d discontinuities, want 2", n)
	}
}
