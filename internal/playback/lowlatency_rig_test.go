package playback

import (
	"bytes"
	"context"
	"log/slog"
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

// lowRig is a camera whose frames come in one by one, and a session with parts of it. It runs in a
// bubble of testing/synctest.
type lowRig struct {
	*rig
	edge  *live.Edge
	began time.Time
	token string
	seen  map[int]*conformance.Media // by track: the playlist as last read
	parts map[string][]byte          // by URI: every part that was ever read
	grows bool                       // EXT-X-INDEPENDENT-SEGMENTS may go: slices have no key frame
}

// lowLatencyTest runs a test with a session that has begun with three fragments of two seconds.
func lowLatencyTest(t *testing.T, tracks []media.Track, test func(*testing.T, *lowRig)) {
	t.Helper()
	lowLatencyTestAfter(t, 3, tracks, test)
}

// lowLatencyTestAfter is lowLatencyTest with another number of fragments.
func lowLatencyTestAfter(t *testing.T, fragments int, tracks []media.Track,
	test func(*testing.T, *lowRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &lowRig{rig: newRig(t, tracks...), edge: live.New(live.Options{}), began: time.Now(),
			seen: make(map[int]*conformance.Media), parts: make(map[string][]byte)}
		r.service = r.process()
		for range fragments {
			r.camera.sendMedia()
		}
		in := r.input()
		in.DiscontinuityMode = api.DiscontinuityOnDiscontinuity
		r.token = r.open(in)
		defer func() {
			r.service.Stop()
			synctest.Wait()
		}()
		test(t, r)
	})
}

// process is a server that lists parts.
func (r *lowRig) process() *Service {
	return New(Options{Store: r.store, Tokens: fakeTokens{}, Limits: patient(),
		Clock: r.store.Clock, Edge: r.edge, PartTarget: time.Second / 3,
		Logger: slog.New(slog.NewTextHandler(&r.log, nil))})
}

// sending is a fragment that is being sent: what it will be, and how much has come.
type sending struct {
	r       *lowRig
	rec     *store.Record
	edge    *live.Fragment
	payload [][]byte // of each track, as the edge has it
	sent    []int    // blocks, of each track
	freed   bool     // the payload was given back
}

// knownRun is the draft of a run that the test knows: all but the last block are final.
type knownRun struct{ run *media.Run }

func (k knownRun) Final(samples []media.Sample) media.Run {
	run := *k.run
	run.Frames = run.Frames[:len(samples)-1]
	return run
}

// begin begins a fragment.
func (r *lowRig) begin(change ...func(*store.Record)) *sending {
	f := &sending{r: r, rec: r.camera.media()}
	for _, change := range change {
		change(f.rec)
	}
	head := live.Head{Number: f.rec.Number, ProducerTimestamp: f.rec.ProducerTimestamp,
		ServerTimestamp: f.rec.ServerTimestamp, Tracks: f.rec.Tracks}
	for i := range f.rec.Runs {
		head.Drafts = append(head.Drafts, knownRun{&f.rec.Runs[i]})
		f.payload = append(f.payload, bytes.Clone(f.rec.Payload[i]))
	}
	f.sent = make([]int, len(f.rec.Runs))
	f.edge = r.edge.Begin(r.stream.ID, head)
	return f
}

// sentAgain is a fragment that is sent again under a number of its own.
func sentAgain(f *sending) func(*store.Record) {
	return func(rec *store.Record) {
		rec.Runs, rec.Payload = f.rec.Runs, f.rec.Payload
		rec.ProducerTimestamp, rec.Timecode = f.rec.ProducerTimestamp, f.rec.Timecode
	}
}

// grown makes a fragment of the camera last ten seconds, with one key frame.
func grown(rec *store.Record) {
	for i := range rec.Runs {
		run := &rec.Runs[i]
		frames := len(run.Frames)
		for n := frames; n < 5*frames; n++ {
			like := 1 + n%(frames-1) // not the key frame
			run.Frames = append(run.Frames, run.Frames[like])
			data := bytes.Clone(rec.Payload[i][10*like : 10*like+10])
			data[9] = byte(n)
			rec.Payload[i] = append(rec.Payload[i], data...)
		}
	}
}

// beginGrown begins a fragment that lasts ten seconds, when players have begun.
func (r *lowRig) beginGrown() *sending {
	for time.Since(r.began) < 5*time.Second {
		r.begin().store()
	}
	f := r.begin(grown)
	r.camera.Time += 8000
	r.grows = true
	return f
}

// until sends the blocks that begin in the first millis milliseconds of the fragment, at their
// times.
func (f *sending) until(millis int64) {
	for {
		next, at := -1, int64(1<<62)
		for i := range f.rec.Runs {
			run := f.rec.Runs[i]
			if f.sent[i] == len(run.Frames) {
				continue
			}
			run.Frames = run.Frames[:f.sent[i]]
			if t := run.Duration() * 1000 / int64(f.rec.Tracks[i].Timescale); t < at {
				next, at = i, t
			}
		}
		if next < 0 || at >= millis {
			return
		}
		if ahead := f.rec.ServerTimestamp + at - f.r.store.Clock().UnixMilli(); ahead > 0 {
			f.r.camera.pass(ahead)
			time.Sleep(time.Duration(ahead) * time.Millisecond)
		}
		run := &f.rec.Runs[next]
		f.sent[next]++
		samples := make([]media.Sample, f.sent[next])
		scale := int64(f.rec.Tracks[next].Timescale)
		for j, decoded := 0, run.BaseDecodeTime; j < len(samples); j++ {
			samples[j] = media.Sample{Size: run.Frames[j].Size,
				Time: decoded/scale*1e9 + decoded%scale*1e9/scale}
			decoded += int64(run.Frames[j].Duration)
		}
		size := 10 * f.sent[next]
		f.edge.Add(next, samples, f.payload[next][:size], time.Now())
		synctest.Wait()
	}
}

// store ends the fragment and stores it.
func (f *sending) store() store.FragmentInfo {
	f.until(1 << 40)
	f.edge.Whole(&f.rec.Fragment)
	synctest.Wait()
	info := f.r.store.Commit(f.rec, 0)
	f.edge.Stored(info)
	f.release()
	synctest.Wait()
	return info
}

// release ends the sending. The payload is spoilt when another fragment could use its buffers.
func (f *sending) release() {
	f.edge.Release(100, func() {
		f.freed = true
		for i := range f.payload {
			clear(f.payload[i])
		}
	})
}

// breakOff ends the fragment, whose producer does not come back.
func (f *sending) breakOff() {
	f.cutOff()
	time.Sleep(linger)
	synctest.Wait()
}

// linger is how long the edge shows fragments that have ended.
const linger = 5 * time.Second

// cutOff ends the fragment, whose producer may come back.
func (f *sending) cutOff() {
	f.edge.BrokenOff()
	f.release()
	synctest.Wait()
}

func (r *lowRig) sessionID() string {
	claims, err := fakeTokens{}.Open(r.token)
	if err != nil {
		r.Fatal(err)
	}
	return claims.SessionID
}

// read reads a track's playlist and every part in it, and checks both against the rules and what
// was read before.
func (r *lowRig) read(track int) *conformance.Media {
	r.Helper()
	return r.take(track, r.reload(track, sessionurl.Directives{}))
}

func (r *lowRig) reload(track int, d sessionurl.Directives) string {
	r.Helper()
	text, err := r.service.ReloadPlaylist(r.Context(), r.token,
		sessionurl.MediaPlaylist{Track: track, Directives: d})
	if err != nil {
		r.Fatal(err)
	}
	return string(text.Text)
}

func (r *lowRig) take(track int, text string) *conformance.Media {
	r.Helper()
	m, faults := conformance.ParseMedia([]byte(text))
	if before := r.seen[track]; before != nil {
		faults = append(faults, conformance.CheckReload(before, m)...)
	}
	for _, f := range faults {
		if !r.grows || f.Rule != conformance.HeaderChanged ||
			!strings.Contains(f.Detail, "EXT-X-INDEPENDENT-SEGMENTS from true") {
			r.Errorf("%v\n%s", f, text)
		}
	}
	r.seen[track] = m
	for i := range m.Segments {
		r.takeParts(&m.Segments[i])
	}
	r.takeParts(&m.Open)
	return m
}

func (r *lowRig) takeParts(s *conformance.Segment) {
	r.Helper()
	for i := range s.Parts {
		if !s.Parts[i].Gap {
			r.part(s.Parts[i].URI)
		}
	}
}

// part reads a part, and checks that it never changes.
func (r *lowRig) part(uri string) []byte {
	r.Helper()
	data, err := r.getPart(r.Context(), uri)
	if err != nil {
		r.Fatalf("%s: %v", uri, err)
	}
	if before, ok := r.parts[uri]; ok && !bytes.Equal(before, data) {
		r.Errorf("%s has changed", uri)
	}
	r.parts[uri] = data
	return data
}

// openPart returns a part, which the caller closes.
func (r *lowRig) openPart(uri string) *Segment {
	r.Helper()
	ref, err := sessionurl.ParsePart(uri[strings.IndexByte(uri, '?')+1:])
	if err != nil {
		r.Fatal(err)
	}
	part, err := r.service.MediaPart(r.Context(), r.token, ref)
	if err != nil {
		r.Fatal(err)
	}
	return part
}

func (r *lowRig) getPart(ctx context.Context, uri string) ([]byte, error) {
	r.Helper()
	ref, err := sessionurl.ParsePart(uri[strings.IndexByte(uri, '?')+1:])
	if err != nil {
		r.Fatal(err)
	}
	part, err := r.service.MediaPart(ctx, r.token, ref)
	if err != nil {
		return nil, err
	}
	defer part.Close()
	return contentOf(r.T, part), nil
}

// contentOf returns all bytes of a segment.
func contentOf(t *testing.T, s *Segment) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := s.WriteRange(&out, 0, s.Length); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// whole reads a segment.
func (r *lowRig) whole(uri string) []byte {
	r.Helper()
	if strings.HasPrefix(uri, "getMP4PartialFragment.mp4") {
		data, err := r.getPart(r.Context(), uri)
		if err != nil {
			r.Fatalf("%s: %v", uri, err)
		}
		return data
	}
	ref, err := sessionurl.ParseSegment(uri[strings.IndexByte(uri, '?')+1:])
	if err != nil {
		r.Fatal(err)
	}
	segment, err := r.service.MediaSegment(r.Context(), r.token, ref)
	if err != nil {
		r.Fatalf("%s: %v", uri, err)
	}
	defer segment.Close()
	return contentOf(r.T, segment)
}

// samplesOf checks that the parts of segments have the samples of the whole segments.
func (r *lowRig) samplesOf(track int, m *conformance.Media) {
	r.Helper()
	t := r.camera.Tracks[track-1]
	data, err := fmp4.InitSegment(&t)
	if err != nil {
		r.Fatal(err)
	}
	in, faults := conformance.ParseInit(data)
	for i := range m.Segments {
		s := &m.Segments[i]
		if len(s.Parts) == 0 || s.Gap {
			continue
		}
		var parts [][]byte
		for j := range s.Parts {
			parts = append(parts, r.part(s.Parts[j].URI))
		}
		faults = append(faults, conformance.CheckParts(in, s, m.PartTarget, parts,
			r.whole(s.URI))...)
	}
	for _, f := range faults {
		r.Error(f)
	}
}

// listed returns how many parts of the open fragment are listed, and their duration in
// milliseconds.
func listed(m *conformance.Media) (parts int, millis int64) {
	for _, p := range m.Open.Parts {
		millis += p.Duration.Milliseconds()
	}
	return len(m.Open.Parts), millis
}

// segments reads every segment of a track's playlist, and checks that none ever changes.
func (r *lowRig) segments(m *conformance.Media) {
	r.Helper()
	for i := range m.Segments {
		s := &m.Segments[i]
		if s.Gap {
			continue
		}
		data := r.whole(s.URI)
		if before, ok := r.parts[s.URI]; ok && !bytes.Equal(before, data) {
			r.Errorf("segment %d has changed: %s", s.Sequence, s.URI)
		}
		r.parts[s.URI] = data
	}
}

// ends returns when what is listed ends, on the camera's clock.
func ends(m *conformance.Media) time.Time {
	last := &m.Segments[len(m.Segments)-1]
	end := last.Date.Add(last.Duration)
	for i := range m.Open.Parts {
		end = end.Add(m.Open.Parts[i].Duration)
	}
	return end
}
