package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/local"
)

const (
	monthDays     = 31
	monthFragment = 10 * time.Second
	monthStreams  = 10_000
)

// BenchmarkConsole opens the console in Chromium on a server that has 10,000 streams, and on one of
// them a month of fragments of ten seconds, of which its camera missed half an hour each day. It
// reports how long the first view takes, and the longest task of the browser's main thread while
// the list is searched and scrolled, and while the timeline is zoomed, moved and scrubbed: users
// feel tasks of more than 50 ms (W3C Long Tasks API). month-pages is how many answers of
// ListFragments show the whole month.
func BenchmarkConsole(b *testing.B) {
	needTool(b, "chromium", "node")
	data := filepath.Join(benchDirectory(b), "data")
	begin := fillMonth(b, data)
	s := start(b, data)
	if status, _, _ := get(b, s.URL+"/console/icon.svg"); status != 200 {
		missing(b, "this weir was built without the console; `make build` embeds it")
	}
	keys, err := auth.LoadOrCreateKeys(filepath.Join(s.Data, "credentials"))
	if err != nil {
		b.Fatal(err)
	}
	key := keys.Default().Credentials()
	arg, err := json.Marshal(map[string]any{"chromium": chromiumPath(b), "url": s.URL,
		"key": key.AccessKeyID, "secret": key.SecretAccessKey,
		"stream": "month", "begin": begin.UnixMilli()})
	if err != nil {
		b.Fatal(err)
	}
	figures := map[string]float64{}
	for b.Loop() { // what takes minutes is done once, however often is asked for
		if len(figures) > 0 {
			continue
		}
		out := program(b, "node", "console_bench.mjs", string(arg))
		if err := json.Unmarshal(out, &figures); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	for unit, figure := range figures {
		b.ReportMetric(figure, unit)
	}
}

// benchDirectory is in memory where Linux has a place for that: the benchmark does not measure a
// disk, and filling a month takes a tenth of the time there.
func benchDirectory(b *testing.B) string {
	dir, err := os.MkdirTemp("/dev/shm", "weir-bench-")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fillMonth makes a data directory of 10,000 streams, one of which has the month, and returns when
// the month begins. It writes to the store directly: by way of producers, it would take minutes.
func fillMonth(b testing.TB, dir string) time.Time {
	b.Helper()
	ctx := b.Context()
	s, err := local.Open(ctx, dir, local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	created := time.Now().UnixMilli()
	for i := range monthStreams {
		name := fmt.Sprintf("cam-%05d", i)
		if i == 0 {
			name = "month"
		}
		if _, err := s.CreateStream(ctx, store.Stream{Name: name, CreatedMillis: created,
			RetentionHours: 24 * (monthDays + 1)}); err != nil {
			b.Fatal(err)
		}
	}
	stream, err := s.Stream(ctx, "month")
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now().Add(-monthDays * 24 * time.Hour).Truncate(24 * time.Hour)
	var wg sync.WaitGroup
	for day := range monthDays {
		wg.Go(func() {
			if err := fillDay(ctx, s, stream.ID, begin.AddDate(0, 0, day)); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return begin
}

func fillDay(ctx context.Context, s *local.Store, id store.StreamID, begin time.Time) error {
	rec := &store.Record{Fragment: media.Fragment{
		Tracks: []media.Track{{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
			CodecPrivate: avcC, Timescale: media.VideoTimescale}},
		Runs: []media.Run{{Track: 1, Frames: []media.Frame{{Size: 200, Key: true,
			Duration: uint32(monthFragment.Seconds() * media.VideoTimescale)}}}},
		Tags: []media.Tag{{Name: "motion", Value: "yes"}},
	}, Payload: [][]byte{syntheticPayload("month", 0, 2*200)[0]}}
	tags := rec.Tags
	for at := begin; at.Before(begin.AddDate(0, 0, 1)); at = at.Add(monthFragment) {
		if at.Hour() == 3 && at.Minute() < 30 {
			continue
		}
		number, err := s.NextNumber(ctx, id)
		if err != nil {
			return err
		}
		millis := at.UnixMilli()
		rec.Number, rec.Timecode = number, millis
		rec.ServerTimestamp, rec.ProducerTimestamp = millis, millis
		rec.Runs[0].BaseDecodeTime = millis * media.VideoTimescale / 1000
		rec.Tags = nil
		if at.Minute()%10 == 0 {
			rec.Tags = tags
		}
		if _, err := s.Append(ctx, id, rec); err != nil {
			return err
		}
	}
	return nil
}
