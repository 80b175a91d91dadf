package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"weir/internal/live"
	"weir/internal/store"
)

// nullStore takes fragments and forgets them.
type nullStore struct{ *testStore }

func (s *nullStore) Append(context.Context, store.StreamID,
	*store.Record) (store.FragmentInfo, error) {
	return store.FragmentInfo{Location: store.Location{Volume: "volume"}}, nil
}

// picture makes an H.264 picture of size bytes: a delimiter, parameter sets if it is a key frame,
// and four slices.
func picture(size int, key bool) string {
	nals, first := []string{"\x09\xf0"}, "\x41\x9a"
	if key {
		nals, first = append(nals, "\x67\x42\xc0\x1e", "\x68\xce\x3c\x80"), "\x65\x88"
	}
	for range 4 {
		nals = append(nals, first+strings.Repeat("d", size/4))
		first = first[:1] + "\x46"
	}
	var b strings.Builder
	for _, n := range nals {
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(n))))
		b.WriteString(n)
	}
	return b.String()
}

// benchBody is a minute of 4 Mbit/s video at 30 frames a second with audio, in clusters of one
// second: 30 MB.
func benchBody(b *testing.B) []byte {
	video := videoTrack
	video.CodecPrivate = avcC
	w := build(b).header(sdk, video, audioTrack)
	key, delta, audio := picture(100_000, true), picture(13_800, false), strings.Repeat("a", 370)
	start := epoch - 100_000
	for i := range int64(60) {
		at := start + 1000*i
		w.cluster(at).frame(1, at, key)
		for k := range int64(29) {
			w.frame(1, at+(k+1)*33, delta)
			if k < 25 {
				w.frame(2, at+k*40, audio)
			}
		}
	}
	return w.end().Bytes()
}

// BenchmarkConnection is a connection without a disk, whose live edge nobody follows;
// BenchmarkCopy is the same bytes through io.Copy, read as a socket gives them.
func BenchmarkConnection(b *testing.B) {
	body := benchBody(b)
	memory, edge := NewMemory(0), live.New(live.Options{})
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		o := absolute(&nullStore{newStore()})
		o.Memory, o.Edge = memory, edge
		if err := New(o).Run(context.Background(), onlyReader{bytes.NewReader(body)},
			ackFunc(func([]byte) error { return nil })); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	body := benchBody(b)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard},
			onlyReader{bytes.NewReader(body)}, make([]byte, 64<<10)); err != nil {
			b.Fatal(err)
		}
	}
}

// onlyReader hides WriteTo.
type onlyReader struct{ io.Reader }
