package recut

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"weir/internal/media"
)

// sourceFunc is a Source made of two functions.
type sourceFunc struct {
	next   func(ctx context.Context) (Frame, error)
	tracks func() []media.Track
}

func (s sourceFunc) Next(ctx context.Context) (Frame, error) { return s.next(ctx) }
func (s sourceFunc) Tracks() []media.Track                   { return s.tracks() }

// Loop repeats a file for ever. Each repetition starts exactly the file's length (Recutter.Length)
// after the one before, so that the timeline has no gap. open opens the file again; Loop closes it.
func Loop(open func() (io.ReadCloser, error), notice func(string)) Source {
	var (
		file   io.ReadCloser
		recut  *Recutter
		tracks []media.Track
		offset int64
	)
	next := func(ctx context.Context) (Frame, error) {
		for {
			if err := ctx.Err(); err != nil {
				return Frame{}, err
			}
			if file == nil {
				f, err := open()
				if err != nil {
					return Frame{}, err
				}
				file, recut = f, New(f, notice)
			}
			f, err := recut.Next(ctx)
			if err == nil {
				if tracks == nil {
					tracks = recut.Tracks()
				} else if f.Start && !sameTracks(tracks, recut.Tracks()) {
					return Frame{},
						errors.New("the tracks of the file have changed since it was last played")
				}
				f.Time += offset
				return f, nil
			}
			if !errors.Is(err, io.EOF) {
				return Frame{}, err
			}
			length := recut.Length()
			if length <= 0 {
				return Frame{}, errors.New("the file has no length to repeat it by")
			}
			offset += length
			notice = nil // once is enough
			if err := file.Close(); err != nil {
				return Frame{}, fmt.Errorf("close: %w", err)
			}
			file = nil
		}
	}
	return sourceFunc{next, func() []media.Track { return tracks }}
}

// Pace holds frames back until their time has come, as ffmpeg -re does: a frame whose time is t ms
// after the first one's is returned t ms after it.
func Pace(src Source, clock Clock) Source {
	var began time.Time
	var first int64
	next := func(ctx context.Context) (Frame, error) {
		f, err := src.Next(ctx)
		if err != nil {
			return Frame{}, err
		}
		if began.IsZero() {
			began, first = clock.Now(), f.Time
		}
		due := began.Add(time.Duration(f.Time-first) * time.Millisecond)
		if wait := due.Sub(clock.Now()); wait > 0 {
			if err := clock.Sleep(ctx, wait); err != nil {
				return Frame{}, err
			}
		}
		return f, nil
	}
	return sourceFunc{next, src.Tracks}
}

// epochTimes is the least time, in milliseconds, that counts as one since the Unix epoch:
// 2000-01-01. A recording whose clock starts at 0 would have to be 30 years long to reach it.
const epochTimes = 946_684_800_000

// OnClock moves a source's times to the Unix epoch. The first frame, a key frame, gets the time
// start. If start is zero, it gets the time of its arrival, or keeps its own if the source's times
// are since the epoch already.
func OnClock(src Source, start time.Time, clock Clock) Source {
	begun := false
	var offset int64
	next := func(ctx context.Context) (Frame, error) {
		f, err := src.Next(ctx)
		if err != nil {
			return Frame{}, err
		}
		if !begun {
			begun = true
			switch {
			case !start.IsZero():
				offset = start.UnixMilli() - f.Time
			case f.Time < epochTimes:
				offset = clock.Now().UnixMilli() - f.Time
			}
		}
		f.Time += offset
		return f, nil
	}
	return sourceFunc{next, src.Tracks}
}

// Clock is the time for sources and producers; tests have their own.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or earlier with the error of ctx.
	Sleep(ctx context.Context, d time.Duration) error
}

// SystemClock is the computer's clock.
type SystemClock struct{}

// Now is time.Now.
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep waits for d, or until ctx ends.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
