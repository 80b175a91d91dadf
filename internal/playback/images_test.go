package playback

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/still"
	"weir/internal/store"
)

// filmDecoder takes frames of four letters for media: K001 is a key frame, X002 is damaged. What it
// makes of one is its letters and how the image shall be.
type filmDecoder struct {
	fed     []string      // frames of each process, in decode order
	missing bool          // there is no program
	busy    bool          // there is no turn
	slow    time.Duration // the process stops here, and what is left of its time goes by
	turns   int
}

func (d *filmDecoder) Available() error {
	if d.missing {
		return still.ErrMissing
	}
	return nil
}

func (d *filmDecoder) Enter(context.Context) (func(), error) {
	if d.busy {
		return nil, still.ErrBusy
	}
	d.turns++
	return func() { d.turns-- }, nil
}

func (d *filmDecoder) EnterLast(ctx context.Context) (func(), error) { return d.Enter(ctx) }

func (d *filmDecoder) Run(ctx context.Context, j *still.Job) error {
	var mp4 bytes.Buffer
	if err := j.Write(&mp4); err != nil {
		return err
	}
	shown := map[int]string{}
	fed := framesOf(mp4.Bytes(), shown)
	d.fed = append(d.fed, strings.Join(fed, " "))
	if damaged := strings.Join(fed, ""); strings.Contains(damaged, "X") {
		return fmt.Errorf("%w: X", still.ErrMedia)
	}
	for _, n := range j.Frames {
		if d.slow > 0 && len(fed) > 1 {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		if err := j.Made(n, fmt.Appendf(nil, "%s %d", shown[n], j.Width)); err != nil {
			return err
		}
	}
	return nil
}

// framesOf reads the frames in fragmented MP4, in decode order, and when they are shown.
func framesOf(mp4 []byte, shown map[int]string) (frames []string) {
	at, offsets := 0, []int{}
	var walk func(data []byte)
	walk = func(data []byte) {
		for len(data) >= 8 {
			size := int(binary.BigEndian.Uint32(data))
			kind, body := string(data[4:8]), data[8:size]
			data = data[size:]
			switch kind {
			case "moof", "traf":
				walk(body)
			case "tfdt":
				at = int(binary.BigEndian.Uint64(body[4:]))
			case "trun":
				flags, n := binary.BigEndian.Uint32(body)&0xffffff,
					int(binary.BigEndian.Uint32(body[4:]))
				body = body[12+4*int(flags>>2&1):]
				columns := 0
				for _, f := range []uint32{0x100, 0x200, 0x400, 0x800} {
					if flags&f != 0 {
						columns++
					}
				}
				offsets = make([]int, n)
				for i := range offsets {
					if row := body[4*columns*i:]; flags&0x800 != 0 {
						offsets[i] = int(int32(binary.BigEndian.Uint32(row[4*columns-4:])))
					}
				}
			case "mdat":
				for i := range offsets {
					frame := string(body[4*i : 4*i+4])
					shown[at+i+offsets[i]] = frame
					frames = append(frames, frame)
				}
			}
		}
	}
	walk(mp4)
	return frames
}

// film is a rig whose camera takes frames that filmDecoder knows.
type film struct {
	*rig
	decoder *filmDecoder
	cache   string
	taken   int
}

func newFilm(t *testing.T, tracks ...media.Track) *film {
	if len(tracks) == 0 {
		tracks = []media.Track{videoTrack()}
	}
	f := &film{rig: newRig(t, tracks...), decoder: &filmDecoder{},
		cache: filepath.Join(t.TempDir(), "images")}
	f.restart()
	return f
}

// restart begins another process over what the last one kept.
func (f *film) restart() {
	f.Helper()
	cache, err := still.OpenCache(f.cache, 1<<20, time.Hour, f.store.clock)
	if err != nil {
		f.Fatal(err)
	}
	f.service = New(Options{Store: f.store, Tokens: fakeTokens{}, Clock: f.store.clock,
		Decoder: f.decoder, Images: cache})
}

// shoot stores a fragment of frames of 40 ms, in decode order: K is a key frame, O one after which
// leading pictures (L) may come, P is shown where it is decoded, two B before the P in front of
// them.
func (f *film) shoot(kinds string) store.FragmentInfo {
	f.Helper()
	i := f.camera.info(f.camera.nextNumber())
	run := media.Run{Track: 1, BaseDecodeTime: i.Spans[0].BaseDecodeTime}
	i.Spans = nil
	rec := recordOf(&i, f.camera.tracks)
	var payload []byte
	for n, kind := range kinds {
		frame := media.Frame{Duration: 3600, Size: 4, Key: kind == 'K'}
		switch {
		case kind == 'O':
			frame.Marks = media.Open
		case kind == 'L':
			frame.Marks = media.Leading
		}
		if kind == 'B' || kind == 'L' {
			frame.CompositionOffset = -3600
		} else if rest := kinds[n+1:]; strings.HasPrefix(rest, "BB") || strings.HasPrefix(rest,
			"LL") {
			frame.CompositionOffset = 7200
		}
		run.Frames = append(run.Frames, frame)
		payload = fmt.Appendf(payload, "%c%03d", kind, f.taken)
		f.taken++
	}
	rec.Runs, rec.Payload = []media.Run{run}, [][]byte{payload}
	i = f.store.commit(f.stream.ID, rec, 0)
	f.camera.pass(int64(40 * len(kinds)))
	return i
}

// want is a request for images from a moment on, every interval, to another.
func (f *film) want(from, interval, to int64) *api.GetImagesInput {
	start, end := api.Timestamp(from), api.Timestamp(to)
	return &api.GetImagesInput{StreamRef: api.StreamRef{StreamName: "camera"},
		ImageSelectorType: api.SelectorProducerTimestamp, StartTimestamp: &start,
		EndTimestamp:     &end,
		SamplingInterval: int(interval), Format: api.ImageJPEG}
}

// images returns the page's images in words, without how they shall be.
func (f *film) images(in *api.GetImagesInput) (words []string, next string) {
	f.Helper()
	page, err := f.service.Images(f.Context(), f.stream, in)
	if err != nil {
		f.Fatal(err)
	}
	defer page.Close()
	for i := range page.Images {
		image := &page.Images[i]
		if image.Image == nil {
			words = append(words, string(image.Error))
			continue
		}
		r, err := image.Image.Open()
		if err != nil {
			f.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			f.Fatal(err)
		}
		r.Close()
		word, _, _ := strings.Cut(string(data), " ")
		words = append(words, word)
	}
	return words, page.NextToken
}

func (f *film) expect(in *api.GetImagesInput, want string) (next string) {
	f.Helper()
	got, next := f.images(in)
	if strings.Join(got, " ") != want {
		f.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	if f.store.opened != 0 {
		f.Errorf("%d fragments are still open", f.store.opened)
	}
	if f.decoder.turns != 0 {
		f.Error("a turn was not given back")
	}
	return next
}

func (f *film) fed(want ...string) {
	f.Helper()
	if !slices.Equal(f.decoder.fed, want) {
		f.Errorf("decoded %q\nwant    %q", f.decoder.fed, want)
	}
	f.decoder.fed = nil
}

// Each image is of the newest frame that is not after its moment, and what is decoded for it begins
// at the key frame before it and ends with it.
func TestImagesAreOfTheNewestFrame(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
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

// By the server's clock a frame is as long after its fragment's arrival as after its start.
func TestImagesByArrival(t *testing.T) {
	f := newFilm(t)
	f.camera.clock -= 3_600_000 // the camera is an hour late
	arrived := f.store.now.UnixMilli()
	f.shoot("KPPPP")
	f.store.sleep(100 * time.Millisecond) // the network takes its time
	f.shoot("KPPPP")
	in := f.want(arrived, 200, arrived+1600)
	in.ImageSelectorType = api.SelectorServerTimestamp
	// The fragments' pictures end 200 ms after they arrived; the last is taken for the newest for a
	// second.
	f.expect(in, "K000 P004 P007 P009 P009 P009 P009 P009 NO_MEDIA")
}

// Between fragments that have nothing to do with each other there is nothing, and neither where
// there is sound only.
func TestImagesWithoutMedia(t *testing.T) {
	f := newFilm(t, videoTrack(), audioTrack())
	begin := f.camera.clock
	f.shoot("KPPPP")
	f.camera.clock += 4_800
	f.shoot("KPPPP")
	f.expect(f.want(begin-1000, 1000, begin+7000),
		"NO_MEDIA K000 P004 NO_MEDIA NO_MEDIA NO_MEDIA K005 P009 NO_MEDIA")

	f = newFilm(t, audioTrack())
	begin = f.camera.clock
	f.camera.sendMedia()
	f.expect(f.want(begin, 1000, begin+1000), "NO_MEDIA NO_MEDIA")
	f.fed()
	begin -= 7_200_000 // past retention
	f.expect(f.want(begin, 1000, begin), "NO_MEDIA")
	f.expect(f.want(-5000, 1000, -5000), "NO_MEDIA")
}

// A fragment that was sent twice shows its newest form.
func TestImagesOfTheNewestFragment(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
	f.shoot("KPPPP")
	f.camera.clock = begin
	f.shoot("KPPPP")
	f.expect(f.want(begin+80, 200, begin+80), "P007")
}

// Muxers may begin a fragment anywhere: the key frame is then in one before.
func TestImagesAcrossFragments(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
	f.shoot("PPP") // the stream began in mid-group
	f.shoot("PKP") // 003 004 005
	f.shoot("P")
	f.shoot("PP")
	f.expect(f.want(begin+320, 200, begin+320), "P008")
	f.fed("K004 P005 P006 P007 P008")
	f.expect(f.want(begin+40, 200, begin+40), "MEDIA_ERROR") // nothing to begin with
	f.fed()
	f.camera.clock += 3_000
	f.shoot("PP")
	// does not go on there
	f.expect(f.want(f.camera.clock-40, 200, f.camera.clock-40), "MEDIA_ERROR")
	f.fed()
}

// Leading pictures of an open group need the group before.
func TestImagesOfOpenGroups(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
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
	begin := f.camera.clock
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

// A camera that changes its settings in mid-page, and one whose codec nobody decodes.
func TestImagesOfSeveralCodecs(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
	f.shoot("KPPPP")
	f.camera.tracks = []media.Track{otherVideo()}
	f.shoot("KPPPP")
	f.camera.tracks = []media.Track{
		{Number: 1, Kind: media.Video, CodecID: "V_VP8", Timescale: media.VideoTimescale}}
	f.shoot("KPPPP")
	f.expect(f.want(begin, 200, begin+400), "K000 K005 MEDIA_ERROR")
	f.fed("K000", "K005")
}

// Pages have 25 images at most, or as many as are asked for, and their tokens fit the request only.
func TestImagePages(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
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
		_, err := f.service.Images(t.Context(), f.stream, in)
		wantError(t, err, api.InvalidArgumentException, "NextToken")
	}
	in = f.want(begin, 400, begin+11_999)
	in.NextToken = next
	_, err := f.service.Images(t.Context(), f.stream, in)
	wantError(t, err, api.InvalidArgumentException, "NextToken")
}

// When the time of a page is over, it ends; what did not come to its turn is on the next one.
func TestImagesThatTakeLong(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
	f.shoot("KPPPP")
	f.camera.tracks = []media.Track{otherVideo()}
	f.shoot("KPPPP")
	f.decoder.slow = time.Hour
	in := f.want(begin, 320, begin+320)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.service.Images(ctx, f.stream, f.want(begin+320, 200, begin+320)); err == nil {
		t.Error("the caller left, and there is a page")
	}
	f.service.imagesTime = time.Millisecond
	next := f.expect(in, "K000")
	if next == "" {
		t.Fatal("there is no next page")
	}
	in.NextToken = next
	if next := f.expect(in, "MEDIA_ERROR"); next != "" { // it had a page's time
		t.Error("there is another page")
	}
}

// Images outlive a restart, not their stream, and nobody sees one that was torn.
func TestImagesAreKept(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
	f.shoot("KPPPP")
	in := f.want(begin, 200, begin)
	f.expect(in, "K000")
	f.decoder.missing = true // and without the program
	f.restart()
	f.expect(in, "K000")
	f.fed("K000")
	files, err := filepath.Glob(filepath.Join(f.cache, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	if err := os.Truncate(files[0], 20); err != nil {
		t.Fatal(err)
	}
	_, err = f.service.Images(t.Context(), f.stream, in)
	wantError(t, err, api.InvalidArgumentException, "apt install ffmpeg")
	f.decoder.missing = false
	f.expect(in, "K000")
	if err := f.service.ForgetImages(f.stream.ID); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(f.cache, "*")); len(files) != 0 {
		t.Errorf("%v stay", files)
	}
}

func TestImagesRefuse(t *testing.T) {
	f := newFilm(t)
	begin := f.camera.clock
	f.shoot("KPPPP")
	in := f.want(begin, 200, begin)
	f.decoder.busy = true
	_, err := f.service.Images(t.Context(), f.stream, in)
	wantError(t, err, api.ClientLimitExceededException, "Too many images are being made.")
	none := f.stream
	none.RetentionHours = 0
	_, err = f.service.Images(t.Context(), none, in)
	wantError(t, err, api.NoDataRetentionException, "")
	f.service.decoder = nil
	_, err = f.service.Images(t.Context(), f.stream, in)
	wantError(t, err, api.InvalidArgumentException, "apt install ffmpeg")
	if f.store.opened != 0 {
		t.Error("a fragment is still open")
	}
}
