package e2e_test

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A numbered source says in every frame which one it is. The picture is two rows of eight blocks,
// one bit each (the first is the lowest), of 29 times the frame's number, which begins again after
// 2,199. So a number that is read wrongly is hardly ever a multiple of 29. The sound's pitch says
// the time: it begins at 500 Hz and rises by 50 Hz every quarter of a second, for a hundred steps,
// and then begins again.
type numbered struct {
	name         string
	video, audio string // ffmpeg's encoders; empty for none
	heard        string // when there is sound, an expression of ffmpeg's aselect; empty for always
}

var numberedCodecs = []numbered{
	{name: "H.264", video: "libx264"},
	{name: "H.264+AAC", video: "libx264", audio: "aac"},
	{name: "AAC", audio: "aac"},
	{name: "H.265", video: "libx265"},
	{name: "H.265+AAC", video: "libx265", audio: "aac"},
}

const (
	numberedRate   = 10 // frames per second
	numberedWidth  = 160
	numberedHeight = 96
	pitchSteps     = 100
	pitchRate      = 4  // steps per second
	pitchWindows   = 20 // measurements of the pitch per second
)

func (n numbered) h265() bool { return n.video == "libx265" }

func (n numbered) stream() string {
	out := []byte(n.name)
	for i, c := range out {
		if c == '+' || c == '.' || c == ' ' {
			out[i] = '-'
		}
	}
	return string(out)
}

// encode is what ffmpeg does for so many seconds of the source, in real time or at once. Key
// frames come every second, with B-frames between.
func (n numbered) encode(seconds int, pace ...string) []string {
	args := []string{"-v", "error"}
	if n.video != "" {
		args = append(append(args, pace...), "-f", "lavfi", "-i",
			fmt.Sprintf("color=size=8x2:rate=%d:duration=%d,format=gray,"+
				"geq=lum='if(mod(floor(29*mod(N,2200)/pow(2,X+8*Y)),2),235,16)',"+
				"scale=%d:%d:flags=neighbor,setsar=1,format=yuv420p",
				numberedRate, seconds, numberedWidth, numberedHeight))
	}
	if n.audio != "" {
		rate := 48000
		if strings.HasPrefix(n.audio, "pcm_") { // G.711
			rate = 8000
		}
		args = append(append(args, pace...), "-f", "lavfi", "-i",
			fmt.Sprintf("aevalsrc='0.5*sin(2*PI*(500+50*mod(floor(t*%d),%d))*t)':s=%d:d=%d",
				pitchRate, pitchSteps, rate, seconds), "-c:a", n.audio)
		if n.heard != "" {
			args = append(args, "-af", "aselect='"+n.heard+"'")
		}
	}
	switch n.video {
	case "libx264":
		args = append(args, "-c:v", n.video, "-preset", "veryfast", "-g",
			strconv.Itoa(numberedRate), "-sc_threshold", "0", "-bf", "2",
			"-x264-params", "rc-lookahead=5:sync-lookahead=0:threads=1")
	case "libx265":
		args = append(args, "-c:v", n.video, "-preset", "veryfast", "-x265-params",
			fmt.Sprintf("log-level=error:keyint=%d:min-keyint=%d:"+
				"scenecut=0:open-gop=0:bframes=2:rc-lookahead=5:frame-threads=1:pools=none",
				numberedRate, numberedRate))
	}
	return append(args, "-f", "matroska", "-flush_packets", "1", "pipe:1")
}

// camera pushes the source in real time, with times from begin on, until the test ends.
func (n numbered) camera(t *testing.T, s *server, begin time.Time) {
	t.Helper()
	args := n.encode(600, "-re")
	ctx, cancel := context.WithCancel(context.Background())
	encode := exec.CommandContext(ctx, "ffmpeg", args...)
	send := s.command(ctx, "weir", "put-media", "--stream-name", n.stream(), "--create",
		"--data-retention-in-hours", "1",
		"--start-timestamp", begin.UTC().Format(time.RFC3339), "-")
	film(t, n.name, encode, send, cancel)
}

// sessionArgs asks weir for a session: LIVE, or the fragments that begin in the first
// recordedSeconds.
func (c playCase) sessionArgs(begin time.Time) []string {
	within := selector("PRODUCER_TIMESTAMP", begin,
		begin.Add(recordedSeconds*time.Second-time.Second/numberedRate))
	if c.container == "DASH" {
		args := []string{"get-dash-streaming-session-url", "--stream-name", c.codec.stream(),
			"--playback-mode", c.mode}
		if c.mode == "ON_DEMAND" {
			args = append(args, "--dash-fragment-selector", within)
		}
		return args
	}
	args := []string{"get-hls-streaming-session-url", "--stream-name", c.codec.stream(),
		"--playback-mode", c.mode, "--container-format", c.container}
	if !c.always {
		args = append(args, "--discontinuity-mode", "ON_DISCONTINUITY")
	}
	if c.mode == "ON_DEMAND" {
		args = append(args, "--hls-fragment-selector", within)
	}
	return args
}

func (n numbered) session(s *server, mode, container string, begin time.Time) string {
	s.t.Helper()
	u, err := sessionURL(s, playCase{mode, container, n, false}, begin)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// awaitFragments waits until a stream has a fragment that begins so many seconds after the first.
func awaitFragments(t *testing.T, s *server, stream string, begin time.Time, seconds int) {
	t.Helper()
	after := begin.Add(time.Duration(seconds) * time.Second)
	for deadline := time.Now().Add(time.Minute); ; {
		_, stderr, err := s.try("weir", "get-hls-streaming-session-url", "--stream-name", stream,
			"--playback-mode", "ON_DEMAND",
			"--hls-fragment-selector", selector("PRODUCER_TIMESTAMP", after, after.Add(time.Hour)))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: the camera's fragments do not arrive: %s", stream, stderr)
		}
		time.Sleep(200 * time.Millisecond) // polling another process
	}
}

// shown is what a player showed and played.
type shown struct {
	frames []int // numbers, in the order shown; -1 for a picture that cannot be read
	missed int   // how many between first and last the watcher missed, or the browser did not paint
	found  int   // how many of these were there when looked for
	pitch  []int // Hz, one for every twentieth of a second
	spare  int   // frames that the player may leave out at the end of a recording
}

// readFrames reads the numbers of raw pictures whose first plane is size bytes of grey, stride
// bytes apart.
func readFrames(raw []byte, stride int) (frames []int) {
	for ; len(raw) >= stride; raw = raw[stride:] {
		bits := 0
		for i := range 16 {
			x, y := (i%8)*numberedWidth/8+numberedWidth/16, (i/8)*numberedHeight/2+numberedHeight/4
			if raw[y*numberedWidth+x] > 127 {
				bits |= 1 << i
			}
		}
		frames = append(frames, frameNumber(bits))
	}
	return frames
}

func frameNumber(bits int) int {
	if bits%29 != 0 {
		return -1
	}
	return bits / 29
}

// readPitch measures the pitch of 16-bit mono sound of 48,000 samples per second by counting how
// often it changes sign.
func readPitch(raw []byte) (pitch []int) {
	const window = 48000 / pitchWindows
	positive := false
	samples, crossings := 0, 0
	for ; len(raw) >= 2; raw = raw[2:] {
		v := int16(uint16(raw[0]) | uint16(raw[1])<<8)
		if v == 0 && samples == 0 && len(pitch) == 0 {
			continue
		}
		if (v > 0) != positive {
			positive = v > 0
			crossings++
		}
		if samples++; samples == window {
			pitch = append(pitch, crossings*pitchWindows/2)
			samples, crossings = 0, 0
		}
	}
	return pitch
}

// check compares what was shown with what the case asks for.
func (s *shown) check(c playCase) error {
	if c.codec.video != "" {
		if err := s.checkFrames(c); err != nil {
			return err
		}
	}
	if c.codec.audio != "" {
		return s.checkPitch(c)
	}
	return nil
}

func (s *shown) checkFrames(c playCase) error {
	f := s.frames
	want := liveSeconds * numberedRate
	if c.mode == "ON_DEMAND" {
		want = recordedSeconds * numberedRate
	}
	if len(f) == 0 || slices.Contains(f, -1) {
		return fmt.Errorf("%d frames, or one that cannot be read: %v", len(f), f)
	}
	for i := 1; i < len(f); i++ {
		if f[i] <= f[i-1] {
			return fmt.Errorf("frame %d was shown after frame %d: %v", f[i], f[i-1], f)
		}
	}
	first, last := f[0], f[len(f)-1]
	switch {
	case last-first+1-len(f) != s.missed:
		return fmt.Errorf("%d frames between the first and the last were not shown: %v",
			last-first+1-len(f)-s.missed, f)
	case s.missed > want/2 || s.missed-s.found > want/10 ||
		c.mode == "ON_DEMAND" && s.missed > s.found:
		return fmt.Errorf("%d frames were missed in playing, %d of these found afterwards: %v",
			s.missed, s.found, f)
	case c.mode == "ON_DEMAND" && (first != 0 || last >= want || last < want-1-s.spare):
		return fmt.Errorf("frames %d to %d were shown, not 0 to %d", first, last, want-1)
	case c.mode == "LIVE" && last-first+1 < want-2:
		return fmt.Errorf("only frames %d to %d were shown", first, last)
	}
	return nil
}

// checkPitch follows the pitch from step to step. A step counts if two measurements in a row say
// it, so that those across a step do not.
func (s *shown) checkPitch(c playCase) error {
	var steps, lengths []int
	previous := -1
	for _, hz := range s.pitch {
		step := (hz - 475) / 50
		if hz < 475 || hz-500-50*step > 10 || hz-500-50*step < -10 {
			step = -1
		}
		switch {
		case step >= 0 && len(steps) > 0 && step == steps[len(steps)-1]:
			lengths[len(lengths)-1]++
		case step >= 0 && step == previous:
			steps, lengths = append(steps, step), append(lengths, 2)
		}
		previous = step
	}
	for i := 1; i < len(steps); i++ {
		if steps[i] != (steps[i-1]+1)%pitchSteps {
			return fmt.Errorf("the pitch goes from step %d to %d: %v", steps[i-1], steps[i],
				s.pitch)
		}
		if i < len(steps)-1 && (lengths[i] < 3 || lengths[i] > 6) {
			return fmt.Errorf("step %d lasts %d twentieths of a second, not five: %v", steps[i],
				lengths[i], s.pitch)
		}
	}
	want := liveSeconds*pitchRate - 2
	if c.mode == "ON_DEMAND" {
		want = recordedSeconds*pitchRate - 2
		if len(steps) > 0 && steps[0] != 0 {
			return fmt.Errorf("the sound begins at step %d: %v", steps[0], s.pitch)
		}
	}
	if len(steps) < want {
		return fmt.Errorf("%d steps of the pitch were heard, of %d: %v", len(steps), want, s.pitch)
	}
	return nil
}
