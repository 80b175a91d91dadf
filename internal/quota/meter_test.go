package quota

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

// wants compares the code of an error; "" is no error.
func wants(t *testing.T, what string, err error, code api.ErrorCode) {
	t.Helper()
	var e *api.Error
	if errors.As(err, &e); code == "" && err != nil || code != "" && (e == nil || e.Code != code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// Each limit has its error, and counts for each principal or stream separately.
func TestMeter(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	m := NewMeter(Limits{PrincipalCalls: 2, StreamCalls: 1, PutMediaCalls: 3,
		PutMediaConnections: 2, ListConnections: 1, MetadataPoints: 1000, MediaPoints: 50},
		func() time.Time { return now })
	for name, c := range map[string]struct {
		most int
		do   func(of string) error
		code api.ErrorCode
	}{
		"calls of a principal": {10, m.Call, api.ClientLimitExceededException},
		"calls of an operation": {5, func(of string) error {
			return m.StreamCall("DescribeStream", store.StreamID(of))
		}, api.ClientLimitExceededException},
		"calls of PutMedia": {3, func(of string) error {
			return m.StreamCall("PutMedia", store.StreamID(of))
		}, api.ClientLimitExceededException},
		"connections of PutMedia": {2, func(of string) error {
			_, err := m.Connect("PutMedia", store.StreamID(of), of)
			return err
		}, api.ConnectionLimitExceededException},
		"lists of media": {1, func(of string) error {
			_, err := m.Connect("GetMediaForFragmentList", store.StreamID(of), of)
			return err
		}, api.ClientLimitExceededException},
		"metadata": {2, func(of string) error { return m.Points(store.StreamID(of), 500, 0) },
			api.ClientLimitExceededException},
		"media": {1, func(of string) error { return m.Points(store.StreamID(of), 0, 1000) },
			api.ClientLimitExceededException},
	} {
		for range c.most {
			wants(t, name, c.do("a"), "")
		}
		wants(t, name+" beyond", c.do("a"), c.code)
		wants(t, name+" of another", c.do("b"), "")
	}
	now = now.Add(time.Second)
	wants(t, "a second later", m.StreamCall("DescribeStream", "a"), "")
	none := NewMeter(Limits{}, nil)
	for range 1000 {
		wants(t, "no limit", errors.Join(none.Call("a"), none.StreamCall("PutMedia", "a"),
			none.Points("a", 1e6, 1e6)), "")
		_, err := none.Connect("PutMedia", "a", "a")
		wants(t, "no limit", err, "")
	}
}

// A connection that ends makes room. One principal cannot take all of them.
func TestConnectionsAreShared(t *testing.T) {
	t.Parallel()
	m := NewMeter(Limits{MaxConnections: 8, PutMediaConnections: 7}, nil)
	var leave func()
	var err error
	for range 6 {
		leave, err = m.Connect("PutMedia", "a", "greedy")
		wants(t, "within three quarters", err, "")
	}
	_, err = m.Connect("GetMedia", "b", "greedy")
	wants(t, "beyond three quarters", err, api.ConnectionLimitExceededException)
	_, err = m.Connect("PutMedia", "a", "modest")
	wants(t, "another principal", err, "")
	leave()
	leave, err = m.Connect("PutMedia", "a", "modest")
	wants(t, "there is room again", err, "")
	leave()
	if n := m.connections[call{"PutMedia", "a"}]; n != 6 {
		t.Errorf("%d connections are counted, want 6", n)
	}
}

// Streams are counted now and then, and before one is refused.
func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	m := NewMeter(Limits{Streams: 3}, func() time.Time { return now })
	there, counted := 1, 0
	create := func() error {
		err := m.NewStream(func(int) (int, error) { counted++; return there, nil })
		if err == nil {
			there++
		}
		return err
	}
	wants(t, "the second", create(), "")
	wants(t, "the third", create(), "")
	wants(t, "the fourth", create(), api.AccountStreamLimitExceededException)
	if counted != 1 {
		t.Errorf("streams are counted %d times", counted)
	}
	now, there = now.Add(2*time.Second), 2 // one was deleted
	wants(t, "in its place", create(), "")
	gone := errors.New("gone")
	now = now.Add(time.Hour)
	if err := m.NewStream(func(int) (int, error) { return 0, gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// A caller that leaves while it waits takes nothing from later ones.
func TestWhoLeavesTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMeter(Limits{PutMediaFragments: 4}, nil)
		for range 4 {
			m.Stored(t.Context(), "a")
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		for range 40 {
			m.Stored(gone, "a")
		}
		start := time.Now()
		if m.Stored(t.Context(), "a"); time.Since(start) > time.Second {
			t.Errorf("the next one waits %v", time.Since(start))
		}
	})
}

// All media of a stream passes, as fast as the limit says.
func TestMediaIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMeter(Limits{PutMediaBytes: 1000, MediaBytes: 500, PutMediaFragments: 4}, nil)
		text := strings.Repeat("0123456789", 300)
		took := func(what string, want time.Duration, do func()) {
			t.Helper()
			start := time.Now()
			do()
			got := time.Since(start)
			if got < want-10*time.Millisecond || got > want+time.Second/5 {
				t.Errorf("%s takes %v, want %v", what, got, want)
			}
		}
		took("reading", 2*time.Second, func() { // and the first second's worth at once
			got, err := io.ReadAll(m.Body(t.Context(), "a", strings.NewReader(text)))
			if err != nil || string(got) != text {
				t.Errorf("%d bytes are read, %v", len(got), err)
			}
		})
		took("writing", 5*time.Second, func() {
			var got bytes.Buffer
			n, err := io.WriteString(m.Answer(t.Context(), "a", &got), text)
			if err != nil || n != len(text) || got.String() != text {
				t.Errorf("%d bytes of %d are written, %v", got.Len(), n, err)
			}
		})
		took("fragments", time.Second, func() {
			for range 8 {
				m.Stored(t.Context(), "a")
			}
		})
		none := NewMeter(Limits{}, nil)
		r, w := strings.NewReader(""), &bytes.Buffer{}
		if none.Body(t.Context(), "a", r) != io.Reader(r) ||
			none.Answer(t.Context(), "a", w) != io.Writer(w) {
			t.Error("without a limit something stands between")
		}
		took("no limit", 0, func() { none.Stored(t.Context(), "a") })
	})
}
