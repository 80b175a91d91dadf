package fragments

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// chunkRead is a chunk as a Matroska reader sees it.
type chunkRead struct {
	order  string // its elements in order: H(eader), T(ags), C(luster), B(locks)
	tags   []string
	cut    int64            // timecode of the cluster
	times  map[int][]int64  // of frames by track
	frames map[int][]string // likewise
	blocks []int            // tracks of the blocks, in order
}

func (c *chunkRead) tag(name string) string {
	for _, t := range c.tags {
		if value, ok := strings.CutPrefix(t, name+"="); ok {
			return value
		}
	}
	return ""
}

// readChunks parses an answer.
func readChunks(t *testing.T, answer []byte) (chunks []*chunkRead) {
	t.Helper()
	r := mkv.NewReader(bytes.NewReader(answer), mkv.DefaultLimits())
	var c *chunkRead
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			return chunks
		}
		if err != nil {
			t.Fatalf("chunk %d: %v", len(chunks), err)
		}
		switch ev.Kind {
		case mkv.DocumentStart:
			c = &chunkRead{times: map[int][]int64{}, frames: map[int][]string{}, order: "H"}
			chunks = append(chunks, c)
		case mkv.TagsEvent:
			c.order += "T"
			for _, tag := range ev.Tags {
				c.tags = append(c.tags, tag.Name+"="+tag.Value)
			}
		case mkv.ClusterStart:
			c.order += "C"
			c.cut = ev.Timecode
		case mkv.Frame:
			data, err := r.AppendPayload(nil)
			if err != nil {
				t.Fatal(err)
			}
			c.times[ev.Track] = append(c.times[ev.Track], ev.Timecode)
			c.frames[ev.Track] = append(c.frames[ev.Track], string(data))
			c.blocks = append(c.blocks, ev.Track)
		}
	}
}

// listed returns the answer of GetMediaForFragmentList.
func (r *rig) listed(numbers ...store.Number) []*chunkRead {
	r.Helper()
	in := &api.GetMediaForFragmentListInput{}
	for _, n := range numbers {
		in.Fragments = append(in.Fragments, r.stream.FormatNumber(n))
	}
	l, err := r.service.GetMediaForFragmentList(r.stream, in)
	if err != nil {
		r.Fatal(err)
	}
	var b bytes.Buffer
	if err := l.Write(r.Context(), &b); err != nil {
		r.Fatal(err)
	}
	return readChunks(r.T, b.Bytes())
}

// A fragment comes out with its header, its numbers and tags, and the frames that went in, at their
// times. The tracks' frames are interleaved, as decoders need them. Fragments come in the order of
// the request; in place of one that is not there comes an error.
func TestGetMediaForFragmentList(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video(), cameratest.Audio())
	var rec *store.Record
	first := x.camera.Send()
	second := x.camera.Send(func(r *store.Record) {
		rec = r
		rec.Tags = []media.Tag{{Name: "place", Value: "north"}, {Name: "n", Value: "2"}}
	})
	chunks := x.listed(second.Number, second.Number+4096, first.Number)
	if len(chunks) != 3 {
		t.Fatalf("%d chunks", len(chunks))
	}
	n := x.stream.FormatNumber(second.Number)
	want := []string{
		"AWS_KINESISVIDEO_FRAGMENT_NUMBER=" + n,
		fmt.Sprintf("AWS_KINESISVIDEO_SERVER_TIMESTAMP=%d.%03d", second.ServerTimestamp/1000,
			second.ServerTimestamp%1000),
		fmt.Sprintf("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP=%d.%03d", second.ProducerTimestamp/1000,
			second.ProducerTimestamp%1000),
		"place=north", "n=2",
	}
	c := chunks[0]
	if c.order != "HTTC" || !slices.Equal(c.tags, want) || c.cut != second.ProducerTimestamp {
		t.Errorf("chunk %s at %d with %v", c.order, c.cut, c.tags)
	}
	for i, run := range rec.Runs {
		payload, at := rec.Payload[i], 0
		for j, f := range run.Frames {
			frame := string(payload[at : at+int(f.Size)])
			at += int(f.Size)
			if got := c.frames[run.Track]; j >= len(got) || got[j] != frame {
				t.Fatalf("frame %d of track %d is another", j, run.Track)
			}
		}
	}
	if times := c.times[1]; len(times) != 50 || times[0] != c.cut || times[49] != c.cut+49*40 {
		t.Errorf("video at %v", times)
	}
	if times := c.times[2]; times[0] != c.cut || times[1] != c.cut+23 || times[2] != c.cut+46 {
		t.Errorf("audio at %v", times[:3])
	}
	if got := fmt.Sprint(c.blocks[:8]); got != "[2 1 2 1 2 2 1 2]" {
		t.Errorf("tracks of the blocks: %s", got)
	}
	missing := x.stream.FormatNumber(second.Number + 4096)
	if want := []string{"AWS_KINESISVIDEO_FRAGMENT_NUMBER=" + missing,
		"AWS_KINESISVIDEO_ERROR_CODE=FRAGMENT_NOT_FOUND", "AWS_KINESISVIDEO_ERROR_ID=3000",
		"AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE=3000",
		"AWS_KINESISVIDEO_EXCEPTION_MESSAGE=The fragment is not stored, or past retention.",
	}; chunks[1].order != "HT" || !slices.Equal(chunks[1].tags, want) {
		t.Errorf("a missing one is %s %v", chunks[1].order, chunks[1].tags)
	}
	if got := chunks[2].tag("AWS_KINESISVIDEO_FRAGMENT_NUMBER"); got != x.stream.FormatNumber(
		first.Number) {
		t.Errorf("the last chunk is %s", got)
	}
	for _, bad := range []string{"1", strings.Repeat("9", 47), n[:46]} {
		_, err := x.service.GetMediaForFragmentList(x.stream, &api.GetMediaForFragmentListInput{
			Fragments: []string{n, bad}})
		if !errors.Is(err, &api.Error{Code: api.InvalidArgumentException,
			Message: "Fragment numbers are invalid : " + bad}) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if x.store.OpenNow() != 0 {
		t.Errorf("%d fragments are still open", x.store.OpenNow())
	}
}

// The producer's own header comes out, with its scale of timecodes. Its tags follow those of the
// service, which clients look for first.
func TestChunkOfAProducersHeader(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	var b bytes.Buffer
	w := mkv.NewWriter(&b)
	if err := w.WriteHeader(mkv.Header{Tracks: x.camera.Tracks, Title: "a camera",
		TimestampScale: 100_000}); err != nil {
		t.Fatal(err)
	}
	seekHead := []byte{0x11, 0x4D, 0x9B, 0x74, 0x80}
	at := bytes.Index(b.Bytes(), []byte{0x15, 0x49, 0xA9, 0x66})
	header := slices.Insert(bytes.Clone(b.Bytes()), at, seekHead...)
	info := x.camera.Send(func(rec *store.Record) {
		rec.Header = mkv.AppendTags(header, []media.Tag{{Name: "ENCODER", Value: "x"}})
		rec.Tags = []media.Tag{{Name: "own", Value: "y"}}
		// three pictures in a block each and one in two; the second is shown last
		run := &rec.Runs[0]
		run.Frames = run.Frames[:5]
		rec.Payload[0] = rec.Payload[0][:50]
		run.BaseDecodeTime = rec.ProducerTimestamp*90 - 9 // between two units
		for i, f := range []media.Frame{{Duration: 3600, CompositionOffset: 3600, Key: true},
			{Marks: media.Joined}, {Duration: 3600, CompositionOffset: 7200},
			{Duration: 3600, CompositionOffset: -3600}, {Duration: 3600}} {
			f.Size = 10
			run.Frames[i] = f
		}
	})
	c := x.listed(info.Number)[0]
	if c.order != "HTTTC" || c.cut != info.ProducerTimestamp*10 ||
		!strings.HasPrefix(c.tags[0], "AWS_KINESISVIDEO_FRAGMENT_NUMBER=") ||
		c.tags[3] != "ENCODER=x" || c.tags[4] != "own=y" {
		t.Errorf("chunk %s at %d with %v", c.order, c.cut, c.tags)
	}
	for i := range c.times[1] {
		c.times[1][i] -= c.cut
	}
	if got := fmt.Sprint(c.times[1]); got != "[399 399 1199 399 1199]" {
		t.Errorf("times %s in units of 0.1 ms", got)
	}
}

// With a very fine scale of timecodes, frames come out at their times, in as many clusters as the
// 16 bits of a block's time require.
func TestChunkOfAFineScale(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video(), cameratest.Audio())
	var b bytes.Buffer
	if err := mkv.NewWriter(&b).WriteHeader(mkv.Header{Tracks: x.camera.Tracks,
		TimestampScale: 1000}); err != nil {
		t.Fatal(err)
	}
	info := x.camera.Send(func(rec *store.Record) { rec.Header = b.Bytes() })
	c := x.listed(info.Number)[0]
	if !strings.HasPrefix(c.order, "HTCC") || len(c.times[1]) != 50 || len(c.times[2]) != 86 {
		t.Fatalf("chunk %s of %d and %d frames", c.order, len(c.times[1]), len(c.times[2]))
	}
	for i, at := range c.times[1] {
		if want := (info.ProducerTimestamp + int64(i)*40) * 1000; at != want {
			t.Errorf("picture %d at %d, want %d", i, at, want)
		}
	}
}

// In place of a damaged fragment comes an error, and the others come whole. If the bytes of a
// fragment end early, the answer is broken off.
func TestChunkOfADamagedFragment(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	a, b := x.camera.Send(), x.camera.Send()
	x.store.Fail(a.Number, cameratest.Fails(store.ErrCorrupt))
	chunks := x.listed(a.Number, b.Number)
	if len(chunks) != 2 || chunks[0].tag("AWS_KINESISVIDEO_ERROR_ID") != "5000" ||
		chunks[1].tag("AWS_KINESISVIDEO_ERROR_ID") != "" || len(chunks[1].frames[1]) != 50 {
		t.Errorf("%d chunks, the first with %v", len(chunks), chunks[0].tags)
	}
	x.store.Fail(a.Number, cameratest.Fails(errors.New("disk on fire")))
	l, err := x.service.GetMediaForFragmentList(x.stream, &api.GetMediaForFragmentListInput{
		Fragments: []string{x.stream.FormatNumber(a.Number)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(t.Context(), io.Discard); err == nil ||
		!strings.Contains(err.Error(), "on fire") {
		t.Errorf("a disk that fails: %v", err)
	}
	x.store.Fail(a.Number, func(r store.Range) (store.Range, error) {
		return r.Slice(0, r.Size()-1), nil
	})
	if err := l.Write(t.Context(), io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("media that ends early: %v", err)
	}
}
