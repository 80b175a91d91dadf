package fragments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/cameratest"
	"weir/internal/store/local"
)

// disk is a service over a store in a directory, with a stream of four fragments, each larger than
// one write.
type disk struct {
	*testing.T
	dir     string
	store   *local.Store
	service *Service
	stream  store.Stream
	sent    []store.FragmentInfo
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{T: t, dir: t.TempDir()}
	var err error
	if d.store, err = local.Open(t.Context(), d.dir, local.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.store.Close() })
	d.service = New(Options{Store: d.store})
	d.stream = d.create()
	for i := range 4 {
		d.sent = append(d.sent, d.append(d.stream.ID, time.Duration(4-i)*20*time.Minute, byte(i)))
	}
	return d
}

func (d *disk) create() store.Stream {
	d.Helper()
	stream, err := d.store.CreateStream(d.Context(), store.Stream{Name: "camera",
		RetentionHours: 2})
	if err != nil {
		d.Fatal(err)
	}
	return stream
}

// append stores a fragment of some time ago, whose frames consist of equal bytes.
func (d *disk) append(id store.StreamID, ago time.Duration, kind byte) store.FragmentInfo {
	d.Helper()
	n, err := d.store.NextNumber(d.Context(), id)
	if err != nil {
		d.Fatal(err)
	}
	const frames, size = 50, 10_000
	at := time.Now().Add(-ago).UnixMilli()
	rec := &store.Record{Number: n, Fragment: media.Fragment{ProducerTimestamp: at,
		ServerTimestamp: at, Tracks: []media.Track{cameratest.Video()},
		Runs: []media.Run{{Track: 1, BaseDecodeTime: at * 90, Frames: slices.Repeat(
			[]media.Frame{{Duration: 3600, Size: size, Key: true}}, frames)}}},
		Payload: [][]byte{bytes.Repeat([]byte{kind}, frames*size)}}
	info, err := d.store.Append(d.Context(), id, rec)
	if err != nil {
		d.Fatal(err)
	}
	return info
}

// retain shortens the stream's retention and deletes what is past it.
func (d *disk) retain(hours int) {
	d.Helper()
	_, err := d.store.UpdateStream(d.Context(), d.stream.ID, "", func(s *store.Stream) error {
		s.RetentionHours = hours
		return nil
	})
	if err == nil {
		err = d.store.Sweep(d.Context())
	}
	if err != nil {
		d.Fatal(err)
	}
}

// remove deletes the stream, and waits until its bytes are gone.
func (d *disk) remove() {
	d.Helper()
	err := d.store.DeleteStream(d.Context(), d.stream.ID, "")
	if err == nil {
		err = d.store.Sweep(d.Context())
	}
	if err != nil {
		d.Fatal(err)
	}
}

// damage changes a byte in the payload of a fragment.
func (d *disk) damage(f store.FragmentInfo) {
	d.Helper()
	path := filepath.Join(d.dir, "volumes", f.Location.Volume)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		d.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{0xFF}, f.Location.Offset+f.Location.Length-20); err != nil {
		d.Fatal(err)
	}
	if err := file.Close(); err != nil {
		d.Fatal(err)
	}
}

// interrupted is a sink that calls happen in the middle of the first chunk.
type interrupted struct {
	bytes.Buffer
	happen  func()
	chunks  int
	stop    chan struct{}
	stopped int // after this many chunks
}

func (i *interrupted) Write(p []byte) (int, error) {
	n, err := i.Buffer.Write(p)
	if i.happen != nil {
		i.happen()
		i.happen = nil
	}
	return n, err
}

func (i *interrupted) Flush() error { return nil }

func (i *interrupted) Sent(time.Duration) {
	if i.chunks++; i.chunks == i.stopped {
		close(i.stop)
	}
}

// follow reads the stream from its oldest fragment on until the given number of chunks has come or
// the answer ends, and returns the chunks.
func (d *disk) follow(chunks int, happen func()) []*chunkRead {
	d.Helper()
	m, err := d.service.GetMedia(d.Context(), d.stream, &api.GetMediaInput{
		StartSelector: &api.StartSelector{StartSelectorType: api.StartEarliest}})
	if err != nil {
		d.Fatal(err)
	}
	defer m.Close()
	sink := &interrupted{happen: happen, stop: make(chan struct{}), stopped: chunks}
	if err := m.Write(d.Context(), sink.stop, sink); err != nil {
		d.Fatal(err)
	}
	return readChunks(d.T, sink.Bytes())
}

// expect checks that a chunk is a whole fragment.
func (d *disk) expect(c *chunkRead, i int) {
	d.Helper()
	number := d.stream.FormatNumber(d.sent[i].Number)
	want := string(bytes.Repeat([]byte{byte(i)}, 10_000))
	if c.tag(tagFragmentNumber) != number || c.tag(tagContinuation) != number ||
		len(c.frames[1]) != 50 || slices.ContainsFunc(c.frames[1],
		func(frame string) bool { return frame != want }) {
		d.Errorf("chunk of %s with %d frames and token %s, want fragment %s",
			c.tag(tagFragmentNumber), len(c.frames[1]), c.tag(tagContinuation), number)
	}
}

// A chunk that has begun is completed, whatever happens to its fragment meanwhile. Then fragments
// that are gone are left out, and damaged ones reported in their place.
func TestLossesWhileAnAnswerIsOnItsWay(t *testing.T) {
	t.Parallel()
	t.Run("retention", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t)
		got := d.follow(3, func() { d.retain(1) }) // 80 and 60 minutes ago are past it
		if len(got) != 3 {
			t.Fatalf("%d chunks", len(got))
		}
		for i, n := range []int{0, 2, 3} {
			d.expect(got[i], n)
		}
	})
	t.Run("deleted and made again", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t)
		got := d.follow(0, func() {
			d.remove()
			d.append(d.create().ID, 0, 9)
		})
		if len(got) != 1 {
			t.Fatalf("%d chunks", len(got))
		}
		d.expect(got[0], 0)
	})
	t.Run("damage", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t)
		got := d.follow(4, func() { d.damage(d.sent[2]) })
		if len(got) != 4 {
			t.Fatalf("%d chunks", len(got))
		}
		for _, i := range []int{0, 1, 3} {
			d.expect(got[i], i)
		}
		if c := got[2]; c.order != "HT" || c.tag(tagErrorID) != "5000" ||
			c.tag(tagFragmentNumber) != d.stream.FormatNumber(d.sent[2].Number) {
			t.Errorf("in place of the damaged one is %s %v", c.order, c.tags)
		}
	})
	t.Run("of a list", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t)
		in := &api.GetMediaForFragmentListInput{}
		for _, f := range d.sent {
			in.Fragments = append(in.Fragments, d.stream.FormatNumber(f.Number))
		}
		l, err := d.service.GetMediaForFragmentList(d.stream, in)
		if err != nil {
			t.Fatal(err)
		}
		d.damage(d.sent[1])
		sink := &interrupted{happen: d.remove}
		if err := l.Write(t.Context(), sink); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range readChunks(t, sink.Bytes()) {
			ids = append(ids, c.tag(tagErrorID))
		}
		if !slices.Equal(ids, []string{"", "3000", "3000", "3000"}) {
			t.Errorf("errors %q", ids)
		}
	})
}

// An answer that cannot go on is broken off. It never ends as if it were whole.
func TestAnAnswerThatCannotGoOn(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	m, err := d.service.GetMedia(t.Context(), d.stream, &api.GetMediaInput{
		StartSelector: &api.StartSelector{StartSelectorType: api.StartEarliest}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := filepath.Join(d.dir, "volumes", d.sent[0].Location.Volume)
	sink := &interrupted{happen: func() { // another program cuts the file
		if err := os.Truncate(path, d.sent[0].Location.Offset+200_000); err != nil {
			t.Error(err)
		}
	}}
	if err := m.Write(t.Context(), nil, sink); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("the answer ended with %v", err)
	}
}

// awayStore is a store that can be out of reach.
type awayStore struct {
	*cameratest.Store
	list, open atomic.Int64 // how many calls fail from now on
}

func (s *awayStore) List(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	if s.list.Add(-1) >= 0 {
		return nil, fmt.Errorf("list: %w", store.ErrAway)
	}
	return s.Store.List(ctx, id, q)
}

func (s *awayStore) Open(
	ctx context.Context, id store.StreamID, f store.FragmentInfo,
) (store.Media, error) {
	if s.open.Add(-1) >= 0 {
		return nil, fmt.Errorf("open: %w", store.ErrAway)
	}
	return s.Store.Open(ctx, id, f)
}

// An answer waits while the store is out of reach, and misses nothing.
func TestGetMediaHoldsOn(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	away := &awayStore{Store: x.store}
	x.service = New(Options{Store: away, Clock: x.store.Clock})
	first := x.camera.Send()
	f := x.follow(&api.StartSelector{StartSelectorType: api.StartEarliest})
	f.expect(first)
	away.list.Store(2)
	second := x.camera.Send()
	f.expect(second)
	away.open.Store(2)
	third := x.camera.Send()
	f.expect(third)
	if away.list.Load() > 0 || away.open.Load() > 0 {
		t.Error("the store was not out of reach")
	}
	f.ends()
}
