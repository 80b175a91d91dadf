package ingest

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/mkv"
)

// FuzzConnection runs connections over arbitrary bodies. Whatever comes, a connection ends, gives
// its memory back, and stores only consistent fragments with the frames that the Matroska reader
// finds.
func FuzzConnection(f *testing.F) {
	whole := build(f).header(sdk, videoTrack, audioTrack).tag("k", "v")
	for i := range int64(3) {
		at := epoch + 1000*i
		whole.cluster(at).frame(1, at, "video").frame(2, at+5, "audio").frame(1, at+40, "more")
	}
	whole.end()
	f.Add(whole.Bytes(), false, false)
	f.Add(whole.Bytes()[:whole.Len()-100], true, true)
	f.Add(build(f).header("device").pair(0, "x").header(sdk).pair(0, "y").Bytes(), true, false)
	f.Add(append(build(f).header("Lavf").Bytes(), knownCluster(0,
		simpleBlock(1, -23, true, "a"), element(0xA0, element(0xA1, []byte{0x81, 0, 40, 0, 'b'})),
		simpleBlock(1, 10, false, "c"))...), false, true)
	files, err := filepath.Glob("../../test/media/*.mkv")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true, false)
	}
	f.Fuzz(func(t *testing.T, body []byte, relativeCodes, cut bool) {
		s := newStore()
		o := absolute(s)
		if relativeCodes {
			o = relative(s, epoch)
		}
		o.Memory = NewMemory(0)
		var in io.Reader = bytes.NewReader(body)
		if cut {
			in = lost(body)
		}
		var log ackLog
		err := New(o).Run(context.Background(), in, &log)
		if used := o.Memory.Used(); used != 0 {
			t.Fatalf("%d bytes not given back", used)
		}
		frames, bytes := count(body)
		for _, r := range s.all() {
			if len(r.Runs) == 0 || len(r.Runs) != len(r.Payload) ||
				len(r.Tags) > 2*api.MaxFragmentTags {
				t.Fatalf("fragment with %d runs, %d payloads, %d tags", len(r.Runs), len(r.Payload),
					len(r.Tags))
			}
			for i := range r.Runs {
				frames -= len(r.Runs[i].Frames)
				bytes -= int64(len(r.Payload[i]))
				if r.Track(r.Runs[i].Track) == nil {
					t.Fatalf("run of track %d, which was not declared", r.Runs[i].Track)
				}
			}
		}
		if frames < 0 || bytes < 0 {
			t.Fatalf("%d frames and %d bytes more stored than sent", -frames, -bytes)
		}
		errors := len(log.only("ERROR"))
		if errors > 1 || errors == 1 && err == nil ||
			errors == 1 && !strings.HasPrefix(log.all()[len(log.all())-1], "ERROR") {
			t.Fatalf("acknowledgements %q, %v", log.all(), err)
		}
		if stored, acked := len(s.all()),
			len(log.only("PERSISTED")); acked > len(log.only("BUFFERING")) ||
			stored > len(log.only("BUFFERING")) {
			t.Fatalf("%d stored, %d acknowledged: %q", stored, acked, log.all())
		}
	})
}

// count returns the frames and payload bytes that the reader finds in a body.
func count(body []byte) (frames int, size int64) {
	r := mkv.NewReader(bytes.NewReader(body), mkv.DefaultLimits())
	for {
		ev, err := r.Next()
		if err != nil {
			return frames, size
		}
		if ev.Kind == mkv.Frame {
			frames++
			size += int64(ev.Size)
		}
	}
}
