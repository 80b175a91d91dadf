package images

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// Each image is of the newest frame that is not after its moment. Exactly the frames from the key
// frame before it to itself are decoded.
func TestImagesAreOfTheNewestFrame(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPPPPPPP") // 000 to 009, of 400 ms
	f.shoot("KPBBPBBPBB") // 010: 0, 011: 120 ms, 012: 40, 013: 80, …

	f.expect(f.want(begin, 200, begin+799), "K000 P005 K010 B016")
	f.fed("K000 P001 P002 P003 P004 P005 K010 P011 B012 B013 P014 B015 B016")

	// From 40 ms before a frame to its time.
	for at, want := range map[int64]string{-1: "NO_MEDIA", 39: "K000", 40: "P001", 399: "P009",
		400: "K010",
		439: "K010", 440: "B012", 480: "B013", 519: "B013", 520: "P011"} {
		f.expect(f.want(begin+at, 200, begin+at), want)
	}
	f.decoder.fed = nil
	f.expect(f.want(begin+400, 200, begin+400), "K010") // is kept
	f.fed()
	in := f.want(begin+400, 200, begin+400)
	in.WidthPixels = 20
	f.expect(in, "K010")
	f.fed("K010") // only the key frame
}

// On the server's clock, a frame is as long after its fragment's arrival as after the fragment's
// start.
func TestImagesByArrival(t *testing.T) {
	f := newFilm(t)
	f.clock -= 3_600_000 // the camera is an hour late
	arrived := f.store.Clock().UnixMilli()
	f.shoot("KPPPP")
	f.sleep(100) // the network takes its time
	f.shoot("KPPPP")
	in := f.want(arrived, 200, arrived+1600)
	in.ImageSelectorType = api.SelectorServerTimestamp
	// The pictures of a fragment end 200 ms after its arrival. The last one stays the newest for a
	// second.
	f.expect(in, "K000 P004 P007 P009 P009 P009 P009 P009 NO_MEDIA")
}

// There is no image between fragments that are apart, nor where there is only sound.
func TestImagesWithoutMedia(t *testing.T) {
	f := newFilm(t, cameratest.Video(), cameratest.Audio())
	begin := f.clock
	f.shoot("KPPPP")
	f.clock += 4_800
	f.shoot("KPPPP")
	f.expect(f.want(begin-1000, 1000, begin+7000),
		"NO_MEDIA K000 P004 NO_MEDIA NO_MEDIA NO_MEDIA K005 P009 NO_MEDIA")

	f = newFilm(t, cameratest.Audio())
	begin = f.clock
	f.append(media.Run{Track: 2, BaseDecodeTime: begin * 441 / 10,
		Frames: []media.Frame{{Duration: 1024, Size: 1, Key: true}}}, []byte{0}, 23)
	f.expect(f.want(begin, 1000, begin+1000), "NO_MEDIA NO_MEDIA")
	f.fed()
	begin -= 7_200_000 // past retention
	f.expect(f.want(begin, 1000, begin), "NO_MEDIA")
	f.expect(f.want(-5000, 1000, -5000), "NO_MEDIA")
}

// Of a fragment that was sent twice, the images are of the newer one.
func TestImagesOfTheNewestFragment(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPP")
	f.clock = begin
	f.shoot("KPPPP")
	f.expect(f.want(begin+80, 200, begin+80), "P007")
}

// Muxers may begin a fragment anywhere. The key frame is then in an earlier one.
func TestImagesAcrossFragments(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("PPP") // the stream began in mid-group
	f.shoot("PKP") // 003 004 005
	f.shoot("P")
	f.shoot("PP")
	f.expect(f.want(begin+320, 200, begin+320), "P008")
	f.fed("K004 P005 P006 P007 P008")
	f.expect(f.want(begin+40, 200, begin+40), "MEDIA_ERROR") // nothing to begin with
	f.fed()
	f.clock += 3_000
	f.shoot("PP")
	// the media does not continue there
	f.expect(f.want(f.clock-40, 200, f.clock-40), "MEDIA_ERROR")
	f.fed()
}

// A page ends early if too many fragments had to be opened for it. The next page has the rest.
func TestImagesOfVeryShortFragments(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	for range 4 {
		f.shoot("K")
		for range 499 {
			f.shoot("P")
		}
	}
	in := f.want(begin+499*40, 20_000, begin+1999*40)
	before := f.store.Opens()
	in.NextToken = f.expect(in, "P499 P999 P499")
	if n := f.store.Opens() - before; n > 2*1500 {
		t.Errorf("%d fragments were opened", n)
	}
	if in.NextToken == "" {
		t.Fatal("there is no next page")
	}
	if next := f.expect(in, "P999"); next != "" {
		t.Error("there is another page")
	}
}

// Leading pictures of an open group need the group before.
func TestImagesOfOpenGroups(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPP")
	f.shoot("OLLP") // 003: 200 ms, 004: 120, 005: 160, 006: 240
	f.expect(f.want(begin+120, 200, begin+120), "L004")
	f.fed("K000 P001 P002 O003 L004")
	f.expect(f.want(begin+240, 200, begin+240), "P006")
	f.fed("O003 P006") // a decoder that begins there can make nothing of the leading pictures
	f.expect(f.want(begin, 200, begin+250), "K000 O003")
}

// One damaged frame costs the images that need it, and no others.
func TestDamagedFrames(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPP")
	f.shoot("KPXPP")
	f.shoot("KPPPP")
	in := f.want(begin, 200, begin+599)
	f.expect(in, "K000 K005 K010")
	f.fed("K000 K005 K010")
	in = f.want(begin+160, 200, begin+599)
	f.expect(in, "P004 MEDIA_ERROR P014")
	f.fed("K000 P001 P002 P003 P004 K005 P006 X007 P008 P009 K010 P011 P012 P013 P014",
		"K000 P001 P002 P003 P004", "K005 P006 X007 P008 P009", "K010 P011 P012 P013 P014")
}

// A camera that changes its settings in mid-page, and one with a codec that is not decoded.
func TestImagesOfSeveralCodecs(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPP")
	f.tracks = []media.Track{cameratest.OtherVideo()}
	f.shoot("KPPPP")
	f.tracks = []media.Track{
		{Number: 1, Kind: media.Video, CodecID: "V_VP8", Timescale: media.VideoTimescale}}
	f.shoot("KPPPP")
	f.expect(f.want(begin, 200, begin+400), "K000 K005 MEDIA_ERROR")
	f.fed("K000", "K005")
}

// A page has at most 25 images, or as many as were asked for. Its token fits only the same request.
func TestImagePages(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	for range 6 {
		f.shoot("K" + strings.Repeat("P", 49))
	}
	in := f.want(begin, 200, begin+11_999)
	var all []string
	for pages := 0; ; pages++ {
		words, next := f.images(in)
		all = append(all, words...)
		if in.NextToken = next; next == "" {
			if pages != 2 {
				t.Errorf("%d pages after the first", pages)
			}
			break
		}
		if len(words) != 25 {
			t.Errorf("a page of %d images", len(words))
		}
	}
	if len(all) != 60 || all[59] != "P295" || len(slices.Compact(slices.Clone(all))) != 60 {
		t.Errorf("%d images: %v", len(all), all)
	}
	in.MaxResults = 59
	_, next := f.images(in)
	in.MaxResults, in.NextToken = 7, next
	if words, _ := f.images(in); len(words) != 7 || words[0] != all[25] {
		t.Errorf("seven more: %v", words)
	}
	for _, token := range []string{"AAAA", next[4:], "AAAA" + next} {
		in.NextToken = token
		_, err := f.service.Get(t.Context(), f.stream, in)
		wantError(t, err, api.InvalidArgumentException, "NextToken")
	}
	in = f.want(begin, 400, begin+11_999)
	in.NextToken = next
	_, err := f.service.Get(t.Context(), f.stream, in)
	wantError(t, err, api.InvalidArgumentException, "NextToken")
}

// A page ends when its time is over. The next page has the rest.
func TestImagesThatTakeLong(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPP")
	f.tracks = []media.Track{cameratest.OtherVideo()}
	f.shoot("KPPPP")
	f.decoder.slow = time.Hour
	in := f.want(begin, 320, begin+320)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.service.Get(ctx, f.stream, f.want(begin+320, 200, begin+320)); err == nil {
		t.Error("the caller left, and there is a page")
	}
	f.service.pageTime = time.Millisecond
	next := f.expect(in, "K000")
	if next == "" {
		t.Fatal("there is no next page")
	}
	in.NextToken = next
	if next := f.expect(in, "MEDIA_ERROR"); next != "" { // it had a page's time
		t.Error("there is another page")
	}
}

// Images outlive a restart but not their stream, and a torn one is never returned.
func TestImagesAreKept(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPP")
	in := f.want(begin, 200, begin)
	f.expect(in, "K000")
	f.decoder.missing = true // and without the program
	f.restart()
	f.expect(in, "K000")
	f.fed("K000")
	files, err := filepath.Glob(filepath.Join(f.dir, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	if err := os.Truncate(files[0], 20); err != nil {
		t.Fatal(err)
	}
	_, err = f.service.Get(t.Context(), f.stream, in)
	wantError(t, err, api.InvalidArgumentException, "apt install ffmpeg")
	f.decoder.missing = false
	f.expect(in, "K000")
	if err := f.service.Forget(f.stream.ID); err != nil {
		t.Fatal(err)
	}
	f.wantFiles(0)
}

func (f *film) wantFiles(n int) {
	f.Helper()
	if files, err := filepath.Glob(filepath.Join(f.dir, "*")); err != nil || len(files) != n {
		f.Errorf("%v stay, %v", files, err)
	}
}

// No images are left of a stream that is deleted while they are made, or while the server is down.
func TestImagesOfADeletedStreamGo(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPP")
	remove := func() {
		t.Helper()
		if err := f.store.DeleteStream(t.Context(), f.stream.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	f.decoder.meanwhile = func() {
		remove()
		if err := f.service.Forget(f.stream.ID); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.service.Get(t.Context(), f.stream, f.want(begin, 200, begin+160))
	if !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	f.wantFiles(0)

	f = newFilm(t)
	f.shoot("KPPPP")
	f.expect(f.want(begin, 200, begin), "K000")
	remove()
	f.restart()
	f.wantFiles(1)
	if err := f.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFiles(0)
}

// The metrics count what became of each image, and how much is kept.
func TestImageMetrics(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPP")
	f.shoot("KPXPP")
	for range 2 {
		f.expect(f.want(begin-200, 200, begin+500), "NO_MEDIA K000 K005 MEDIA_ERROR")
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(f.metrics, promhttp.HandlerOpts{}).ServeHTTP(w,
		httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`weir_images_total{result="cached"} 2`,
		`weir_images_total{result="made"} 2`, `weir_images_total{result="media_error"} 2`,
		`weir_images_total{result="no_media"} 2`, "weir_image_cache_bytes 8204",
		"weir_image_decoder_seconds_count 6"} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("want %s in\n%s", want, w.Body)
		}
	}
}

func TestImagesRefuse(t *testing.T) {
	f := newFilm(t)
	begin := f.clock
	f.shoot("KPPPP")
	in := f.want(begin, 200, begin)
	f.decoder.busy = true
	_, err := f.service.Get(t.Context(), f.stream, in)
	wantError(t, err, api.ClientLimitExceededException, "Too many images are being made.")
	none := f.stream
	none.RetentionHours = 0
	_, err = f.service.Get(t.Context(), none, in)
	wantError(t, err, api.NoDataRetentionException, "")
	f.service.decoder = nil
	_, err = f.service.Get(t.Context(), f.stream, in)
	wantError(t, err, api.InvalidArgumentException, "apt install ffmpeg")
	if f.store.OpenNow() != 0 {
		t.Error("a fragment is still open")
	}
}
