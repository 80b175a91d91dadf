package e2e_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// clip says what ffmpeg is to make.
type clip struct {
	rate    string // frames per second
	bframes int
	audio   bool
	seconds int
}

func (c clip) String() string {
	return fmt.Sprintf("rate=%s,bframes=%d,audio=%v", strings.ReplaceAll(c.rate, "/", ":"),
		c.bframes, c.audio)
}

// frame is the duration of a frame in seconds.
func (c clip) frame(t testing.TB) float64 {
	t.Helper()
	num, den, _ := strings.Cut(c.rate, "/")
	n, err := strconv.ParseFloat(num, 64)
	d := 1.0
	if err == nil && den != "" {
		d, err = strconv.ParseFloat(den, 64)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d / n
}

// make encodes a moving test picture with a frame counter, and a tone, as ffmpeg's Matroska muxer
// writes it to a pipe.
func (c clip) make(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source.mkv")
	args := []string{"-v", "error", "-f", "lavfi", "-i",
		fmt.Sprintf("testsrc2=size=320x240:rate=%s:duration=%d", c.rate, c.seconds)}
	if c.audio {
		args = append(args, "-f", "lavfi", "-i",
			fmt.Sprintf("sine=frequency=440:sample_rate=44100:duration=%d", c.seconds), "-c:a",
			"aac")
	}
	args = append(args, "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-bf",
		strconv.Itoa(c.bframes), "-f", "matroska", "pipe:1")
	if err := os.WriteFile(path, program(t, "ffmpeg", args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The frames that come out are bit for bit those that went in, every frame, once, in order. The
// times of the segments add up.
func TestFramesComeOutAsTheyWentIn(t *testing.T) {
	prepares(t)
	needTool(t, "ffmpeg", "ffprobe")
	s := start(t, "")
	i := 0
	for _, rate := range []string{"25", "30000/1001"} {
		for _, bframes := range []int{0, 2} {
			for _, audio := range []bool{false, true} {
				c := clip{rate: rate, bframes: bframes, audio: audio, seconds: 9}
				i++
				stream := fmt.Sprintf("cam%d", i)
				t.Run(c.String(), func(t *testing.T) {
					works(t)
					s := *s
					s.t = t
					roundTrip(t, &s, stream, c)
				})
			}
		}
	}
}

func roundTrip(t *testing.T, s *server, stream string, c clip) {
	source := c.make(t)
	s.run("weir", "put-media", "--stream-name", stream, "--create", "--data-retention-in-hours",
		"24", source)
	wantVideo := frameHashes(t, source, "0:v", false)
	var wantAudio []string
	if c.audio {
		wantAudio = frameHashes(t, source, "0:a", true)
	}
	modes := map[string][]string{
		"NEVER, producer timestamps": {"--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"),
			"--discontinuity-mode", "NEVER"},
		"ALWAYS, server timestamps": {"--hls-fragment-selector", everythingPast("SERVER_TIMESTAMP"),
			"--discontinuity-mode", "ALWAYS"},
	}
	for name, flags := range modes {
		u := s.hls(stream, append([]string{"--playback-mode", "ON_DEMAND"}, flags...)...)
		compareHashes(t, name+": video", wantVideo, frameHashes(t, u, "0:v", false))
		if c.audio {
			compareHashes(t, name+": audio", wantAudio, frameHashes(t, u, "0:a", true))
		}
		for _, track := range []int{1, 2}[:1+btoi(c.audio)] {
			checkSegments(t, u, track, len(wantVideo), c)
		}
	}
}

// frameHashes returns one MD5 per decoded video frame, or per coded packet with copy.
func frameHashes(t testing.TB, input, stream string, copy bool) []string {
	t.Helper()
	args := []string{"-i", input, "-map", stream}
	if copy {
		args = append(args, "-c", "copy")
	}
	return hashesOf(t, args...)
}

// hashesOf returns one MD5 for each frame that ffmpeg returns with the arguments.
func hashesOf(t testing.TB, args ...string) (hashes []string) {
	t.Helper()
	args = slices.Concat([]string{"-v", "error"}, args,
		[]string{"-fps_mode", "passthrough", "-f", "framemd5", "-"})
	out := program(t, "ffmpeg", args...)
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), ",")
		hashes = append(hashes, strings.TrimSpace(fields[len(fields)-1]))
	}
	return hashes
}

func compareHashes(t testing.TB, what string, want, got []string) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			t.Fatalf("%s: frame %d differs (of %d, source has %d)", what, i, len(got), len(want))
		}
	}
	if len(want) != len(got) {
		t.Fatalf("%s: %d frames came out, %d went in", what, len(got), len(want))
	}
}

// checkSegments fetches a track's playlist and every segment, and compares their times with
// EXTINF, with one another and with the source's pace.
func checkSegments(t *testing.T, master string, track, frames int, c clip) {
	t.Helper()
	playlist := mediaPlaylist(master, track)
	segments, init := parsePlaylist(t, playlist)
	dir := t.TempDir()
	whole := mustGet(t, init)
	scale := float64(mediaTimescale(t, whole))
	var end uint64
	for i, seg := range segments {
		body := mustGet(t, seg.uri)
		whole = append(whole, body...)
		start, length, key := fragmentTimes(t, body)
		if diff := math.Abs(float64(length)/scale - seg.duration); diff > 0.001 {
			t.Errorf("track %d, segment %d: lasts %.6f s, EXTINF says %.6f", track, i,
				float64(length)/scale, seg.duration)
		}
		if !key {
			t.Errorf("track %d, segment %d does not start with a key frame", track, i)
		}
		if i > 0 && start != end {
			t.Errorf("track %d, segment %d starts at tick %d, the one before ends at %d", track, i,
				start, end)
		}
		end = start + length
	}
	path := filepath.Join(dir, "whole.mp4")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	packets := probe(t, path)
	// One packet follows another at the source's pace, across segments too. ffprobe guesses the
	// durations of video packets from the frame rate, so decode times are compared: the source's
	// muxer has rounded those of video to milliseconds.
	pace, tolerance := c.frame(t), 0.0011
	if track == 2 {
		pace, tolerance = 1024.0/44100, 1.0/44100
	}
	for i := 1; i < len(packets); i++ {
		if step := packets[i].dts - packets[i-1].dts; math.Abs(step-pace) > tolerance {
			t.Fatalf("track %d: packet %d follows after %.6f s, not %.6f", track, i, step, pace)
		}
	}
	if track == 1 && len(packets) != frames {
		t.Errorf("%d packets, %d frames", len(packets), frames)
	}
}

type segment struct {
	uri      string
	duration float64
}

// parsePlaylist returns the segments of a media playlist and its initialization section, if it has
// one, as absolute URLs.
func parsePlaylist(t testing.TB, playlist string) (segments []segment, init string) {
	t.Helper()
	base, err := url.Parse(playlist)
	if err != nil {
		t.Fatal(err)
	}
	abs := func(ref string) string {
		u, err := base.Parse(ref)
		if err != nil {
			t.Fatal(err)
		}
		return u.String()
	}
	var duration float64
	for line := range strings.Lines(string(mustGet(t, playlist))) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#EXT-X-MAP:"):
			init = abs(strings.Split(line, `"`)[1])
		case strings.HasPrefix(line, "#EXTINF:"):
			duration, err = strconv.ParseFloat(
				strings.TrimSuffix(strings.TrimPrefix(line, "#EXTINF:"), ","), 64)
			if err != nil {
				t.Fatal(err)
			}
		case line != "" && !strings.HasPrefix(line, "#"):
			segments = append(segments, segment{abs(line), duration})
		}
	}
	if len(segments) == 0 {
		t.Fatalf("no segments in %s", playlist)
	}
	return segments, init
}

type packet struct {
	pts, dts float64
}

// probe lists the packets of a file as ffprobe sees them, in seconds.
func probe(t testing.TB, path string) []packet {
	t.Helper()
	out := program(t, "ffprobe", "-v", "error", "-show_entries", "packet=pts_time,dts_time", "-of",
		"csv=p=0", path)
	rows := csv.NewReader(bytes.NewReader(out))
	rows.FieldsPerRecord = -1
	records, err := rows.ReadAll()
	if err != nil || len(records) == 0 {
		t.Fatalf("ffprobe %s: %v, %d packets", path, err, len(records))
	}
	var packets []packet
	for _, r := range records {
		num := func(i int) float64 {
			v, err := strconv.ParseFloat(r[i], 64)
			if err != nil {
				t.Fatalf("ffprobe printed %q", r)
			}
			return v
		}
		packets = append(packets, packet{num(0), num(1)})
	}
	return packets
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
