package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// A live camera lowers its key frame rate in mid-session. Its fragments of eight seconds are
// listed in slices, which keep the rules like all segments. The target duration stays, and ffmpeg
// shows every frame. Only EXT-X-INDEPENDENT-SEGMENTS is removed, once, because it is no longer
// true.
func TestConformanceOfLongFragments(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	s := start(t, "", "--hls-sessions-per-stream=0", "--hls-playlist-rate=0",
		"--hls-fragment-rate=0")
	dir := t.TempDir()
	usual, long := filepath.Join(dir, "usual.mkv"), filepath.Join(dir, "long.mkv")
	c := combination{name: "H.264+AAC", video: "libx264", audio: true, mode: live,
		selector: producer, discontinuity: "ON_DISCONTINUITY"}
	conformanceClip(t, c, usual, 8)
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i",
		fmt.Sprintf("testsrc2=size=%dx%d:rate=25:duration=16", conformanceWidth,
			conformanceHeight), "-f", "lavfi", "-i",
		"sine=frequency=440:sample_rate=48000:duration=16",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
		"-bf", "2", "-g", "200", "-sc_threshold", "0", "-c:a", "aac",
		long).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	at := time.Now().Add(-26 * time.Second)
	send := func(clip string) {
		s.run("weir", "put-media", "--stream-name", c.stream(), "--create",
			"--data-retention-in-hours", "1", "--start-timestamp",
			at.UTC().Format("2006-01-02T15:04:05.000Z"), clip)
	}
	send(usual)
	source := append(frameHashes(t, usual, "0:v", false), frameHashes(t, long, "0:v", false)...)
	var viewers []*viewer
	for _, c.container = range conformanceContainers {
		v := &viewer{c: c, changing: true, client: http.DefaultClient}
		v.begin(s)
		v.poll()
		viewers = append(viewers, v)
	}
	at = at.Add(8500 * time.Millisecond) // after a gap
	send(long)
	for _, v := range viewers {
		t.Run(v.c.String(), func(t *testing.T) {
			v.poll()
			v.finish()
			independent := 0
			v.findings = slices.DeleteFunc(v.findings, func(f conformance.Finding) bool {
				gone := f.Rule == conformance.HeaderChanged &&
					strings.Contains(f.Detail, "EXT-X-INDEPENDENT-SEGMENTS from true to false")
				independent += btoi(gone)
				return gone
			})
			v.report(t)
			if independent != 1 {
				t.Errorf("EXT-X-INDEPENDENT-SEGMENTS went %d times", independent)
			}
			found := 0
			for _, segment := range v.lists[0].last.Segments {
				found += btoi(strings.Contains(segment.URI, "Offset=") ||
					strings.Contains(segment.URI, "SequenceNumber=")) // in a session with parts
			}
			// With parts, a slice lasts up to 350 ms longer than the target duration.
			if found < 12 {
				t.Errorf("sixteen seconds in %d slices under a target duration of %v", found,
					v.lists[0].last.TargetDuration)
			}
			frames := 0
			for i, segment := range v.lists[0].union.Segments {
				if segment.Sequence >= v.lists[0].last.MediaSequence {
					frames += v.lists[0].timings[i].Frames
				}
			}
			// The playlist has no end. The decoder gives out the last pictures that it reorders
			// only when more come.
			const held = 4
			got := hashesOf(t, "-threads", "1", "-live_start_index", "0", "-i",
				v.lists[0].url.String(), "-map", "0:v", "-frames:v", fmt.Sprint(frames-held))
			compareHashes(t, "ffmpeg", source[len(source)-frames:len(source)-held], got)
		})
	}
}

// A camera is off for a minute and comes back with another picture, and then once more with the
// first. Recordings of it keep the rules in every container and discontinuity mode, with a new
// initialization section and a discontinuity at each change.
func TestConformanceOfCodecChanges(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	s := start(t, "", "--codec-changes=switch", "--hls-sessions-per-stream=0",
		"--hls-playlist-rate=0", "--hls-fragment-rate=0")
	c := combination{name: "H.264+AAC", video: "libx264", audio: true, mode: onDemand,
		selector: producer}
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.mkv"), filepath.Join(dir, "second.mkv")
	conformanceClip(t, c, first, 4)
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i",
		"testsrc2=size=256x144:rate=20:duration=4", "-f", "lavfi", "-i",
		"sine=frequency=440:sample_rate=48000:duration=4", "-c:v", "libx264", "-preset",
		"ultrafast", "-bf", "0", "-g", "10", "-c:a", "aac", second).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, clip := range []string{first, second, first} {
		at := time.Now().Add(time.Duration(i-10) * time.Minute).UTC().Format(
			"2006-01-02T15:04:05.000Z")
		s.run("weir", "put-media", "--stream-name", c.stream(), "--create",
			"--data-retention-in-hours", "1", "--start-timestamp", at, clip)
	}
	for _, c.container = range conformanceContainers {
		for _, c.discontinuity = range conformanceDiscontinuities {
			t.Run(c.String(), func(t *testing.T) {
				v := &viewer{c: c, changing: true, client: http.DefaultClient}
				v.begin(s)
				v.poll()
				v.poll()
				v.finish()
				v.report(t)
				if len(v.lists) == 0 || v.lists[0].last == nil {
					return
				}
				list := v.lists[0].last.Segments
				if len(list) != conformanceRecording {
					t.Errorf("%d segments listed", len(list))
				}
				changes := 0
				for i := 1; i < len(list); i++ {
					if list[i].Date.Sub(list[i-1].Date) > 30*time.Second {
						if changes++; !list[i].Begins {
							t.Errorf("segment %d begins another picture without a discontinuity", i)
						}
					}
				}
				var inits []string
				for _, segment := range list {
					if m := segment.Map; m != nil && !slices.Contains(inits, m.URI) {
						inits = append(inits, m.URI)
					}
				}
				if want := 2 * btoi(c.container == fragmentedMP4); changes != 2 ||
					len(inits) != want {
					t.Errorf("%d changes, initialization sections %v", changes, inits)
				}
				if v.c.container == fragmentedMP4 {
					var sizes []string
					for _, in := range v.lists[0].inits {
						sizes = append(sizes, fmt.Sprintf("%dx%d", in.Width, in.Height))
					}
					if slices.Sort(sizes); !slices.Equal(sizes, []string{"256x144", "320x180"}) {
						t.Errorf("pictures of %v", sizes)
					}
				}
			})
		}
	}
}
