package playback

import (
	"context"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

// countingStore counts how often rows are read.
type countingStore struct {
	*testStore
	lists int
}

func (c *countingStore) List(ctx context.Context, id store.StreamID,
	q store.Query) ([]store.FragmentInfo, error) {
	c.lists++
	return c.testStore.List(ctx, id, q)
}

// A reload of a live playlist reads rows if and only if some process has committed something. What
// ends without a commit still ends at once.
func TestReloadWithNothingNewAsksForNoRows(t *testing.T) {
	r := newRig(t, videoTrack())
	counted := &countingStore{testStore: r.store}
	processes := make([]*Service, 2)
	for i := range processes {
		processes[i] = New(Options{Store: counted, Tokens: fakeTokens{}, Limits: patient(),
			Clock: r.store.Clock})
	}
	var sent []store.FragmentInfo
	send := func() { sent = append(sent, r.camera.send()) }
	send()
	in := r.input()
	in.Expires, in.MaxMediaPlaylistFragmentResults = 43_200, 10
	token, err := tokenOf(processes[0].OpenHLS(t.Context(), r.stream, "", in))
	if err != nil {
		t.Fatal(err)
	}
	reload := func(lists int, want ...int) {
		t.Helper()
		for _, p := range processes {
			counted.lists = 0
			r.wantNumbers(r.playlist(p, token, 1), sent, want...)
			if counted.lists != lists {
				t.Errorf("rows were asked for %d times, want %d", counted.lists, lists)
			}
		}
	}
	reload(0, 0)
	send()
	send()
	reload(1, 0, 1, 2)
	reload(0, 0, 1, 2)
	// retention and a newer session need no commit
	r.store.retain(r.stream.ID, 1)
	r.store.Sleep(time.UnixMilli(sent[1].ServerTimestamp).Add(time.Hour).Sub(r.store.Clock()))
	for _, p := range processes {
		r.wantNumbers(r.playlist(p, token, 1), sent, 1, 2)
	}
	send()
	for range 5 { // the fifth closes the first
		r.wantNumbers(r.playlist(processes[0], token, 1), sent, 2, 3)
		if _, err := processes[1].OpenHLS(t.Context(), r.stream, "", in); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range processes {
		_, err := p.MediaPlaylist(t.Context(), token, 1)
		wantError(t, err, api.NotAuthorizedException, "closed")
	}
}
