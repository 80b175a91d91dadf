package e2e_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// imageOf is one image of an answer.
type imageOf struct {
	image.Image
	format string
	bytes  int
	failed string
}

// images gets the images of a stream with weir's command line, begin being the stream's begin.
func (s *server) images(stream string, begin time.Time, from, to, interval time.Duration,
	args ...string) (all []imageOf) {
	s.t.Helper()
	at := func(d time.Duration) string {
		return begin.Add(d).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	out := s.runJSON("weir",
		append([]string{"get-images", "--stream-name", stream, "--image-selector-type",
			"PRODUCER_TIMESTAMP",
			"--start-timestamp", at(from), "--end-timestamp", at(to), "--sampling-interval",
			fmt.Sprint(interval.Milliseconds())}, args...)...)
	return decodeImages(s.t, out)
}

func decodeImages(t testing.TB, out map[string]any) (all []imageOf) {
	t.Helper()
	list, _ := out["Images"].([]any)
	for _, v := range list {
		var one imageOf
		v := v.(map[string]any)
		one.failed, _ = v["Error"].(string)
		if content, ok := v["ImageContent"].(string); ok {
			data, err := base64.StdEncoding.DecodeString(content)
			if err == nil {
				one.bytes = len(data)
				one.Image, one.format, err = image.Decode(bytes.NewReader(data))
			}
			if err != nil {
				t.Fatalf("image: %v", err)
			}
		}
		all = append(all, one)
	}
	return all
}

// number reads which frame of a numbered source an image is of: -1 when it cannot be read, -2 when
// there is none.
func (i *imageOf) number() int {
	if i.Image == nil {
		return -2
	}
	grey := image.NewGray(i.Bounds())
	draw.Draw(grey, grey.Bounds(), i.Image, image.Point{}, draw.Src)
	return readFrames(grey.Pix, numberedWidth*numberedHeight)[0]
}

// record sends a numbered source of so many seconds, whose first frame is shown at begin.
func (n numbered) record(t *testing.T, s *server, stream string, begin time.Time, seconds int,
	change ...string) {
	t.Helper()
	args := n.encode(seconds)
	args = slices.Insert(args, len(args)-1, change...)
	path := filepath.Join(t.TempDir(), "numbered.mkv")
	if err := os.WriteFile(path, program(t, "ffmpeg", args...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("weir", "put-media", "--stream-name", stream, "--create",
		"--data-retention-in-hours", "24",
		"--start-timestamp", begin.UTC().Format(time.RFC3339), path)
}

// openGroups is a source in open groups, by openOptions.
var (
	openGroups  = numbered{name: "open-groups", video: "libx264"}
	openOptions = map[numbered][]string{openGroups: {"-x264-params",
		"open-gop=1:ref=4:b-pyramid=2:bframes=3:rc-lookahead=5:sync-lookahead=0:threads=1"}}
)

// writesImages has weir images write the files of more moments than one call of GetImages may
// have; the last four have frames.
func (s *server) writesImages(begin time.Time) {
	s.t.Helper()
	dir := filepath.Join(s.t.TempDir(), "stills", "of a day")
	stdout, stderr, err := s.try("weir", "images", "H-264", dir, "--clock", "producer", "--png",
		"--from", fmt.Sprint(begin.Unix()-302), "--to", fmt.Sprint(begin.Unix()+6),
		"--every", "2s")
	if n := strings.Count(string(stderr), "Z: NO_MEDIA\n"); err != nil || n != 151 {
		s.t.Fatalf("%d moments without media, %v: %s", n, err, stderr)
	}
	var want []string
	for i := range 4 {
		at := begin.Add(time.Duration(2*i) * time.Second)
		path := filepath.Join(dir, at.UTC().Format("2006-01-02T15-04-05.000Z")+".png")
		want = append(want, path)
		data, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		one := imageOf{}
		if one.Image, one.format, err = image.Decode(bytes.NewReader(data)); err != nil ||
			one.format != "png" || one.number() != 20*i {
			s.t.Errorf("%s is frame %d in %s, %v", path, one.number(), one.format, err)
		}
	}
	if got := string(stdout); got != strings.Join(want, "\n")+"\n" {
		s.t.Errorf("it names %s", got)
	}
	_, _, err = s.try("weir", "images", "H-264", dir, "--clock", "producer",
		"--from", fmt.Sprint(begin.Unix()-60), "--to", fmt.Sprint(begin.Unix()-50))
	if err == nil {
		s.t.Error("no image is no error")
	}
}

// imagesOfDamage: a damaged frame costs only the images that need it. Packet 20 is a key frame.
func (s *server) imagesOfDamage(t *testing.T, source numbered, begin time.Time) {
	t.Helper()
	source.record(t, s, "damaged", begin, 4, "-bsf:v", `noise=amount=eq(n\,20)*20`)
	for i, got := range s.images("damaged", begin, 0, 3900*time.Millisecond,
		500*time.Millisecond, "--format", "JPEG") {
		hurt := i == 4 || i == 5
		if hurt != (got.failed == "MEDIA_ERROR") || !hurt && got.number() != 5*i {
			t.Errorf("frame %d (%s) of a damaged recording, want %d", got.number(), got.failed, 5*i)
		}
	}
}

// imageSizes asks for formats and sizes, also of a video whose pixels are one and a half times as
// wide as they are high.
func (s *server) imageSizes(begin time.Time) {
	s.t.Helper()
	const moment = 700 * time.Millisecond
	s.run("weir", "put-media", "--stream-name", "anamorphic", "--create", "--start-timestamp",
		begin.UTC().Format(time.RFC3339), clipSource(s.t, "anamorphic.mkv", "10", 1, "-vf",
			"setsar=3/2", "-c:v", "libx264", "-c:a", "aac"))
	one := func(stream string, args ...string) imageOf {
		s.t.Helper()
		got := s.images(stream, begin, moment, moment, time.Second, args...)
		if len(got) != 1 || got[0].Image == nil {
			s.t.Fatalf("%v: %d images", args, len(got))
		}
		return got[0]
	}
	jpeg := func(quality string) imageOf {
		return one("H-264", "--format", "JPEG", "--width-pixels", "320", "--format-config",
			"JPEGQuality="+quality)
	}
	if least, usual, most := jpeg("1"), jpeg("80"), jpeg("100"); least.bytes >= usual.bytes ||
		usual.bytes >= most.bytes {
		s.t.Errorf("of quality 1, 80 and 100 are %d, %d and %d bytes", least.bytes, usual.bytes,
			most.bytes)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--format", "PNG"}, "png 160x96"},
		{[]string{"--format", "PNG", "--width-pixels", "80"}, "png 80x48"},
		{[]string{"--format", "JPEG", "--height-pixels", "192"}, "jpeg 320x192"},
		{[]string{"--format", "JPEG", "--height-pixels", "33", "--width-pixels", "77"},
			"jpeg 77x33"},
		{[]string{"--format", "JPEG", "--width-pixels", "1"}, "jpeg 1x1"},
		{[]string{"--format", "PNG"}, "anamorphic png 320x240"},
		{[]string{"--format", "PNG", "--width-pixels", "120"}, "anamorphic png 120x60"},
		{[]string{"--format", "JPEG", "--height-pixels", "120"}, "anamorphic jpeg 240x120"},
	} {
		stream, want := "H-264", c.want
		if rest, ok := strings.CutPrefix(want, "anamorphic "); ok {
			stream, want = "anamorphic", rest
		}
		got := one(stream, c.args...)
		size := got.Bounds().Size()
		if fmt.Sprintf("%s %dx%d", got.format, size.X, size.Y) != want {
			s.t.Errorf("%v: %s of %v, want %s", c.args, got.format, size, c.want)
		}
	}
}

// The image of each moment is of the frame that was shown then, in H.264 and H.265, with B-frames,
// and in open groups.
func TestImages(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg", "aws")
	s := start(t, "")
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	const millis = time.Millisecond
	h264, sound, h265 := numberedCodecs[0], numberedCodecs[2], numberedCodecs[4]
	for _, n := range []numbered{h264, sound, h265, openGroups} {
		n.record(t, s, n.stream(), begin, 7, openOptions[n]...)
		// 31 moments in two pages: none before a frame, in the middle of one, and after the end.
		for i, got := range s.images(n.stream(), begin, -200*millis, 7300*millis, 250*millis,
			"--format", "JPEG") {
			at := -200 + 250*i
			want := min(at/100, 69) // the last one is the newest for a while
			if n.video == "" || at < 0 {
				want = -2
			}
			if got.number() != want || want == -2 && got.failed != "NO_MEDIA" {
				t.Errorf("%s: frame %d (%s) at %d ms, want %d", n.name, got.number(), got.failed,
					at, want)
			}
		}
	}

	s.imageSizes(begin)

	s.writesImages(begin)

	s.imagesOfDamage(t, h264, begin)

	// The AWS command line.
	endpoint := s.aws("kinesisvideo", "get-data-endpoint", "--stream-name", "H-264", "--api-name",
		"GET_IMAGES")["DataEndpoint"].(string)
	aws := []string{"kinesis-video-archived-media", "get-images", "--endpoint-url", endpoint,
		"--stream-name", "H-264",
		"--image-selector-type", "PRODUCER_TIMESTAMP", "--format", "PNG", "--start-timestamp",
		begin.UTC().Format(time.RFC3339)}
	got := decodeImages(t,
		s.aws(append(aws, "--end-timestamp", begin.Add(6*time.Second).UTC().Format(time.RFC3339),
			"--sampling-interval", "3000", "--page-size", "2")...))
	var numbers []string
	for i := range got {
		numbers = append(numbers, fmt.Sprint(got[i].number()))
	}
	if strings.Join(numbers, " ") != "0 30 60" {
		t.Errorf("the AWS command line has frames %v", numbers)
	}
	s.awsFails("InvalidArgumentException",
		append(aws, "--end-timestamp", begin.Add(time.Hour).UTC().Format(time.RFC3339),
			"--sampling-interval", "3000")...)
}
