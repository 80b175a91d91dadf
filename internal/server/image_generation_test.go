package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/images"
	"weir/internal/media"
	"weir/internal/still"
	"weir/internal/store"
	"weir/test/output"
)

// imageStores returns a directory with a cache of images, and a folder "images" for generated ones.
func imageStores(t *testing.T) (dir string, cache *still.Cache, folder *still.Folder) {
	t.Helper()
	dir = t.TempDir()
	cache, err := still.OpenCache(filepath.Join(dir, "cache"), 1<<20, time.Hour, nil)
	must(t, err)
	folder, err = still.OpenFolder(filepath.Join(dir, "images"), 1<<20)
	must(t, err)
	return dir, cache, folder
}

// Tagged fragments have images in the directory that stands for the bucket: one every interval,
// across fragments, with the service's names and metadata, wherever the producers point to.
func TestImageGeneration(t *testing.T) {
	t.Parallel()
	dir, cache, folder := imageStores(t)
	s := newStreamSite(t, func(o *Options) {
		o.ImageFolder = folder
		o.Images = images.New(images.Options{Store: o.Store.(engine),
			Decoder: blankDecoder{100}, Cache: cache})
	})
	const uri = "s3://bucket-1/a/b"
	config := `{"Status":"ENABLED","ImageSelectorType":"PRODUCER_TIMESTAMP","DestinationConfig":{` +
		`"Uri":"` + uri + `","DestinationRegion":"us-west-2"},"SamplingInterval":400,"Format":"JPEG",` +
		`"FormatConfig":{"JPEGQuality":"50"},"WidthPixels":320}`
	update := func(stream, config string) answer {
		return s.call("/updateImageGenerationConfiguration", fmt.Sprintf(
			`{"StreamName":%q,"ImageGenerationConfiguration":%s}`, stream, config))
	}
	describe := func(want string) {
		t.Helper()
		a := s.call("/describeImageGenerationConfiguration", `{"StreamName":"cam1"}`)
		if want = `{"ImageGenerationConfiguration":` + want + `}`; a.body != want {
			t.Errorf("got  %s\nwant %s", a.body, want)
		}
	}
	describe("null")
	if a := update("cam1", config); a.status != 200 || a.body != "{}" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	describe(config)

	start := time.Now().Add(-time.Minute).UnixMilli()
	generate := media.Tag{Name: "AWS_KINESISVIDEO_IMAGE_GENERATION"}
	prefix := media.Tag{Name: "AWS_KINESISVIDEO_IMAGE_PREFIX", Value: "../../x/\\y"}
	shoot := func(at int64, tags ...media.Tag) {
		t.Helper()
		c := newCamera(t)
		p := s.dial("cam1")
		p.started()
		c.cluster(start+at, 15, 200)
		must(t, c.w.WriteTags(tags))
		p.send(c.endOfFragment().take())
		p.until(fmt.Sprintf("PERSISTED %d", start+at))
		p.end()
	}
	shoot(0, generate, prefix, media.Tag{Name: "who", Value: "cat"}) // at 0, 400
	shoot(600)                                                       // does not ask
	shoot(1200, generate)                                            // later: at 1200, 1600
	shoot(1800, generate)                                            // goes on: at 2000
	checkGenerated(t, dir, start)

	for _, c := range []struct{ config, says string }{
		{strings.Replace(config, "us-west-2", "eu-west-1", 1), "us-west-2"},
		{strings.Replace(config, "400", "199", 1), "200 milliseconds"},
	} {
		update("cam1", c.config).fails(t, 400, "InvalidArgumentException", c.says)
	}
	s.ok("/createStream", `{"StreamName":"none"}`)
	update("none", config).fails(t, 400, "NoDataRetentionException", "")
	update("other", config).fails(t, 404, "ResourceNotFoundException", "")
	update("cam1", "null")
	describe("null")

	s = newStreamSite(t, func(o *Options) { o.ImageFolder = folder })
	update("cam1", config).fails(t, 400, "InvalidArgumentException", "apt install ffmpeg")
	s = newStreamSite(t)
	update("cam1", config).fails(t, 400, "InvalidArgumentException", "--generated-images")
}

// checkGenerated waits for the five images of TestImageGeneration, whose first fragment began at
// start, and checks them.
func checkGenerated(t *testing.T, dir string, start int64) {
	t.Helper()
	var found []string
	await(t, "images", 5, func() int {
		var err error
		found, err = filepath.Glob(filepath.Join(dir, "images", "bucket-1", "a", "b", "*.jpg"))
		must(t, err)
		return len(found)
	})
	name := regexp.MustCompile(`^(_.._x__y_)?\d{12}_cam1_(\d+)_[0-9a-f]{16}\.jpg$`)
	moments := map[string]string{} // prefixes
	for _, path := range found {
		m := name.FindStringSubmatch(filepath.Base(path))
		if m == nil {
			t.Fatalf("a file is called %s", path)
		}
		moments[m[2]] = m[1]
		about := map[string]string{}
		text, err := os.ReadFile(path + ".json")
		must(t, err)
		must(t, json.Unmarshal(text, &about))
		if len(about["aws_kinesisvideo_fragment_number"]) != 47 || m[1] != "" &&
			(about["who"] != "cat" ||
				about["aws_kinesisvideo_producer_timestamp"] != fmt.Sprint(start)) {
			t.Errorf("%s is of %s", path, text)
		}
		if data, err := os.ReadFile(path); err != nil || len(data) < 100 {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	}
	for _, at := range []int64{0, 400, 1200, 1600, 2000} {
		if p, ok := moments[fmt.Sprint(start+at)]; !ok || (p != "") != (at < 1200) {
			t.Errorf("the image at %d: %t, %q", at, ok, p)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) != 5 || len(left) != 2 {
		t.Errorf("%d images, and %v", len(found), left)
	}
}

// fillingStore says that the disk is full as long as full is set.
type fillingStore struct {
	engine
	full atomic.Bool
}

func (s *fillingStore) Room(ctx context.Context, bytes int64) error {
	if s.full.Load() {
		return fmt.Errorf("%w: 17 bytes are free", store.ErrFull)
	}
	return s.engine.Room(ctx, bytes)
}

// On a full disk no image of any fragment is written, and the log says so once; it says when images
// are written again.
func TestImageGenerationOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir, cache, folder := imageStores(t)
	disk := &fillingStore{}
	var log output.Buffer
	s := newStreamSite(t, func(o *Options) {
		disk.engine = o.Store.(engine)
		o.Store, o.Logger, o.ImageFolder = disk, logTo(&log), folder
		o.Images = images.New(images.Options{Store: disk, Decoder: blankDecoder{100}, Cache: cache})
	})
	s.ok("/updateImageGenerationConfiguration", `{"StreamName":"cam1",`+
		`"ImageGenerationConfiguration":{"Status":"ENABLED","ImageSelectorType":"PRODUCER_TIMESTAMP","DestinationConfig":{`+
		`"Uri":"s3://bucket-1","DestinationRegion":"us-west-2"},"SamplingInterval":400,`+
		`"Format":"JPEG"}}`)
	start := time.Now().Add(-time.Minute).UnixMilli()
	shoot := func(at int64) {
		t.Helper()
		c := newCamera(t)
		p := s.dial("cam1")
		p.started()
		c.cluster(start+at, 15, 200)
		must(t, c.w.WriteTags([]media.Tag{{Name: "AWS_KINESISVIDEO_IMAGE_GENERATION"}}))
		p.send(c.endOfFragment().take())
		p.until(fmt.Sprintf("PERSISTED %d", start+at))
		p.end()
	}
	metric := func(name, want string) {
		t.Helper()
		await(t, name, want, func() string { return s.metric(name) })
	}
	disk.full.Store(true)
	for i := range 3 {
		shoot(int64(1000 * i))
	}
	metric("weir_events_dropped_total", "3")
	if files, err := os.ReadDir(filepath.Join(dir, "images")); err == nil {
		t.Errorf("on a full disk was written %v", files)
	}
	disk.full.Store(false)
	shoot(5000)
	metric("weir_generated_images_total", "2")
	await(t, "lines that images are made again", 1, func() int {
		return len(logLines(&log, "images of fragments are made again"))
	})
	if lines := logLines(&log, "images of fragments are not made"); len(lines) != 1 ||
		!strings.Contains(lines[0], "full") {
		t.Errorf("the log says %q", lines)
	}
	metric("weir_generated_images_bytes", fmt.Sprint(folder.Bytes()))
}
