package status

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// archive is a stream's fragments, oldest first, and its tracks.
type archive struct {
	fragments []store.FragmentInfo
	tracks    []media.Track
}

func (a *archive) List(
	_ context.Context, _ store.StreamID, q store.Query,
) (list []store.FragmentInfo, err error) {
	for i := range a.fragments {
		f := a.fragments[i]
		if q.Order == store.ByNumberNewest {
			f = a.fragments[len(a.fragments)-1-i]
		}
		if len(list) < q.Limit {
			list = append(list, f)
		}
	}
	return list, nil
}

func (a *archive) TrackSet(_ context.Context, _ store.StreamID, set int64) ([]media.Track, error) {
	if set != 1 {
		return nil, errors.New("another set")
	}
	return a.tracks, nil
}

// A stream receives until nothing has come for twice the length of its last fragment, and at least
// ten seconds.
func TestStatusOfAStream(t *testing.T) {
	const length = 8 * time.Second
	a := &archive{tracks: []media.Track{
		{Number: 1, Kind: media.Video, CodecID: "V_VP9", Width: 640, Height: 360,
			Timescale: media.VideoTimescale},
		{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC, Timescale: 48_000,
			SampleRate: 48_000, Channels: 2, CodecPrivate: []byte{0x11, 0x90}}}}
	for i := range 3 {
		begin := noon.Add(time.Duration(i-3) * length)
		a.fragments = append(a.fragments, store.FragmentInfo{Number: store.Number(i + 1),
			TrackSet: 1, ProducerTimestamp: begin.UnixMilli() - 500,
			ServerTimestamp: begin.UnixMilli(),
			Spans: []store.Span{{Track: 1, Size: 900_000, Frames: 200,
				Duration: int64(length/time.Second) * media.VideoTimescale},
				{Track: 2, Size: 100_000, Frames: 1, Duration: 48_000}}})
	}
	of := func(now time.Time) api.StreamStatus {
		t.Helper()
		out, err := Of(t.Context(), a, &store.Stream{NumberTag: 7}, now)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := of(noon.Add(15 * time.Second))
	if out.State != api.StateReceiving || *out.BitRate != 1_000_000 || out.StoredBytes != nil ||
		*out.LastReceivedTime != api.Timestamp(noon.UnixMilli()) ||
		*out.LastFragmentTime != api.Timestamp(noon.UnixMilli()-500) ||
		*out.FirstFragmentTime != api.Timestamp(noon.Add(-3*length).UnixMilli()-500) {
		t.Errorf("%+v", out)
	}
	if v, au := out.Tracks[0], out.Tracks[1]; v.Codec != "V_VP9" || v.Width != 640 ||
		v.Kind != api.KindVideoTrack || au.Codec != "mp4a.40.2" || au.SamplingRate != 48_000 ||
		au.Kind != api.KindAudioTrack {
		t.Errorf("%+v", out.Tracks)
	}
	if out := of(noon.Add(16 * time.Second)); out.State != api.StateSilent {
		t.Errorf("16 s after the end: %s", out.State)
	}
	a.fragments = nil
	if out := of(noon); out.State != api.StateNoData || out.LastFragmentNumber != nil {
		t.Errorf("%+v", out)
	}
}

// Samples are differences of counters, and predict when the disk will be full.
func TestSamples(t *testing.T) {
	reg := prometheus.NewRegistry()
	bytes := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_store_append_bytes_total"})
	free := prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_store_free_bytes"})
	total := prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_store_total_bytes"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_store_append_seconds"})
	reg.MustRegister(bytes, free, total, seconds)
	bytes.Add(1e9) // before the first sample
	free.Set(2000e9)
	total.Set(4000e9)
	s := NewSampler("1.0", reg, noon)
	now := noon
	for range 20 {
		now = now.Add(interval)
		bytes.Add(6e6)
		seconds.Observe(.002)
		seconds.Observe(.004)
		free.Sub(1e9)
		s.Sample(now)
	}
	out := s.Status(now, 5)
	if len(out.Samples) != 5 {
		t.Fatalf("%d samples", len(out.Samples))
	}
	last := out.Samples[4]
	if last.IngestBytes != 6e6 || last.IngestFragments != 2 || last.StoreMicros != 3000 ||
		last.FreeBytes != 1980e9 || last.Time != api.Timestamp(now.UnixMilli()) {
		t.Errorf("%+v", last)
	}
	// 19 minutes between the first sample and the last took 19 GB
	full := now.Add(1980 * time.Minute)
	if d := out.Disk; d.State != api.DiskWritable || d.FullTime == nil ||
		d.FullTime.Time().Sub(full).Abs() > time.Second {
		t.Errorf("%+v, want full at %s", d, full)
	}
	free.Set(2000e9) // retention has freed some
	if out := s.Status(now, 5); out.Disk.FullTime != nil {
		t.Errorf("the disk is full at %s although it empties", out.Disk.FullTime.Time())
	}
	for range api.MaxStatusMinutes {
		s.Sample(now)
	}
	if n := len(s.Status(now, api.MaxStatusMinutes).Samples); n != api.MaxStatusMinutes {
		t.Errorf("%d samples are kept", n)
	}
}

// A code works once, until its time or that of its credentials is over.
func TestCodes(t *testing.T) {
	var c Codes
	put := func(who string, lasts time.Duration, seconds int) string {
		t.Helper()
		ends := api.Timestamp(noon.Add(lasts).UnixMilli())
		out, err := c.Put(&api.CreateSignInCodeInput{AccessKeyId: "a", Expiration: &ends,
			DurationSeconds: seconds}, who, "share of "+who, noon)
		if err != nil {
			t.Fatal(err)
		}
		return out.Code
	}
	for _, x := range []struct {
		lasts   time.Duration
		seconds int
		after   time.Duration
		good    bool
	}{{time.Hour, 0, 59 * time.Second, true}, {time.Hour, 0, time.Minute, false},
		{time.Hour, 3600, 59 * time.Minute, true}, {time.Minute, 3600, time.Minute, false}} {
		code := put("ann", x.lasts, x.seconds)
		in, by, ok := c.Take(code, noon.Add(x.after))
		if ok != x.good || ok && (in.AccessKeyId != "a" || by != "ann") {
			t.Errorf("%+v: %v", x, ok)
		}
		if _, _, ok := c.Take(code, noon); ok {
			t.Errorf("%+v: taken twice", x)
		}
	}
	bob := put("bob", time.Hour, 60)
	first := put("ann", time.Hour, 60)
	second := put("ann", time.Hour, 60)
	for range maxOwnCodes - 1 {
		put("ann", time.Hour, 60)
	}
	if _, _, ok := c.Take(first, noon); ok {
		t.Error("a caller has more codes than he may")
	}
	for whose, code := range map[string]string{"another's": bob, "the second": second} {
		if _, _, ok := c.Take(code, noon); !ok {
			t.Errorf("%s is gone with the oldest", whose)
		}
	}
	for i := 0; len(c.codes) < maxCodes; i++ { // fifty who take all that they may
		put(strconv.Itoa(i%50), time.Hour, 60)
	}
	late := []string{put("carol", time.Hour, 60), put("carol", time.Hour, 60)}
	for i := range 100 {
		put(strconv.Itoa(i%50), time.Hour, 60)
	}
	for _, code := range late {
		if _, _, ok := c.Take(code, noon); !ok {
			t.Error("whoever came last has lost a code to those who have most")
		}
	}
	in := api.CreateSignInCodeInput{Expiration: new(api.Timestamp)}
	*in.Expiration = api.Timestamp(noon.Add(time.Hour).UnixMilli())
	var err error
	for i := 0; err == nil; i++ { // a thousand, of whom none has more than one
		name := "one" + strconv.Itoa(i)
		_, err = c.Put(&in, name, name, noon)
	}
	if len(c.codes) != maxCodes {
		t.Errorf("%d codes wait", len(c.codes))
	}
	if !errors.Is(err, &api.Error{Code: api.LimitExceededException}) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := c.Put(&in, "eve", "eve", noon.Add(time.Minute)); err != nil {
		t.Errorf("when the others are over: %v", err)
	}
}
