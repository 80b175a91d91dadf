package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/images"
	"weir/internal/still"
)

// blankDecoder makes images without reading any media.
type blankDecoder struct{ size int }

func (blankDecoder) Available() error                                { return nil }
func (blankDecoder) Enter(context.Context) (func(), error)           { return func() {}, nil }
func (d blankDecoder) EnterLast(ctx context.Context) (func(), error) { return d.Enter(ctx) }
func (d blankDecoder) Run(_ context.Context, j *still.Job) error {
	if err := j.Write(io.Discard); err != nil {
		return err
	}
	for _, n := range j.Frames {
		if err := j.Made(n, bytes.Repeat([]byte{byte(n)}, d.size+n)); err != nil {
			return err
		}
	}
	return nil
}

// newImageSite is a site whose images have about so many bytes, and the directory where they are
// kept.
func newImageSite(t *testing.T, size int) (*site, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "images")
	cache, err := still.OpenCache(dir, 1<<20, time.Hour, nil)
	must(t, err)
	return newSite(t, func(o *Options) {
		o.Images = images.New(images.Options{Store: o.Store.(engine),
			Decoder: blankDecoder{size}, Cache: cache})
	}), dir
}

func TestGetImages(t *testing.T) {
	t.Parallel()
	s, dir := newImageSite(t, 100_000)
	arn := s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)["StreamARN"]
	s.record()
	first := s.ok("/listFragments", `{"StreamName":"cam1","FragmentSelector":`+serverRange+`}`)
	begin := first["Fragments"].([]any)[0].(map[string]any)["ProducerTimestamp"].(float64)
	ask := func(stream, more string) string {
		return fmt.Sprintf(`{%s,"ImageSelectorType":"PRODUCER_TIMESTAMP","Format":"JPEG",`+
			`"StartTimestamp":%.3f,"EndTimestamp":%.3f,"SamplingInterval":1000%s}`,
			stream, begin-1, begin+2, more)
	}
	const name = `"StreamName":"cam1"`
	var pages []any
	out := s.ok("/getImages", ask(name, `,"MaxResults":3`))
	pages = append(pages, out["Images"].([]any)...)
	next, _ := out["NextToken"].(string)
	out = s.ok("/getImages", ask(fmt.Sprintf(`"StreamARN":%q`, arn), `,"NextToken":"`+next+`"`))
	pages = append(pages, out["Images"].([]any)...)
	if out["NextToken"] != nil || len(pages) != 4 {
		t.Fatalf("%d images, and %v", len(pages), out["NextToken"])
	}
	for i, page := range pages {
		image := page.(map[string]any)
		content, _ := image["ImageContent"].(string)
		data, err := base64.StdEncoding.DecodeString(content)
		switch {
		case image["TimeStamp"] != begin-1+float64(i), len(image) != 2, err != nil:
			t.Errorf("image %d is %.100v, %v", i, image, err)
		case i == 0 && image["Error"] != "NO_MEDIA", i > 0 && len(data) < 100_000:
			t.Errorf("image %d: %v, %d bytes", i, image["Error"], len(data))
		}
	}
	s.call("/getImages", ask(`"StreamName":"none"`, "")).fails(t, 404, "ResourceNotFoundException", "")
	s.call("/getImages", `{"StreamName":"cam1"}`).fails(t, 400, "InvalidArgumentException", "format")
	s.ok("/createStream", `{"StreamName":"none"}`)
	s.call("/getImages", ask(`"StreamName":"none"`, "")).fails(t, 400, "NoDataRetentionException", "")

	if kept, err := filepath.Glob(filepath.Join(dir, "*", "*")); err != nil || len(kept) != 3 {
		t.Errorf("%d images are kept, %v", len(kept), err)
	}
	s.ok("/deleteStream", fmt.Sprintf(`{"StreamARN":%q}`, arn))
	if kept, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(kept) != 0 {
		t.Errorf("of a deleted stream stays %v, %v", kept, err)
	}
	s = newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.call("/getImages", ask(name, "")).fails(t, 400, "InvalidArgumentException",
		"apt install ffmpeg")
}
