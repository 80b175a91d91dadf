package e2e_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/media"
	"weir/internal/mkv"
)

// oddBlock is a block of the inputs below. Key frames begin clusters unless it is said otherwise.
type oddBlock struct {
	at   int64 // milliseconds
	key  bool  // Matroska's flag
	cut  bool  // a cluster begins with it
	data []byte
}

// oddStreams are ways in which producers send ten pictures a second with a key frame every second,
// made from blocks that each hold one picture; and how many pictures there are to see, of so many.
var oddStreams = []struct {
	name string
	lost int
	make func(hevc bool, blocks []oddBlock) []oddBlock
}{
	{"as it should be", 0, func(_ bool, b []oddBlock) []oddBlock { return b }},
	{"SEI after each key frame", 0, func(hevc bool, b []oddBlock) (out []oddBlock) {
		for _, f := range b {
			if out = append(out, f); f.key {
				out = append(out, oddBlock{at: f.at + 20, data: seiBlock(hevc)})
			}
		}
		return out
	}},
	{"parameter sets in a cluster of their own", 0, func(hevc bool, b []oddBlock) (out []oddBlock) {
		for _, f := range b {
			if f.key {
				sets, picture := splitSets(hevc, f.data)
				out = append(out, oddBlock{at: f.at, key: true, cut: true, data: sets})
				f.at, f.data = f.at+20, picture
			}
			out = append(out, f)
		}
		return out
	}},
	{"empty block", 1, func(_ bool, b []oddBlock) []oddBlock {
		b[len(b)-1].data = nil // nothing depends on it
		return b
	}},
	{"a block per NAL unit", 0, func(_ bool, b []oddBlock) (out []oddBlock) {
		for _, f := range b {
			for i, n := range splitNALs(f.data) {
				out = append(out,
					oddBlock{at: f.at, key: f.key && i == 0, cut: f.cut && i == 0, data: n})
			}
		}
		return out
	}},
	{"all flagged as key frames", 0, func(_ bool, b []oddBlock) []oddBlock {
		for i := range b {
			b[i].key = true
		}
		return b
	}},
	{"equal times", 0, func(_ bool, b []oddBlock) []oddBlock {
		for i := range b {
			if i%5 == 4 {
				b[i].at = b[i-1].at
			}
		}
		return b
	}},
	{"one time far ahead", 0, func(_ bool, b []oddBlock) []oddBlock {
		b[14].at += 9000
		return b
	}},
}

func splitNALs(frame []byte) (nals [][]byte) {
	for len(frame) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(frame))
		nals, frame = append(nals, frame[:n]), frame[n:]
	}
	return nals
}

// splitSets divides a key frame into what is in front of its slices and the rest.
func splitSets(hevc bool, frame []byte) (sets, picture []byte) {
	for _, n := range splitNALs(frame) {
		if typ := n[4] & 0x1f; !hevc && typ <= 5 || hevc && n[4]>>1 < 32 {
			picture = append(picture, n...)
		} else {
			sets = append(sets, n...)
		}
	}
	return sets, picture
}

// seiBlock is a block with nothing but user data.
func seiBlock(hevc bool) []byte {
	nal := []byte{0x06}
	if hevc {
		nal = []byte{39 << 1, 1}
	}
	nal = append(append(nal, 5, 20), append(bytes.Repeat([]byte{0x77}, 20), 0x80)...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(nal))), nal...)
}

// oddSource encodes four seconds and gives their track and blocks.
func oddSource(t *testing.T, options ...string) (media.Track, []oddBlock) {
	t.Helper()
	args := append([]string{"-v", "error", "-f", "lavfi", "-i",
		"testsrc2=size=160x120:rate=10:duration=4"}, options...)
	r := mkv.NewReader(bytes.NewReader(
		program(t, "ffmpeg", append(args, "-f", "matroska", "-")...)), mkv.DefaultLimits())
	var track media.Track
	var blocks []oddBlock
	for {
		ev, err := r.Next()
		if err == io.EOF {
			return track, blocks
		} else if err != nil {
			t.Fatal(err)
		}
		switch ev.Kind {
		case mkv.TracksReady:
			track = r.Tracks()[0]
		case mkv.Frame:
			data, err := r.AppendPayload(nil)
			if err != nil {
				t.Fatal(err)
			}
			blocks = append(blocks, oddBlock{at: ev.Timecode, key: ev.Key, cut: ev.Key, data: data})
		}
	}
}

// matroska writes the blocks with times from begin (milliseconds) on; the last fragment is marked
// as whole.
func matroska(t *testing.T, track media.Track, blocks []oddBlock, begin int64) []byte {
	t.Helper()
	track.DefaultDuration = 0 // what an encoder says helps no camera
	var body bytes.Buffer
	w := mkv.NewWriter(&body)
	err := w.WriteHeader(mkv.Header{Tracks: []media.Track{track}})
	for _, b := range blocks {
		if b.cut && err == nil {
			err = w.WriteCluster(begin + b.at)
		}
		if err == nil {
			err = w.WriteFrame(track.Number, begin+b.at, b.key, b.data)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(body.Bytes(), endOfFragment()...)
}

// putBody sends a body as it is and waits until everything is stored.
func putBody(t *testing.T, s *server, stream string, body []byte) {
	t.Helper()
	p, err := connect(s, stream)
	if err != nil {
		t.Fatal(err)
	}
	defer p.conn.Close()
	if _, err = p.body.Write(body); err == nil {
		err = p.body.Close()
	}
	if err == nil {
		_, err = io.WriteString(p.conn, "\r\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	for {
		a, err := p.next()
		if err == io.EOF {
			return
		}
		if err != nil || a.EventType == "ERROR" {
			t.Fatalf("acknowledgement %+v, %v", a, err)
		}
	}
}

// However a producer divides its pictures into blocks, and whatever times it gives them, each
// picture is shown, once and in order.
func TestOddProducers(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg", "ffprobe")
	s := start(t, "")
	for codec, options := range map[string][]string{
		"h264": {"-c:v", "libx264", "-preset", "ultrafast", "-x264-params",
			"keyint=10:scenecut=0:slices=3"},
		"h265": {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
			"log-level=none:keyint=10:scenecut=0:bframes=0:open-gop=0:repeat-headers=1"},
	} {
		track, source := oddSource(t, options...)
		for i, odd := range oddStreams {
			t.Run(codec+" "+odd.name, func(t *testing.T) {
				stream := fmt.Sprintf("%s-%d", codec, i)
				s.run("weir", "create-stream", "--stream-name", stream, "--data-retention-in-hours",
					"1")
				blocks := odd.make(codec == "h265", slices.Clone(source))
				putBody(t, s, stream, matroska(t, track, blocks, time.Now().UnixMilli()-4000))
				checkOdd(t, s, stream, len(source)-odd.lost)
			})
		}
	}
}

// checkOdd looks at a live session and a recorded one, each of one container, of a stream that has
// so many pictures at ten a second. Each picture is to be seen once.
func checkOdd(t *testing.T, s *server, stream string, pictures int) {
	t.Helper()
	for _, session := range [][]string{
		{"LIVE", "FRAGMENTED_MP4", "--max-media-playlist-fragment-results", "100"},
		{"ON_DEMAND", "MPEG_TS", "--hls-fragment-selector", everything("PRODUCER_TIMESTAMP")},
	} {
		what := session[0] + " " + session[1]
		u := s.hls(stream,
			append([]string{"--playback-mode", session[0], "--container-format", session[1],
				"--discontinuity-mode", "ON_DISCONTINUITY"},
				session[2:]...)...)
		rate := regexp.MustCompile(`FRAME-RATE=([0-9.]+)`).FindStringSubmatch(string(mustGet(t, u)))
		if rate == nil || !strings.HasPrefix(rate[1], "10.") && pictures%10 == 0 {
			t.Errorf("%s: FRAME-RATE %v", what, rate)
		}
		playlist := strings.Replace(u, "getHLSMasterPlaylist", "getHLSMediaPlaylist", 1) +
			"&TrackNumber=1"
		segments, init := parsePlaylist(t, playlist)
		whole, length := []byte{}, 0.0
		if init != "" {
			whole = mustGet(t, init)
		}
		for _, g := range segments {
			whole, length = append(whole, mustGet(t, g.uri)...), length+g.duration
		}
		path := filepath.Join(t.TempDir(), "whole")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		checkPackets(t, what, path, pictures, length)
		if found := slices.Compact(hashes(t, path, "0:v")); len(found) != pictures {
			t.Errorf("%s: %d different pictures were decoded, want %d", what, len(found), pictures)
		}
	}
}

// checkPackets checks that a file has so many pictures in order, four of them key frames, that
// each has a duration, and that all of them last as long as the playlist says.
func checkPackets(t *testing.T, what, path string, pictures int, length float64) {
	t.Helper()
	lines := strings.Fields(string(program(t, "ffprobe", "-v", "warning", "-select_streams", "v",
		"-show_entries", "packet=dts_time,pts_time,flags", "-of", "csv=p=0", path)))
	var first, last float64
	keys := 0
	for i, line := range lines {
		f := strings.Split(line, ",")
		dts, _ := strconv.ParseFloat(f[1], 64)
		if i > 0 && (dts <= last || dts-last > 0.25) {
			t.Errorf("%s: picture %d is decoded %.3f s after the one before", what, i, dts-last)
		}
		if i == 0 {
			first = dts
		}
		if strings.Contains(f[2], "K") {
			keys++
		}
		last = dts
	}
	if len(lines) != pictures || keys != 4 {
		t.Errorf("%s: %d pictures, %d key frames, want %d and 4", what, len(lines), keys, pictures)
	}
	if rest := length - (last - first); rest < 0.01 || rest > 0.25 {
		t.Errorf("%s: the playlist lasts %.3f s, its pictures until the last one %.3f s", what,
			length, last-first)
	}
}
