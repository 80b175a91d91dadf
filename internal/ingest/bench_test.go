package ingest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"weir/internal/store"
)

// nullStore takes fragments and forgets them.
type nullStore struct{ fakeStore }

func (s *nullStore) Append(context.Context, store.StreamID, *store.Record) (store.FragmentInfo, error) {
	return store.FragmentInfo{Location: store.Location{Blob: "volume"}}, nil
}

// benchBody is a minute of 4 Mbit/s video at 30 frames a second with audio, in clusters of one second: 30 MB.
func benchBody(b *testing.B) []byte {
	w := build(b).header(sdk, videoTrack, audioTrack)
	key, delta, audio := strings.Repeat("k", 100_000), strings.Repeat("d", 13_800), strings.Repeat("a", 370)
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

// BenchmarkSession is a session without a disk; BenchmarkCopy is the same bytes through io.Copy, read as a socket gives them.
func BenchmarkSession(b *testing.B) {
	body := benchBody(b)
	memory := NewMemory(0)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		o := absolute(&nullStore{})
		o.Memory = memory
		if err := New(o).Run(context.Background(), onlyReader{bytes.NewReader(body)}, ackFunc(func([]byte) error { return nil })); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	body := benchBody(b)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, onlyReader{bytes.NewReader(body)}, make([]byte, 64<<10)); err != nil {
			b.Fatal(err)
		}
	}
}

// onlyReader hides WriteTo.
type onlyReader struct{ io.Reader }
