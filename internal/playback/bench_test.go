package playback

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/store"
)

// longTokens are as long as real ones: 68 characters.
type longTokens struct{}

var padding = strings.Repeat("x", 26)

func (longTokens) Seal(c auth.Claims) string { return fakeTokens{}.Seal(c) + padding }
func (longTokens) Open(token string) (auth.Claims, error) {
	return fakeTokens{}.Open(strings.TrimSuffix(token, padding))
}

// fixedStore takes the cost of the store's search out of the measurement: List returns what the
// test sets.
type fixedStore struct {
	*testStore
	next []store.FragmentInfo
}

func (f *fixedStore) List(ctx context.Context, id store.StreamID,
	q store.Query) ([]store.FragmentInfo, error) {
	if q.Order == store.BySequence {
		next := f.next
		f.next = nil
		return next, nil
	}
	return f.testStore.List(ctx, id, q)
}

// Wait returns at once while there is something to list.
func (f *fixedStore) Wait(ctx context.Context, id store.StreamID, after int64) (int64, error) {
	if len(f.next) > 0 {
		return math.MaxInt64, nil
	}
	return f.testStore.Wait(ctx, id, after)
}

// BenchmarkMediaPlaylist measures a live playlist: the first request of a process (first), a reload
// in which one fragment is new (reload), and one in which none is (same).
func BenchmarkMediaPlaylist(b *testing.B) {
	for _, n := range []int{5, 1000, 1800, 5000} {
		all := newTestStore(b)
		all.retain(all.Stream.ID, 24)
		stream := all.Stream
		stream.RetentionHours = 24
		cam := newCamera(all, videoTrack(), audioTrack())
		for range n {
			cam.send()
		}
		fixed := &fixedStore{testStore: all}
		process := func() *Service {
			return New(Options{Store: fixed, Tokens: longTokens{}, Limits: patient(),
				Clock: all.Clock})
		}
		in := &api.GetHLSStreamingSessionURLInput{Expires: 43_200,
			MaxMediaPlaylistFragmentResults: n,
			DisplayFragmentTimestamp:        api.DisplayTimestampAlways}
		in.StreamName = stream.Name
		s := process()
		token, err := tokenOf(s.OpenHLS(b.Context(), stream, "", in))
		if err != nil {
			b.Fatal(err)
		}
		get := func(s *Service) {
			text, err := s.MediaPlaylist(b.Context(), token, 1)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text.Text)))
		}
		b.Run(fmt.Sprintf("%d/first", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				get(process())
			}
		})
		b.Run(fmt.Sprintf("%d/same", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				get(s)
			}
		})
		b.Run(fmt.Sprintf("%d/reload", n), func(b *testing.B) {
			s := process()
			get(s)
			i := cam.commit(cam.info(cam.NextNumber()), 0)
			v := s.views.get(openID(b, token), math.MaxInt64)
			i.Sequence = v.state.Cursor
			b.ReportAllocs()
			for b.Loop() {
				i.Number += 1 << 12
				i.Sequence++
				fixed.next = append(fixed.next, i)
				get(s)
			}
		})
	}
}

// BenchmarkDASHManifest measures the same for a manifest of two tracks.
func BenchmarkDASHManifest(b *testing.B) {
	all := newTestStore(b)
	all.retain(all.Stream.ID, 24)
	stream := all.Stream
	stream.RetentionHours = 24
	cam := newCamera(all, videoTrack(), audioTrack())
	const n = 1800
	for range n {
		cam.send()
	}
	fixed := &fixedStore{testStore: all}
	process := func() *Service {
		return New(Options{Store: fixed, Tokens: longTokens{}, Limits: patient(),
			Clock: all.Clock})
	}
	in := &api.GetDASHStreamingSessionURLInput{Expires: 43_200, MaxManifestFragmentResults: n,
		DisplayFragmentTimestamp: api.DisplayTimestampAlways}
	in.StreamName = stream.Name
	token, err := tokenOf(process().OpenDASH(b.Context(), stream, "", in))
	if err != nil {
		b.Fatal(err)
	}
	get := func(s *Service) {
		text, err := s.DASHManifest(b.Context(), token)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(text.Text)))
	}
	b.Run("1800/first", func(b *testing.B) {
		for b.Loop() {
			get(process())
		}
	})
	s := process()
	get(s)
	b.Run("1800/same", func(b *testing.B) {
		for b.Loop() {
			get(s)
		}
	})
	b.Run("1800/reload", func(b *testing.B) {
		i := cam.commit(cam.info(cam.NextNumber()), 0)
		i.Sequence = s.views.get(openID(b, token), math.MaxInt64).state.Cursor
		for b.Loop() {
			i.Number += 1 << 12
			i.Sequence++
			for j := range i.Spans { // it goes on
				i.Spans[j].BaseDecodeTime += i.Spans[j].Duration
			}
			fixed.next = append(fixed.next, i)
			get(s)
		}
	})
}

func openID(b *testing.B, token string) string {
	b.Helper()
	claims, err := longTokens{}.Open(token)
	if err != nil {
		b.Fatal(err)
	}
	return claims.SessionID
}
