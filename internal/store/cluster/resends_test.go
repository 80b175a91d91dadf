package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/ingest"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/storetest"
)

// deaf is a producer that reads no acknowledgements.
type deaf struct{}

func (deaf) WriteAck([]byte) error { return nil }

// broken is a body whose connection is lost at its end.
func broken(body []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(body), lostConnection{})
}

type lostConnection struct{}

func (lostConnection) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// ended is a recording whose last fragment is marked as complete, as the SDKs do.
func ended(t *testing.T) []byte {
	t.Helper()
	body, err := os.ReadFile("../../../test/media/gst-version1-h264.mkv")
	must(t, err)
	mark := bytes.NewBuffer(body)
	must(t, mkv.NewWriter(mark).WriteTags([]media.Tag{
		{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}))
	return mark.Bytes()
}

// put sends a body to a node in one connection.
func put(n *node, st store.Stream, kind api.TimecodeType, start int64, body io.Reader) error {
	return ingest.New(ingest.Options{Stream: st, Store: n, TimecodeType: kind,
		ProducerStart: start}).Run(context.Background(), body, deaf{})
}

// A producer loses its connection and sends its fragments again, to another node, while the first
// node stores what it has of them. Each is stored once, in whatever order the two nodes commit.
// What comes a third time is recognised too.
func TestResendsAtAnotherNode(t *testing.T) {
	t.Parallel()
	body := ended(t)
	f := newFixture(t, nil)
	a, b := f.node(), f.node()
	for _, kind := range []api.TimecodeType{api.TimecodeAbsolute, api.TimecodeRelative} {
		want := 0
		for round := range 5 {
			st := create(t, a, fmt.Sprint(kind, round), 24)
			start := time.Now().UnixMilli()
			var both sync.WaitGroup
			for i, n := range []*node{a, b} {
				both.Go(func() {
					// Relative to a different time for each connection.
					_ = put(n, st, kind, start+int64(i)*700, broken(body)) // it is lost
				})
			}
			both.Wait()
			_ = put([]*node{a, b}[round%2], st, kind, start+5000, broken(body))
			list, err := b.List(t.Context(), st.ID, store.Query{})
			must(t, err)
			if want == 0 { // what only one connection brings
				alone := create(t, a, fmt.Sprint(kind), 24)
				_ = put(a, alone, kind, start, broken(body))
				all, err := a.List(t.Context(), alone.ID, store.Query{})
				must(t, err)
				want = len(all)
			}
			if len(list) != want || want == 0 {
				t.Errorf("%s, round %d: %d fragments are stored, %d were sent", kind, round,
					len(list), want)
			}
		}
	}
}

// Equal media with the same relative timecode is new, at whichever node, if the connection before
// had ended properly: with a renewed token a producer begins to count again.
func TestNewTokenAtAnotherNode(t *testing.T) {
	t.Parallel()
	body := ended(t)
	f := newFixture(t, nil)
	a, b := f.node(), f.node()
	st := create(t, a, "cam", 24)
	start := time.Now().UnixMilli()
	must(t, put(a, st, api.TimecodeRelative, start, bytes.NewReader(body)))
	once, err := b.List(t.Context(), st.ID, store.Query{})
	must(t, err)
	must(t, put(b, st, api.TimecodeRelative, start+60_000, bytes.NewReader(body)))
	twice, err := a.List(t.Context(), st.ID, store.Query{})
	must(t, err)
	if len(once) == 0 || len(twice) != 2*len(once) {
		t.Errorf("%d fragments are stored, then %d", len(once), len(twice))
	}
}

// Two nodes that append one fragment at once store it once, even if what the first one stored is
// compacted before the second one commits.
func TestOneFragmentAtTwoNodes(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	nodes := []*node{f.node(), f.node()}
	compactor := f.node(func(o *cluster.Options) { o.CompactBytes = 1 })
	st := create(t, nodes[0], "cam", 24)
	const rounds = 20
	for round := range rounds {
		rec := storetest.Record(clock, uint64(round), 300)
		clock.Add(2 * time.Second)
		errs := make([]error, len(nodes))
		var all sync.WaitGroup
		for i, n := range nodes {
			all.Go(func() {
				mine := *rec
				mine.Arrival = &store.Arrival{Seen: int64(round)}
				_, errs[i] = storetest.Append(t.Context(), n, st.ID, &mine)
			})
		}
		if round%4 == 0 {
			all.Go(func() {
				if err := compactor.Compact(t.Context(), true); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v, %v", round, errs[0], errs[1])
		}
	}
	list, err := nodes[0].List(t.Context(), st.ID, store.Query{})
	must(t, err)
	if len(list) != rounds {
		t.Errorf("%d fragments of %d", len(list), rounds)
	}
}
