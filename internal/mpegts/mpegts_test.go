package mpegts

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"weir/internal/media"
)

// Codec private data as encoders wrote it.
var (
	avcC = unhex("0142c00dffe100166742c00dda0507ec0440000003004000000c83c50aa801000468ce0fc8")
	hvcC = unhex(
		"01022000000090000000000078f000fcfdfafa00000f03a0000100184001" +
			"0c01ffff022000000300900000030000030078959409a10001002c420101" +
			"022000000300900000030000030078a003c080110753365959529385e1cd" +
			"0100000303e90000753008a2000100064401c073c189")
	heV2 = unhex("eb098800") // HE-AAC v2: 48 kHz out of 24 kHz, signalled hierarchically
)

func TestH264WithAAC(t *testing.T) {
	idr, p, b := filled(0x65, 900), filled(0x41, 300), filled(0x01, 40)
	v := input(video(media.CodecAVC, avcC), 0, 3600, nals(4, idr), nals(4, p), nals(4, b))
	v.Run.Frames[1].CompositionOffset, v.Run.Frames[2].CompositionOffset = 3600, -3600
	sound := filled(0x21, 100)
	a := input(audio(unhex("1210"), 44100), 441, 1024, sound, sound, sound, sound, sound, sound)
	data := write(t, Options{Advance: 3600, Counter: 7}, v, a)
	golden(t, "h264-aac.txt", data)

	found := read(t, data)
	sps, pps := avcC[8:30], avcC[33:]
	want := [][]byte{annexB([]byte{9, 0xf0}, sps, pps, idr), annexB([]byte{9, 0xf0}, p),
		annexB([]byte{9, 0xf0}, b)}
	var pictures, sounds []pes
	for _, u := range found {
		if u.pid == pidVideo {
			pictures = append(pictures, u)
		} else {
			sounds = append(sounds, u)
		}
	}
	for i, u := range pictures {
		if !bytes.Equal(u.data, want[i]) || u.entry != (i == 0) {
			t.Errorf("picture %d: %x, want %x", i, u.data, want[i])
		}
		if pts, dts := int64(900000+[]int{0, 7200, 3600}[i]), int64(900000-3600+
			3600*i); u.pts != pts || u.dts != dts {
			t.Errorf("picture %d at %d and %d, want %d and %d", i, u.pts, u.dts, pts, dts)
		}
	}
	if end := KeyFrameEnd(v.Track, int64(len(nals(4, idr))), false); int64(pictures[0].end) != end {
		t.Errorf("the key frame ends at %d, %d were promised", pictures[0].end, end)
	}
	frame := append([]byte{0xff, 0xf1, 0x50, 0x80, 107 >> 3, 107&7<<5 | 0x1f, 0xfc}, sound...)
	var stream []byte
	for _, u := range sounds {
		stream = append(stream, u.data...)
	}
	if !bytes.Equal(stream, bytes.Repeat(frame, 6)) || sounds[0].pts != 900900 {
		t.Errorf("sound at %d: %x", sounds[0].pts, stream)
	}
}

func TestH265(t *testing.T) {
	idr, p := filled(0x26, 500), filled(0x02, 100)
	data := write(t, Options{}, input(video(media.CodecHEVC, hvcC), 90000, 3000, nals(4, idr),
		nals(4, p)))
	golden(t, "h265.txt", data)
	found := read(t, data)
	aud := []byte{0x46, 1, 0x50}
	config, err := media.ParseHEVCConfig(hvcC)
	if err != nil {
		t.Fatal(err)
	}
	if want := annexB(aud, config.VPS[0], config.SPS[0], config.PPS[0],
		idr); !bytes.Equal(found[0].data, want) {
		t.Errorf("%x, want %x", found[0].data, want)
	}
	if want := annexB(aud, p); !bytes.Equal(found[1].data, want) {
		t.Errorf("%x, want %x", found[1].data, want)
	}
}

// HE-AAC is declared as its core codec. The audio carries the clock.
func TestAudioAlone(t *testing.T) {
	frames := make([][]byte, 50)
	for i := range frames {
		frames[i] = filled(0x21, 60+i)
	}
	data := write(t, Options{Counter: 31}, input(audio(heV2, 24000), 0, 1024, frames...))
	golden(t, "he-aac.txt", data)
	found := read(t, data)
	if h := found[0].data[:4]; !bytes.Equal(h, unhex("fff15840")) {
		t.Errorf("ADTS header %x", h)
	}
}

// Parameter sets and delimiters that a frame has already are not added again, and stay in place.
func TestParameterSetsOfTheFrame(t *testing.T) {
	aud, sps, pps, sei, idr := []byte{9, 0x10}, filled(0x67, 20), filled(0x68, 5), filled(6,
		9), filled(0x65, 200)
	ownSPS, ownPPS := avcC[8:30], avcC[33:]
	for name, c := range map[string]struct{ frame, want []byte }{
		"all":            {nals(4, aud, sps, pps, idr), annexB(aud, sps, pps, idr)},
		"sets":           {nals(4, sps, pps, idr), annexB([]byte{9, 0xf0}, sps, pps, idr)},
		"delimiter":      {nals(4, aud, sei, idr), annexB(aud, ownSPS, ownPPS, sei, idr)},
		"half":           {nals(4, sps, idr), annexB([]byte{9, 0xf0}, ownSPS, ownPPS, sps, idr)},
		"empty in front": {nals(4, nil, aud, nil, idr, nil), annexB(aud, ownSPS, ownPPS, idr)},
	} {
		in := input(video(media.CodecAVC, avcC), 0, 3600, c.frame, nals(4, filled(1, 100)))
		data := write(t, Options{}, in)
		found := read(t, data)
		if !bytes.Equal(found[0].data, c.want) {
			t.Errorf("%s: %x, want %x", name, found[0].data, c.want)
		}
		if end := KeyFrameEnd(in.Track, int64(len(c.frame)), false); int64(found[0].end) != end ||
			found[1].at < int(end) {
			t.Errorf("%s: the key frame ends at %d, %d were promised", name, found[0].end, end)
		}
	}
}

// Wrong lengths in a frame are an error that names the frame, before the first byte.
func TestLyingFrames(t *testing.T) {
	good := nals(4, filled(0x65, 30))
	for name, bad := range map[string][]byte{
		"longer than the frame": {0, 0, 0, 9, 0x41, 1},
		"bytes left over":       append(nals(4, filled(0x41, 5)), 0, 0),
		"start codes":           append(annexB(filled(0x41, 30)), 0x80),
	} {
		_, err := NewSegment([]Input{input(video(media.CodecAVC, avcC), 0, 1, good, bad)},
			Options{})
		if !errors.Is(err, ErrInvalidFrame) ||
			!strings.Contains(err.Error(), "frame 1 of track 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := NewSegment([]Input{input(audio(unhex("1210"), 44100), 0, 1024, make([]byte, 8185))},
		Options{})
	if !errors.Is(err, ErrInvalidFrame) {
		t.Errorf("an AAC frame that ADTS cannot hold: %v", err)
	}
	in := input(video(media.CodecAVC, avcC), 0, 1, good)
	in.Payload = bytes.NewReader(good[:20])
	s, err := NewSegment([]Input{in}, Options{})
	if err == nil {
		_, err = io.ReadAll(s)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrInvalidFrame) {
		t.Errorf("a payload that ends early: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for private, ok := range map[string]bool{
		"1210": true, "121056e500": true, "eb098800": true,
		"1214":           false, // 960 samples
		"1200":           false, // channels in a program config element, which is not there
		"17800157121000": false, // a rate of its own
	} {
		if err := Check(audio(unhex(private), 44100)); (err == nil) != ok {
			t.Errorf("%s: %v", private, err)
		}
	}
	if err := Check(&media.Track{Kind: media.Audio, CodecID: "A_OPUS"}); !errors.Is(err,
		media.ErrUnsupportedCodec) {
		t.Errorf("Opus: %v", err)
	}
}

// In random segments every frame comes out once, in order, at its time. Decode times rise and are
// never after presentation. The counters continue across two segments. The same input makes the
// same bytes, however it is read.
func TestRandomSegments(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		var inputs []Input
		var pictures, sounds []byte
		lengthSize := []int{1, 2, 4}[random.IntN(3)]
		withVideo := random.IntN(4) > 0
		start := random.Int64N(1 << 34)
		if withVideo {
			config := bytes.Clone(avcC)
			config[4] = 0xfc | byte(lengthSize-1)
			var frames [][]byte
			for i := range 1 + random.IntN(40) {
				// a delimiter and that much suffice to fill the last packets
				size := 6 + random.IntN(200)
				if lengthSize > 1 && random.IntN(4) == 0 {
					size += random.IntN(60000)
				}
				unit := filled(0x65, size)
				pictures = append(pictures, annexB([]byte{9, 0xf0})...)
				if i == 0 {
					pictures = append(pictures, annexB(avcC[8:30], avcC[33:])...)
				}
				pictures = append(pictures, annexB(unit)...)
				frames = append(frames, nals(lengthSize, unit))
			}
			in := input(video(media.CodecAVC, config), start, uint32(1+random.IntN(20000)),
				frames...)
			for i := range in.Run.Frames {
				in.Run.Frames[i].CompositionOffset = int32(random.IntN(20000) - 10000)
			}
			inputs = append(inputs, in)
		}
		if !withVideo || random.IntN(2) == 0 {
			in, stream := randomSound(random, start)
			inputs, sounds = append(inputs, in), stream
		}
		o := Options{Advance: random.Int64N(12000), Counter: byte(round)}
		data := write(t, o, inputs...)
		s, err := NewSegment(inputs, o)
		if err != nil {
			t.Fatal(err)
		}
		pieces := 1 // a byte at a time; of large segments, pieces that end anywhere in a packet
		if len(data) > 50_000 {
			pieces = 3 * packetSize
		}
		again, err := io.ReadAll(shortReader{s, random, pieces})
		if err != nil || !bytes.Equal(data, again) {
			t.Fatalf("other bytes when read again: %v", err)
		}
		var gotPictures, gotSounds []byte
		last := map[uint16]int64{}
		for _, u := range read(t, data) {
			if was, ok := last[u.pid]; ok && (u.dts-was)&timeMask > 1<<32 || ok && u.dts == was {
				t.Fatalf("pid %d: decode time %d after %d", u.pid, u.dts, was)
			}
			if (u.pts-u.dts)&timeMask > 1<<32 {
				t.Fatalf("pid %d: shown at %d, decoded at %d", u.pid, u.pts, u.dts)
			}
			last[u.pid] = u.dts
			if u.pid == pidVideo {
				gotPictures = append(gotPictures, u.data...)
			} else {
				gotSounds = append(gotSounds, u.data...)
			}
		}
		if !bytes.Equal(gotPictures, pictures) || !bytes.Equal(gotSounds, sounds) {
			t.Fatalf("round %d: the streams are not what went in", round)
		}
	}
}

// What a segment may take is known from its sums, nearly and not too low.
func TestSizeAtMost(t *testing.T) {
	for name, c := range map[string]struct {
		track *media.Track
		frame func() []byte
		n     int
		lasts uint32 // ticks
	}{
		"small pictures": {video(media.CodecAVC, avcC), func() []byte {
			return nals(4, filled(0x41, 300))
		}, 50, 3600},
		"large pictures": {video(media.CodecAVC, avcC), func() []byte {
			return nals(4, filled(0x41, 40_000))
		}, 25, 3600},
		"sound": {audio(unhex("1210"), 44100), func() []byte {
			return filled(0x21, 300)
		}, 86, 1024},
	} {
		var frames [][]byte
		var bytes int64
		for range c.n {
			frames = append(frames, c.frame())
			bytes += int64(len(c.frame()))
		}
		is := int64(len(write(t, Options{}, input(c.track, 0, c.lasts, frames...))))
		most := SizeAtMost(c.track, c.n, bytes, int64(c.n)*int64(c.lasts), true)
		if most < is || most > is*3/2+3000 {
			t.Errorf("%s: %d bytes, at most %d", name, is, most)
		}
	}
}

// randomSound makes frames of audio that begin at about a time, and their ADTS stream.
func randomSound(random *rand.Rand, start int64) (in Input, stream []byte) {
	var frames [][]byte
	for range 1 + random.IntN(200) {
		f := filled(0x21, 20+random.IntN(400))
		n := len(f) + 7
		stream = append(append(stream, 0xff, 0xf1, 0x50, 0x80|byte(n>>11), byte(n>>3),
			byte(n<<5)|0x1f, 0xfc), f...)
		frames = append(frames, f)
	}
	at := start*441/900 + random.Int64N(10000)
	return input(audio(unhex("1210"), 44100), at, 1024, frames...), stream
}

// Where pictures are rare, there are clock references between them.
func TestClockBetweenRarePictures(t *testing.T) {
	data := write(t, Options{}, input(video(media.CodecAVC, avcC), 0, 5*90000,
		nals(4, filled(0x65, 100)), nals(4, filled(1, 100)), nals(4, filled(1, 100))))
	read(t, data)
	if n := len(data) / packetSize; n < 111 || n > 2+16+112 {
		t.Errorf("%d packets for ten seconds between pictures", n)
	}
}

// Any bytes make a plan or a clear error, and a plan makes as many bytes as it says.
func FuzzVideo(f *testing.F) {
	f.Add(byte(4), false, nals(4, filled(0x65, 30)), nals(4, filled(0x41, 30)))
	f.Add(byte(4), true, nals(4, filled(0x26, 30)), nals(4, filled(2, 30)))
	f.Add(byte(1), false, nals(1, filled(0x65, 30), nil), []byte{200, 1})
	f.Add(byte(2), false, []byte{}, []byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, lengthSize byte, hevc bool, first, second []byte) {
		track := video(media.CodecAVC, bytes.Clone(avcC))
		at := 4
		if hevc {
			track, at = video(media.CodecHEVC, bytes.Clone(hvcC)), 21
		}
		track.CodecPrivate[at] = track.CodecPrivate[at]&^3 | lengthSize&3
		if lengthSize&3 == 2 {
			return
		}
		in := input(track, 0, 3000, first, second)
		s, err := NewSegment([]Input{in}, Options{})
		if err != nil {
			if !errors.Is(err, ErrInvalidFrame) {
				t.Fatal(err)
			}
			return
		}
		data, err := io.ReadAll(s)
		if err != nil || int64(len(data)) != s.Size() {
			t.Fatalf("%d bytes of %d: %v", len(data), s.Size(), err)
		}
		if err := Dump(io.Discard, data); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDump(f *testing.F) {
	f.Add(write(f, Options{}, input(video(media.CodecAVC, avcC), 0, 3600,
		nals(4, filled(0x65, 900)))))
	f.Fuzz(func(t *testing.T, data []byte) {
		for i := 0; i < len(data); i += packetSize {
			data[i] = 0x47
		}
		_ = Dump(io.Discard, data)
	})
}
