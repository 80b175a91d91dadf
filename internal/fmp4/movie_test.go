package fmp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"weir/internal/media"
)

// shown is a sample as a player finds it: where it is in the file, and when it is presented, in
// movie ticks.
type shown struct {
	offset, size int64
	at           int64
	key          bool
	hidden       bool // by an edit list
}

// box finds the body of a box by its path.
func box(t *testing.T, data []byte, path ...string) []byte {
	t.Helper()
	for _, typ := range path {
		found := false
		for len(data) >= 8 {
			size, head := int(binary.BigEndian.Uint32(data)), 8
			if size == 1 {
				size, head = int(binary.BigEndian.Uint64(data[8:])), 16
			}
			if string(data[4:8]) == typ {
				data, found = data[head:size], true
				break
			}
			data = data[min(size, len(data)):]
		}
		if !found {
			return nil
		}
	}
	return data
}

// words returns what a table has after its count.
func words(b []byte) (out []int64) {
	for b = b[8:]; len(b) >= 4; b = b[4:] {
		out = append(out, int64(binary.BigEndian.Uint32(b)))
	}
	return out
}

// readTrack follows the tables of a track as ISO/IEC 14496-12 clause 8 says.
func readTrack(t *testing.T, trak []byte) (list []shown, scale int64) {
	t.Helper()
	mdhd := box(t, trak, "mdia", "mdhd")
	scale = int64(binary.BigEndian.Uint32(mdhd[12:]))
	stbl := box(t, trak, "mdia", "minf", "stbl")
	stsz := words(box(t, stbl, "stsz"))
	constant := int64(binary.BigEndian.Uint32(box(t, stbl, "stsz")[4:]))
	count := stsz[0]
	var durations, offsets []int64
	for table := words(box(t, stbl, "stts")); len(table) > 0; table = table[2:] {
		durations = append(durations, slices.Repeat(table[1:2], int(table[0]))...)
	}
	if ctts := box(t, stbl, "ctts"); ctts != nil {
		for table := words(ctts); len(table) > 0; table = table[2:] {
			offsets = append(offsets, slices.Repeat(table[1:2], int(table[0]))...)
		}
	} else {
		offsets = make([]int64, count)
	}
	if int64(len(durations)) != count || int64(len(offsets)) != count {
		t.Fatalf("%d samples, %d durations, %d offsets", count, len(durations), len(offsets))
	}
	var chunks []int64
	if co64 := box(t, stbl, "co64"); co64 != nil {
		for b := co64[8:]; len(b) > 0; b = b[8:] {
			chunks = append(chunks, int64(binary.BigEndian.Uint64(b)))
		}
	} else {
		chunks = words(box(t, stbl, "stco"))
	}
	stss, some := words64(box(t, stbl, "stss"))
	stsc := words(box(t, stbl, "stsc"))
	at := int64(0)
	for i, place := range chunks {
		for len(stsc) > 3 && stsc[3] <= int64(i+1) {
			stsc = stsc[3:]
		}
		for range stsc[1] {
			n := len(list)
			size := constant
			if constant == 0 {
				size = stsz[1+n]
			}
			list = append(list, shown{offset: place, size: size, at: at + offsets[n],
				key: !some || contains(stss, int64(n+1))})
			place += size
			at += durations[n]
		}
	}
	if int64(len(list)) != count {
		t.Fatalf("chunks of %d samples, %d sizes", len(list), count)
	}
	present(t, trak, list, scale)
	return list, scale
}

func contains(sorted []int64, v int64) bool {
	_, ok := slices.BinarySearch(sorted, v)
	return ok
}

func words64(b []byte) ([]int64, bool) {
	if b == nil {
		return nil, false
	}
	return words(b), true
}

// present moves samples to where the edit list puts them.
func present(t *testing.T, trak []byte, list []shown, scale int64) {
	t.Helper()
	type entry struct{ length, from int64 }
	entries := []entry{{1 << 60, 0}}
	if elst := box(t, trak, "edts", "elst"); elst != nil {
		entries = nil
		for b := elst[8:]; len(b) > 0; {
			e := entry{int64(binary.BigEndian.Uint32(b)),
				int64(int32(binary.BigEndian.Uint32(b[4:])))}
			if elst[0] == 1 {
				e = entry{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}
				b = b[8:]
			}
			entries = append(entries, e)
			b = b[12:]
		}
	}
	for i := range list {
		s, movie := &list[i], int64(0)
		media := s.at
		s.hidden = true
		for _, e := range entries {
			if from := rescale(media-e.from, scale, movieTimescale); e.from >= 0 &&
				media >= e.from && from < e.length {
				s.at, s.hidden = movie+from, false
				break
			}
			movie += e.length
		}
	}
}

func write(t *testing.T, m *Movie) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d bytes of %d, %v", b.Len(), n, err)
	}
	var text bytes.Buffer
	if err := Dump(&text, b.Bytes()); err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	return b.Bytes()
}

// traks returns the bodies of the tracks.
func traks(t *testing.T, data []byte) (out [][]byte) {
	t.Helper()
	for b := box(t, data, "moov"); len(b) >= 8; b = b[binary.BigEndian.Uint32(b):] {
		if string(b[4:8]) == "trak" {
			out = append(out, b[8:binary.BigEndian.Uint32(b)])
		}
	}
	return out
}

const second = media.VideoTimescale

// pictures makes a run of 25 pictures a second, each of another size.
func pictures(at int64, n int, bframes bool) *media.Run {
	r := &media.Run{Track: 1, BaseDecodeTime: at}
	for i := range n {
		r.Frames = append(r.Frames, media.Frame{Duration: 3600, Size: uint32(100 + i), Key: i == 0})
	}
	if bframes { // I P B: presented 0 2 1
		for i := 1; i+1 < n; i += 2 {
			r.Frames[i].CompositionOffset, r.Frames[i+1].CompositionOffset = 3600, -3600
		}
	}
	return r
}

func sounds(at int64, n int) *media.Run {
	r := &media.Run{Track: 2, BaseDecodeTime: at}
	for i := range n {
		r.Frames = append(r.Frames, media.Frame{Duration: 1024, Size: uint32(50 + i), Key: true})
	}
	return r
}

func newMovie(t *testing.T, o MovieOptions, tracks ...MovieTrack) *Movie {
	t.Helper()
	m, err := NewMovie(tracks, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func add(t *testing.T, m *Movie, runs ...*media.Run) {
	t.Helper()
	var chunks []Chunk
	for _, r := range runs {
		chunks = append(chunks, Chunk{r.Track - 1, r})
	}
	if err := m.Add(chunks); err != nil {
		t.Fatal(err)
	}
}

// epoch is a decode time of 2026.
const epoch = 1_790_000_000

func TestMovieGolden(t *testing.T) {
	m := newMovie(t, MovieOptions{Created: epoch}, MovieTrack{avcTrack(), 3600},
		MovieTrack{aacTrack(), 0})
	add(t, m, pictures(epoch*second, 5, true), sounds(epoch*44100, 8))
	add(t, m, pictures(epoch*second+5*3600, 5, true), sounds(epoch*44100+8*1024, 8))
	golden(t, "movie", write(t, m))
}

func TestMovieHasSamplesWhereTheyLie(t *testing.T) {
	for _, wide := range []bool{false, true} {
		m := newMovie(t, MovieOptions{}, MovieTrack{avcTrack(), 3600}, MovieTrack{aacTrack(), 0})
		runs := []*media.Run{pictures(epoch*second, 5, true), sounds(epoch*44100, 8),
			pictures(epoch*second+5*3600, 7, true), sounds(epoch*44100+8*1024, 9)}
		if wide {
			runs[0].Frames[1].Size, runs[2].Frames[1].Size = 3<<30, 3<<30
		}
		add(t, m, runs[0], runs[1])
		add(t, m, runs[2], runs[3])
		data := write(t, m)
		place := int64(len(data))
		for i, r := range runs {
			list, _ := readTrack(t, traks(t, data)[i%2])
			if i >= 2 {
				list = list[len(runs[i-2].Frames):]
			}
			for k, f := range r.Frames {
				s := list[k]
				if s.offset != place || s.size != int64(f.Size) || s.key != f.Key || s.hidden {
					t.Fatalf("run %d frame %d is %+v, want %d bytes at %d", i, k, s, f.Size, place)
				}
				place += s.size
			}
		}
		if place != int64(len(data))+m.Payload() {
			t.Errorf("payload of %d bytes ends at %d", m.Payload(), place)
		}
		list, _ := readTrack(t, traks(t, data)[0])
		for i, want := range []int64{0, 2, 1, 4, 3, 5, 7, 6, 9, 8, 11, 10} {
			if list[i].at != want*3600 {
				t.Errorf("picture %d at %d, want %d", i, list[i].at, want*3600)
			}
		}
		if got := box(t, traks(t, data)[0], "mdia", "minf", "stbl", "co64") != nil; got != wide {
			t.Errorf("co64 %v for a payload of %d bytes", got, m.Payload())
		}
	}
}

func TestMovieGaps(t *testing.T) {
	for _, keep := range []bool{false, true} {
		m := newMovie(t, MovieOptions{KeepGaps: keep}, MovieTrack{avcTrack(), 0},
			MovieTrack{aacTrack(), 0})
		// A second of each, sound ending 20 ms before the pictures, then a gap of ten seconds.
		add(t, m, pictures(epoch*second, 25, false), sounds(epoch*44100, 42))
		add(t, m, pictures((epoch+11)*second, 25, false), sounds((epoch+11)*44100, 42))
		data := write(t, m)
		for i, n := range []int{25, 42} {
			list, _ := readTrack(t, traks(t, data)[i])
			want := int64(second)
			if keep {
				want = 11 * second
			}
			if got := list[len(list)-n].at; abs(got-want) > 3 {
				t.Errorf("keep %v: track %d goes on at %d, want %d", keep, i, got, want)
			}
			if list[0].at != 0 {
				t.Errorf("keep %v: track %d begins at %d", keep, i, list[0].at)
			}
		}
	}
}

// A clock that was set back does not make the movie's time run back.
func TestMovieClockStepsBack(t *testing.T) {
	m := newMovie(t, MovieOptions{KeepGaps: true}, MovieTrack{avcTrack(), 0})
	add(t, m, pictures(epoch*second, 25, false))
	add(t, m, pictures((epoch-3600)*second, 25, false))
	add(t, m, pictures((epoch-3600)*second+25*3600+40, 25, false))
	list, _ := readTrack(t, traks(t, write(t, m))[0])
	for i, want := range map[int]int64{0: 0, 25: second, 50: 2*second + 40} {
		if list[i].at != want {
			t.Errorf("picture %d at %d, want %d", i, list[i].at, want)
		}
	}
}

func TestMovieSilence(t *testing.T) {
	m := newMovie(t, MovieOptions{}, MovieTrack{avcTrack(), 0}, MovieTrack{aacTrack(), 0})
	add(t, m, pictures(epoch*second, 25, false), sounds(epoch*44100, 43))
	add(t, m, pictures((epoch+1)*second, 25, false))
	add(t, m, pictures((epoch+2)*second, 25, false), sounds((epoch+2)*44100, 43))
	data := write(t, m)
	silence := media.SilenceOf(aacTrack())
	list, _ := readTrack(t, traks(t, data)[1])
	if len(list) <= 86 {
		t.Fatalf("%d frames of sound", len(list))
	}
	for _, s := range list[43 : len(list)-43] {
		if !bytes.Equal(data[s.offset:s.offset+s.size], silence.Frame) {
			t.Fatalf("at %d there are %d bytes that are no silence", s.at, s.size)
		}
	}
	if got := list[len(list)-43].at; abs(got-2*second) > 2 {
		t.Errorf("sound is back at %d", got)
	}
}

func TestMovieTrim(t *testing.T) {
	m := newMovie(t, MovieOptions{}, MovieTrack{avcTrack(), 3600}, MovieTrack{aacTrack(), 0})
	m.Trim(epoch*1000+210, epoch*1000+1290) // in the 6th picture, in the 33rd
	add(t, m, pictures(epoch*second, 25, true), sounds(epoch*44100, 43))
	add(t, m, pictures((epoch+1)*second, 25, true), sounds((epoch+1)*44100, 43))
	data := write(t, m)
	list, _ := readTrack(t, traks(t, data)[0])
	var at []int64
	for _, s := range list {
		if !s.hidden {
			at = append(at, s.at/3600)
		}
	}
	slices.Sort(at)
	if len(at) != 28 || at[0] != 0 || at[27] != 27 {
		t.Errorf("pictures at %v, want 28 from 0 on", at)
	}
	audio, _ := readTrack(t, traks(t, data)[1])
	first := slices.IndexFunc(audio, func(s shown) bool { return !s.hidden })
	if want := 200 * second / 1000; audio[first].at > 2100 || first != want*44100/second/1024+1 {
		t.Errorf("sound begins with frame %d at %d", first, audio[first].at)
	}
}

// Sound that begins after the pictures does so in the movie.
func TestMovieTracksBeginApart(t *testing.T) {
	m := newMovie(t, MovieOptions{}, MovieTrack{avcTrack(), 0}, MovieTrack{aacTrack(), 0})
	add(t, m, pictures(epoch*second, 25, false), sounds(epoch*44100+22050, 21))
	data := write(t, m)
	for i, want := range []int64{0, second / 2} {
		if list, _ := readTrack(t, traks(t, data)[i]); list[0].at != want {
			t.Errorf("track %d begins at %d, want %d", i, list[0].at, want)
		}
	}
}

func g711Track() *media.Track {
	return &media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecACM, Timescale: 8000,
		CodecPrivate: unhex("06000100401f0000401f0000010008000000"), SampleRate: 8000, Channels: 1}
}

func TestMovieG711(t *testing.T) {
	m := newMovie(t, MovieOptions{}, MovieTrack{avcTrack(), 0}, MovieTrack{g711Track(), 0})
	block := func(at int64, n uint32) *media.Run {
		r := &media.Run{Track: 2, BaseDecodeTime: at}
		for range n / 160 {
			r.Frames = append(r.Frames, media.Frame{Duration: 160, Size: 160, Key: true})
		}
		return r
	}
	add(t, m, pictures(epoch*second, 25, false), block(epoch*8000, 8000))
	add(t, m, pictures((epoch+1)*second, 25, false), block((epoch+1)*8000+40, 4000))
	add(t, m, pictures((epoch+2)*second, 25, false), block((epoch+2)*8000, 8000))
	// half a second of it is there already
	add(t, m, pictures((epoch+3)*second, 25, false), block((epoch+3)*8000-4000, 8000))
	data := write(t, m)
	list, scale := readTrack(t, traks(t, data)[1])
	if len(list) != 28000 || scale != 8000 {
		t.Fatalf("%d samples at %d Hz", len(list), scale)
	}
	for i := 12000; i < 15000; i++ {
		if s := list[i]; s.offset >= int64(len(data)) || data[s.offset] != 0xd5 {
			t.Fatalf("sample %d is not silent", i)
		}
	}
	if s := list[16000]; s.at != 2*second {
		t.Errorf("the third second begins at %d", s.at)
	}
	if !bytes.Contains(data, []byte("alaw")) {
		t.Error("no sample entry of A-law")
	}
}

// failing is a Scratch that fails after left bytes.
type failing struct {
	memory
	left int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("no room")
	}
	return f.memory.Write(p)
}

func TestMovieSpills(t *testing.T) {
	long := func(scratch func() (Scratch, error)) ([]byte, error) {
		m := newMovie(t, MovieOptions{Scratch: scratch}, MovieTrack{avcTrack(), 3600},
			MovieTrack{aacTrack(), 0})
		for i := range int64(3000) {
			r := pictures((epoch+i)*second, 25, true)
			r.Frames[24].Duration += uint32(i % 3)
			if err := m.Add([]Chunk{{0, r}, {1, sounds((epoch+i)*44100, 43)}}); err != nil {
				return nil, err
			}
		}
		var b bytes.Buffer
		_, err := m.WriteTo(&b)
		return b.Bytes(), err
	}
	want, err := long(nil)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	got, err := long(func() (Scratch, error) { files++; return &memory{}, nil })
	if err != nil || !bytes.Equal(got, want) || files < 3 {
		t.Errorf("with %d files: %d bytes of %d, %v", files, len(got), len(want), err)
	}
	list, _ := readTrack(t, traks(t, want)[0])
	if len(list) != 75000 {
		t.Errorf("%d pictures", len(list))
	}
	for _, room := range []int{0, 200_000} {
		if _, err := long(func() (Scratch, error) {
			return &failing{left: room}, nil
		}); err == nil {
			t.Errorf("no error for scratch room of %d bytes", room)
		}
	}
	if _, err := long(func() (Scratch, error) { return nil, io.ErrClosedPipe }); err == nil {
		t.Error("no error without scratch")
	}
}

func TestMovieErrors(t *testing.T) {
	for _, c := range []struct {
		track *media.Track
		want  error
	}{
		{&media.Track{Kind: media.Video, CodecID: media.CodecAVC}, media.ErrMissingCodecPrivate},
		{&media.Track{Kind: media.Audio, CodecID: media.CodecACM}, media.ErrMissingCodecPrivate},
		{&media.Track{Kind: media.Audio, CodecID: media.CodecACM, CodecPrivate: []byte{6, 0}},
			media.ErrInvalidCodecPrivate},
		{&media.Track{Kind: media.Audio, CodecID: media.CodecACM,
			CodecPrivate: make([]byte, 18)}, media.ErrUnsupportedCodec},
		{&media.Track{Kind: media.Video, CodecID: "V_VP8"}, media.ErrUnsupportedCodec},
	} {
		if _, err := NewMovie([]MovieTrack{{Track: c.track}}, MovieOptions{}); !errors.Is(err,
			c.want) {
			t.Errorf("%s: %v", c.track.CodecID, err)
		}
	}
	m := newMovie(t, MovieOptions{}, MovieTrack{avcTrack(), 0})
	if _, err := m.WriteTo(io.Discard); err == nil {
		t.Error("a movie without samples was written")
	}
	m = newMovie(t, MovieOptions{}, MovieTrack{avcTrack(), 0})
	if err := m.Add([]Chunk{{0, pictures(0, 3, true)}}); !errors.Is(err, media.ErrTime) {
		t.Error(fmt.Sprint("negative composition offset: ", err))
	}
}
