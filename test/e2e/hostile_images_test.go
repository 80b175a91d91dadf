package e2e_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"weir/internal/mkv"
	decoding "weir/internal/still"
)

// hostile is what a camera may send to a decoder.
type hostile struct {
	name    string
	private func(codecPrivate []byte) []byte
	slice   func(unit []byte) []byte // the largest NAL unit of each frame
}

func hostileMedia() []hostile {
	same := func(b []byte) []byte { return b }
	random := rand.New(rand.NewPCG(1, 2))
	return []hostile{
		{"truncated", same, func(unit []byte) []byte { return unit[:len(unit)/2] }},
		{"garbage", same, func(unit []byte) []byte {
			for k := len(unit) / 2; k < len(unit); k++ {
				unit[k] = byte(random.Uint32()) | 1
			}
			return unit
		}},
		{"huge", hugePictures, same},
	}
}

// hugePictures returns codec private data of H.264 that claims pictures of 16,384 by 16,384, with
// the PPS of the given ones.
func hugePictures(private []byte) []byte {
	sps := []byte{0x67, 66, 0, 62}
	var bits []byte
	ue := func(v int) { // Exp-Golomb (ITU-T H.264 clause 9.1)
		n := 0
		for (v+1)>>(n+1) > 0 {
			n++
		}
		bits = append(bits, make([]byte, n)...)
		for ; n >= 0; n-- {
			bits = append(bits, byte((v+1)>>n&1))
		}
	}
	for _, v := range []int{0, 0, 2, 1} { // identifier, frame_num, order of pictures, references
		ue(v)
	}
	bits = append(bits, 0)
	ue(1023)
	ue(1023)
	bits = append(bits, 1, 1, 0, 0, 1) // frames only, …, and the end
	for len(bits)%8 > 0 {
		bits = append(bits, 0)
	}
	for i := 0; i < len(bits); i += 8 {
		b := byte(0)
		for _, bit := range bits[i : i+8] {
			b = b<<1 | bit
		}
		sps = append(sps, b)
	}
	old := int(binary.BigEndian.Uint16(private[6:]))
	out := append([]byte{1, 66, 0, 62, 0xff, 0xe1, 0, byte(len(sps))}, sps...)
	return append(out, private[8+old:8+old+3+int(private[8+old+2])]...)
}

// rewrite passes Matroska of one track on as a hostile camera sends it.
func (h *hostile) rewrite(t *testing.T, source []byte) []byte {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	w := mkv.NewWriter(&out)
	r := mkv.NewReader(bytes.NewReader(source), mkv.DefaultLimits())
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out.Bytes()
		}
		must(err)
		switch ev.Kind {
		case mkv.TracksReady:
			tracks := slices.Clone(r.Tracks())
			tracks[0].CodecPrivate = h.private(slices.Clone(tracks[0].CodecPrivate))
			must(w.WriteHeader(mkv.Header{Tracks: tracks}))
		case mkv.ClusterStart:
			must(w.WriteCluster(ev.Timecode))
		case mkv.Frame:
			data, err := r.AppendPayload(nil)
			must(err)
			must(w.WriteFrame(ev.Track, ev.Timecode, ev.Key, h.frame(data)))
		}
	}
}

// frame changes the largest NAL unit. Each NAL unit follows its length.
func (h *hostile) frame(data []byte) (out []byte) {
	var units [][]byte
	largest := 0
	for len(data) > 4 {
		n := int(binary.BigEndian.Uint32(data))
		units, data = append(units, data[4:4+n]), data[4+n:]
		if n > len(units[largest]) {
			largest = len(units) - 1
		}
	}
	units[largest] = h.slice(units[largest])
	for _, u := range units {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(u))), u...)
	}
	return out
}

// Whatever a camera sends, no image of it is invented, ffmpeg stays within its limits, and the
// server and other images are unharmed.
func TestHostileImages(t *testing.T) {
	works(t)
	needTool(t, "ffmpeg")
	s := start(t, "")
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	source := func(codec ...string) []byte {
		return program(t, "ffmpeg", slices.Concat([]string{"-v", "error", "-f", "lavfi", "-i",
			"testsrc2=size=320x240:rate=10,noise=alls=8:allf=t", "-t", "2", "-g", "10", "-bf", "0"},
			codec, []string{"-f", "matroska", "pipe:1"})...)
	}
	put := func(stream string, film []byte) {
		path := filepath.Join(t.TempDir(), "film.mkv")
		if err := os.WriteFile(path, film, 0o600); err != nil {
			t.Fatal(err)
		}
		s.run("weir", "put-media", "--stream-name", stream, "--create",
			"--data-retention-in-hours", "24", "--start-timestamp",
			begin.UTC().Format(time.RFC3339), path)
	}
	failures := func(stream string, args ...string) (failed, all int) {
		images := s.images(stream, begin, 0, 1900*time.Millisecond, 400*time.Millisecond, args...)
		for _, got := range images {
			if got.failed == "MEDIA_ERROR" {
				failed++
			}
		}
		return failed, len(images)
	}
	for codec, film := range map[string][]byte{"h264": source("-c:v", "libx264"),
		// With checksums: without them, damage in slices does not show.
		"h265": source("-c:v", "libx265", "-x265-params", "log-level=error:hash=1"),
	} {
		put(codec, film)
		for _, h := range hostileMedia() {
			if codec == "h265" && h.name == "huge" {
				continue
			}
			put(codec+"-"+h.name, h.rewrite(t, film))
			if failed, all := failures(codec+"-"+h.name, "--format", "JPEG"); failed != 5 {
				t.Errorf("%s %s: %d of %d images failed", codec, h.name, failed, all)
			}
		}
		if failed, all := failures(codec, "--format", "JPEG"); failed != 0 || all != 5 {
			t.Errorf("%s: %d of %d good images failed", codec, failed, all)
		}
	}
	if n := peakMB(t, s.cmd.Process.Pid); n > 200 {
		t.Errorf("the server took %d MB", n)
	}
	if n := childrenMB(s.cmd.Process.Pid); n > 0 {
		t.Errorf("processes of %d MB are left", n)
	}

	decodeBeyondLimits(t)
}

// decodeBeyondLimits gives ffmpeg input that never comes to a frame, and has it make an image that
// is larger than allowed.
func decodeBeyondLimits(t *testing.T) {
	t.Helper()
	job := func(write func(w io.Writer) error) *decoding.Job {
		return &decoding.Job{Codec: decoding.H264, Spec: decoding.Spec{Quality: 80},
			Frames: []int{0}, Write: write, Made: func(int, []byte) error { return nil }}
	}
	decoder := decoding.NewDecoder("ffmpeg", decoding.Limits{Time: time.Second}, nil)
	free := append([]byte{0, 0, 16, 0, 'f', 'r', 'e', 'e'}, make([]byte, 4096-8)...)
	err := decoder.Run(t.Context(), job(func(w io.Writer) error {
		for {
			if _, err := w.Write(free); err != nil {
				return err
			}
		}
	}))
	if !errors.Is(err, decoding.ErrTime) {
		t.Errorf("of endless input: %v", err)
	}

	film := program(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=1",
		"-t", "1", "-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov+default_base_moof",
		"-f", "mp4", "pipe:1")
	for most, want := range map[int]error{2000: decoding.ErrMedia, 1 << 20: nil} {
		decoder = decoding.NewDecoder("ffmpeg", decoding.Limits{Image: most}, nil)
		err = decoder.Run(t.Context(), job(func(w io.Writer) error {
			_, err := w.Write(film)
			return err
		}))
		if !errors.Is(err, want) {
			t.Errorf("an image of at most %d bytes: %v", most, err)
		}
	}
}
