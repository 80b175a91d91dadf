package storetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"weir/internal/media"
	"weir/internal/store"
)

// Clock is a clock that tests set.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewClock returns a clock that is set to half past an hour in 2026.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 14, 9, 30, 0, 0, time.UTC)} }

// Now is the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock; back, if d is negative.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Record makes a fragment of one video and one audio track with about size bytes of payload, which
// are random but the same for the same seed. On the server it starts at the clock's time, at the
// producer half a second earlier.
func Record(clock *Clock, seed uint64, size int) *store.Record {
	r := rand.New(rand.NewPCG(seed, 1))
	at := clock.Now().UnixMilli()
	rec := &store.Record{Fragment: media.Fragment{
		ServerTimestamp: at, ProducerTimestamp: at - 500, Timecode: at - 500,
		Tracks: []media.Track{
			{
				Number: 1, Kind: media.Video, CodecID: media.CodecAVC, Name: "kinesis_video",
				CodecPrivate: []byte{1, 0x42, 0xc0, 0x1e}, Timescale: media.VideoTimescale,
				Width: 640, Height: 360,
			},
			{
				Number: 2, Kind: media.Audio, CodecID: media.CodecAAC,
				CodecPrivate: []byte{0x12, 0x10}, Timescale: 44100, SampleRate: 44100, Channels: 2,
				DefaultDuration: 23219954,
			},
		},
		Tags:   []media.Tag{{Name: "seed", Value: fmt.Sprint(seed)}},
		Header: []byte{0x1a, 0x45, 0xdf, 0xa3, 0x80},
	}}
	for i, frames := range []int{10, 20} {
		run := media.Run{Track: i + 1, BaseDecodeTime: at * 90}
		for j := range frames {
			run.Frames = append(run.Frames, media.Frame{
				Duration: 9000, CompositionOffset: int32(r.IntN(5)-2) * 9000,
				Size: uint32(size/30 + r.IntN(7)), Key: i == 1 || j == 0,
			})
		}
		payload := make([]byte, run.Size())
		for j := range payload {
			payload[j] = byte(r.Uint32())
		}
		rec.Runs, rec.Payload = append(rec.Runs, run), append(rec.Payload, payload)
	}
	return rec
}

// Appender appends fragments: a part of store.Fragments.
type Appender interface {
	NextNumber(ctx context.Context, id store.StreamID) (store.Number, error)
	Append(ctx context.Context, id store.StreamID, rec *store.Record) (store.FragmentInfo, error)
}

// Append gives a record the stream's next number and appends it.
func Append(
	ctx context.Context, s Appender, id store.StreamID, rec *store.Record,
) (store.FragmentInfo, error) {
	var err error
	if rec.Number, err = s.NextNumber(ctx, id); err != nil {
		return store.FragmentInfo{}, err
	}
	return s.Append(ctx, id, rec)
}

// Opener opens fragments: a part of store.Fragments.
type Opener interface {
	Open(ctx context.Context, id store.StreamID, f store.FragmentInfo) (store.Media, error)
}

// ReadPayload opens a fragment and returns the bytes of each run.
func ReadPayload(
	ctx context.Context, s Opener, id store.StreamID, f store.FragmentInfo,
) (payload [][]byte, err error) {
	m, err := s.Open(ctx, id, f)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := m.Close(); err == nil {
			err = closeErr
		}
	}()
	for i := range m.Fragment().Runs {
		r, err := m.Payload(i)
		if err != nil {
			return nil, err
		}
		b, err := ReadRange(r)
		if err != nil {
			return nil, err
		}
		payload = append(payload, b)
	}
	return payload, nil
}

// ReadRange returns the bytes of a range as a connection would receive them.
func ReadRange(r store.Range) ([]byte, error) {
	var b bytes.Buffer
	_, err := r.WriteTo(&b)
	return b.Bytes(), err
}
