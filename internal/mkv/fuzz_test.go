package mkv

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime/metrics"
	"slices"
	"testing"
	"testing/iotest"

	"weir/internal/media"
)

// allocated returns the bytes that the process has taken from the heap so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// FuzzReader reads any bytes. The reader must end with io.EOF, io.ErrUnexpectedEOF or an *Error.
// Its events must be in a sensible order and the same however the bytes arrive. Its memory must be
// in proportion to the input.
func FuzzReader(f *testing.F) {
	for _, c := range producerForms {
		f.Add(c.in)
	}
	for _, file := range fixtureFiles(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 4000)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := allocated()
		r := NewReader(bytes.NewReader(data), DefaultLimits())
		var buf []byte
		var payload int
		inDocument, inCluster := false, false
		var err error
		for {
			var ev Event
			if ev, err = r.Next(); err != nil {
				break
			}
			switch ev.Kind {
			case DocumentStart:
				inDocument = true
			case ClusterStart:
				if !inDocument || inCluster {
					t.Fatal("cluster in the wrong place")
				}
				if inCluster = true; ev.Timecode < 0 || ev.Timecode > maxTime/r.TimestampScale() {
					t.Fatalf("timecode %d", ev.Timecode)
				}
			case ClusterEnd:
				if !inCluster {
					t.Fatal("end of no cluster")
				}
				inCluster = false
			case Frame:
				if !inCluster || ev.Track < 1 || ev.Size < 0 || len(r.Tracks()) == 0 &&
					r.trackCount == 0 {
					t.Fatalf("frame %+v", ev)
				}
				if buf, err = r.AppendPayload(buf[:0]); err == nil && len(buf) != ev.Size {
					t.Fatalf("payload of %d bytes, %d were told", len(buf), ev.Size)
				}
				payload += len(buf)
			}
			if err != nil {
				break
			}
		}
		var e *Error
		if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &e) {
			t.Fatalf("ended with %v", err)
		}
		// Header stripping may add 16 bytes to a frame, and a laced frame takes no byte of its own.
		if payload > 17*len(data) {
			t.Errorf("%d bytes of payload from %d bytes", payload, len(data))
		}
		if held := cap(buf) + cap(r.header) + cap(r.scratch); held > 2*growStep+64*len(data) {
			t.Errorf("%d bytes of buffers for %d bytes", held, len(data))
		}
		// The runtime counts small objects a span at a time, including those of the fuzzing engine.
		if got := allocated() - before; got > uint64(4<<20+100*len(data)) {
			t.Errorf("%d bytes allocated for %d bytes", got, len(data))
		}
		if len(data) < 4096 {
			one, all := readAll(iotest.OneByteReader(bytes.NewReader(data)), DefaultLimits()),
				readAll(bytes.NewReader(data), DefaultLimits())
			if !slices.Equal(one, all) {
				t.Errorf("byte by byte %q\nat once %q", one, all)
			}
		}
		_ = Dump(io.Discard, bytes.NewReader(data))
	})
}

// benchmarkInput is a live stream of 60 fragments of 2 s: 25 video frames a second (8 KB, key
// frames 60 KB), 43 audio frames.
func benchmarkInput(b *testing.B) (data []byte, fragments int) {
	b.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	errs := []error{w.WriteHeader(Header{Tracks: writerTracks})}
	video, audio := make([]byte, 60_000), make([]byte, 300)
	const n = 60
	for i := range n {
		at := int64(i) * 2000
		errs = append(errs, w.WriteCluster(at), w.WriteFrame(1, at, true, video))
		for j := range 49 {
			errs = append(errs, w.WriteFrame(1, at+40*int64(j+1), false, video[:8000]))
			errs = append(errs, w.WriteFrame(300, at+40*int64(j)+1, false, audio),
				w.WriteFrame(300, at+40*int64(j)+24, false, audio))
		}
		errs = append(errs, w.WriteTags([]media.Tag{{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}))
	}
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	return out.Bytes(), n
}

// BenchmarkReader reads every payload into one buffer, as ingest does.
func BenchmarkReader(b *testing.B) {
	data, fragments := benchmarkInput(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	src := bytes.NewReader(data)
	buf := make([]byte, 0, 1<<20)
	r := NewReader(src, DefaultLimits())
	for b.Loop() {
		src.Reset(data)
		*r = Reader{in: input{src: src, buf: r.in.buf}, limits: r.limits,
			scale: defaultTimestampScale}
		for {
			ev, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if ev.Kind == ClusterStart {
				buf = buf[:0]
			}
			if ev.Kind == Frame {
				if buf, err = r.AppendPayload(buf); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(fragments), "fragments/op")
}
