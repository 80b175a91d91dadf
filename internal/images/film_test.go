package images

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/still"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// filmDecoder decodes frames of four characters: K001 is a key frame, X002 is damaged. An image is
// those characters and the spec.
type filmDecoder struct {
	fed     []string      // frames of each process, in decode order
	missing bool          // there is no program
	busy    bool          // there is no turn
	slow    time.Duration // a process hangs until its time is over
	turns   int

	meanwhile func() // called after frames were read and before images come; may be nil
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
	if d.meanwhile != nil {
		d.meanwhile()
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

// film is a service over a store with one stream, whose camera takes frames that filmDecoder knows.
type film struct {
	*testing.T
	store   *cameratest.Store
	stream  store.Stream
	service *Service
	decoder *filmDecoder
	metrics *prometheus.Registry // of the service
	dir     string               // of the cache

	tracks []media.Track // of the camera
	clock  int64         // of the camera, in milliseconds: when the next fragment begins
	taken  int
}

func newFilm(t *testing.T, tracks ...media.Track) *film {
	if len(tracks) == 0 {
		tracks = []media.Track{cameratest.Video()}
	}
	f := &film{T: t, decoder: &filmDecoder{}, dir: filepath.Join(t.TempDir(), "images"),
		tracks: tracks, store: cameratest.NewStore(t)}
	f.clock, f.stream = f.store.Clock().UnixMilli(), f.store.Stream
	f.restart()
	return f
}

// restart makes a new service over what the last one kept.
func (f *film) restart() {
	f.Helper()
	cache, err := still.OpenCache(f.dir, 1<<20, time.Hour, f.store.Clock)
	if err != nil {
		f.Fatal(err)
	}
	f.metrics = prometheus.NewPedanticRegistry()
	metrics, err := NewMetrics(f.metrics, cache)
	if err != nil {
		f.Fatal(err)
	}
	f.service = New(Options{Store: f.store, Decoder: f.decoder, Cache: cache, Metrics: metrics})
}

// shoot stores a fragment of frames of 40 ms, in decode order. K is a key frame, O one that leading
// pictures (L) may follow. P is shown in decode order, two Bs before the P that they follow.
func (f *film) shoot(kinds string) store.FragmentInfo {
	f.Helper()
	run := media.Run{Track: 1, BaseDecodeTime: f.clock * 90}
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
		} else if rest := kinds[n+1:]; strings.HasPrefix(rest, "BB") ||
			strings.HasPrefix(rest, "LL") {
			frame.CompositionOffset = 7200
		}
		run.Frames = append(run.Frames, frame)
		payload = fmt.Appendf(payload, "%c%03d", kind, f.taken%1000)
		f.taken++
	}
	return f.append(run, payload, int64(40*len(kinds)))
}

// append stores a fragment of one run, and lets as much time pass as it lasts.
func (f *film) append(run media.Run, payload []byte, millis int64) store.FragmentInfo {
	f.Helper()
	number, err := f.store.NextNumber(f.Context(), f.stream.ID)
	if err != nil {
		f.Fatal(err)
	}
	rec := &store.Record{Number: number, Payload: [][]byte{payload}}
	rec.ProducerTimestamp, rec.ServerTimestamp = f.clock, f.store.Clock().UnixMilli()
	rec.Tracks, rec.Runs = f.tracks, []media.Run{run}
	info, err := f.store.Append(f.Context(), f.stream.ID, rec)
	if err != nil {
		f.Fatal(err)
	}
	f.clock += millis
	f.sleep(millis)
	return info
}

// sleep lets milliseconds go by on the server's clock.
func (f *film) sleep(millis int64) {
	f.store.Sleep(time.Duration(millis) * time.Millisecond)
}

// want returns a request for images from one moment to another, one every interval.
func (f *film) want(from, interval, to int64) *api.GetImagesInput {
	start, end := api.Timestamp(from), api.Timestamp(to)
	return &api.GetImagesInput{StreamRef: api.StreamRef{StreamName: "camera"},
		ImageSelectorType: api.SelectorProducerTimestamp, StartTimestamp: &start,
		EndTimestamp:     &end,
		SamplingInterval: int(interval), Format: api.ImageJPEG}
}

// images returns the page's images as words, without the spec.
func (f *film) images(in *api.GetImagesInput) (words []string, next string) {
	f.Helper()
	page, err := f.service.Get(f.Context(), f.stream, in)
	if err != nil {
		f.Fatal(err)
	}
	defer page.Close()
	for i := range page.Images {
		image := &page.Images[i]
		if image.Still == nil {
			words = append(words, string(image.Error))
			continue
		}
		r, err := image.Still.Open()
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
	if f.store.OpenNow() != 0 {
		f.Errorf("%d fragments are still open", f.store.OpenNow())
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
