package volume

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// After a damaged header the next record is found, wherever it lies in the window that is searched.
// A camera's payload that looks like a record of another day is not taken for one.
func TestResync(t *testing.T) {
	at := time.Date(2026, 3, 14, 9, 30, 0, 0, time.UTC)
	forged := entry(t, 99, at.AddDate(1, 0, 0), 300)
	fake := slices.Concat(append([][]byte{forged.Head}, forged.Payload...)...)
	for _, size := range []int{1000, resyncWindow - 300, resyncWindow - 200, 2*resyncWindow + 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			v := open(t, Options{})
			payload := append(bytes.Repeat([]byte("WER"), size/3), fake...)
			rec := &store.Record{Number: 2, Payload: [][]byte{payload}, Fragment: media.Fragment{
				ServerTimestamp: at.UnixMilli(),
				Tracks:          []media.Track{{Number: 1, Kind: media.Video}},
				Runs: []media.Run{{Track: 1,
					Frames: []media.Frame{{Size: uint32(len(payload))}}}},
			}}
			head, _, err := record.EncodeFragment(rec, 0)
			if err != nil {
				t.Fatal(err)
			}
			var places []store.Location
			for _, e := range []Entry{
				entry(t, 1, at, 100), {Number: 2, ServerTimestamp: rec.ServerTimestamp, Head: head,
					Payload: rec.Payload}, entry(t, 3, at, 100),
			} {
				loc, err := v.Append(t.Context(), stream, e)
				if err != nil {
					t.Fatal(err)
				}
				places = append(places, loc)
			}
			if err := v.Roll(t.Context(), stream.ID); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(v.dir, places[0].Volume)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[places[1].Offset+9] ^= 0xff
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := recovered(t, v, places[0].Volume); got != "1 3" {
				t.Errorf("recovered %q", got)
			}
			// At the end of the file it is a torn tail, and the forged record in it does not count.
			if err := os.Truncate(path, places[2].Offset); err != nil {
				t.Fatal(err)
			}
			if got := recovered(t, v, places[0].Volume); !strings.HasPrefix(got, "1 cut ") {
				t.Errorf("recovered %q", got)
			}
		})
	}
}
