package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/recut"
)

func TestProducerSendsEverythingAndWaitsForTheLastAck(t *testing.T) {
	s := newPutMediaServer(t)
	var types []string
	o := s.options()
	o.OnAck = func(a Ack) { types = append(types, a.Type) }
	sum, err := NewProducer(o).Run(t.Context(), camera(4))
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(4))
	if sum.Fragments != 4 || sum.Persisted != 4 || sum.Skipped != 0 || sum.Connections != 1 ||
		len(sum.Latencies) != 4 {
		t.Errorf("summary %+v", sum)
	}
	if sum.Duration != 3666*time.Millisecond {
		t.Errorf("duration %v", sum.Duration)
	}
	if sum.Acks["PERSISTED"] != 4 || sum.Acks["RECEIVED"] != 4 || sum.Acks["BUFFERING"] != 4 ||
		len(types) != 12 {
		t.Errorf("acknowledgements %v, seen %v", sum.Acks, types)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bodyEnded != 1 {
		t.Errorf("%d bodies ended cleanly, not 1", s.bodyEnded)
	}
	h := s.headers[0]
	for name, value := range map[string]string{
		"X-Amzn-Stream-Name": "cam", "X-Amzn-Fragment-Timecode-Type": "ABSOLUTE",
		"X-Amzn-Producer-Start-Timestamp":         "1700000000.000",
		"X-Amzn-Fragment-Acknowledgment-Required": "1", "Connection": "keep-alive",
	} {
		if h.Get(name) != value {
			t.Errorf("header %s is %q, not %q", name, h.Get(name), value)
		}
	}
	if a := h.Get("Authorization"); !strings.Contains(a,
		"SignedHeaders=connection;host;transfer-encoding;user-agent;x-amz-date;"+
			"x-amzn-fragment-acknowledgment-required;x-amzn-fragment-timecode-type;"+
			"x-amzn-producer-start-timestamp;x-amzn-stream-name,") {
		t.Errorf("authorization %s", a)
	}
}

func TestProducerResendsWhatIsNotPersisted(t *testing.T) {
	s := newPutMediaServer(t)
	s.fragment = func(c *conversation, f arrived) {
		switch {
		// lost with the connection, and the acknowledgement of 1 with it
		case c.connection == 0 && f.index == 2:
			c.ack("RECEIVED", f.timecode)
			c.hangUp()
		case c.connection == 0 && f.index == 1: // received is not safe
			c.ack("RECEIVED", f.timecode)
		case c.connection == 1 && f.index == 1: // stored, but the acknowledgement is lost
			c.store(f)
			c.hangUp()
		default:
			c.persist(f)
		}
	}
	sum, err := NewProducer(s.options()).Run(t.Context(), camera(6))
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(6))
	if sum.Persisted != 6 || sum.Connections != 3 {
		t.Errorf("summary %+v", sum)
	}
	if n := s.times(); n[0] != 1 || n[1] != 2 || n[5] != 1 {
		t.Errorf("fragments came %v times: what was persisted must not come again", n)
	}
}

// A connection that has lived its time is no failure: the next one begins at once, and no hook is
// called.
func TestProducerRenewsItsConnection(t *testing.T) {
	s := newPutMediaServer(t)
	s.fragment = func(c *conversation, f arrived) {
		c.persist(f)
		if f.index == 1 {
			c.fail(4003, nil)
		}
	}
	o := s.options()
	o.OnRetry = func(err error, wait time.Duration) {
		t.Errorf("retry after %v because of %v", wait, err)
	}
	sum, err := NewProducer(o).Run(t.Context(), camera(5))
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(5))
	if sum.Persisted != 5 || sum.Connections != 3 {
		t.Errorf("summary %+v", sum)
	}
}

func TestProducerSkipsWhatTheServerWillNotTake(t *testing.T) {
	for _, id := range []int{4001, 4002, 4004, 4006, 4009, 4011} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			s := newPutMediaServer(t)
			s.fragment = func(c *conversation, f arrived) {
				if strings.HasPrefix(f.payload, "fragment 2 ") {
					c.fail(id, &f)
				}
				c.persist(f)
			}
			sum, err := NewProducer(s.options()).Run(t.Context(), camera(5))
			if err != nil {
				t.Fatal(err)
			}
			checkStored(t, s, want(5, 2))
			if sum.Skipped != 1 || sum.Persisted != 4 {
				t.Errorf("summary %+v", sum)
			}
		})
	}
}

func TestProducerSkipsTheFragmentAtHandWhenTheErrorNamesNone(t *testing.T) {
	s := newPutMediaServer(t)
	refused := make(chan struct{})
	src := camera(3)
	src.before = func(ctx context.Context, i int) error {
		// one frame of the second fragment is out: hold the rest until the server has refused it
		if i == 4 {
			<-refused
		}
		return nil
	}
	s.fragment = func(c *conversation, f arrived) {
		c.persist(f)
		if c.connection == 0 && f.index == 0 { // the second cluster has begun
			c.fail(4006, nil)
		}
	}
	o := s.options()
	o.OnRetry = func(error, time.Duration) { close(refused) }
	sum, err := NewProducer(o).Run(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(3, 1))
	if sum.Skipped != 1 {
		t.Errorf("summary %+v", sum)
	}
}

func TestProducerGivesUpWhenTheServerRefusesIt(t *testing.T) {
	for _, id := range []int{4005, 4007, 4008, 4010, 4012, 4500, 4507} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			s := newPutMediaServer(t)
			s.fragment = func(c *conversation, f arrived) { c.fail(id, &f) }
			_, err := NewProducer(s.options()).Run(t.Context(), camera(3))
			var ack *AckError
			if !errors.As(err, &ack) || int(ack.Ack.ErrorID) != id {
				t.Errorf("error %v", err)
			}
			if s.calls != 1 {
				t.Errorf("%d calls, not 1", s.calls)
			}
		})
	}
}

func TestProducerTriesAgainAfterPassingErrors(t *testing.T) {
	for _, id := range []int{4000, 4003, 5000, 5001, 4999} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			s := newPutMediaServer(t)
			s.fragment = func(c *conversation, f arrived) {
				if c.connection < 2 && f.index == 1 {
					c.fail(id, &f)
				}
				c.persist(f)
			}
			sum, err := NewProducer(s.options()).Run(t.Context(), camera(4))
			if err != nil {
				t.Fatal(err)
			}
			checkStored(t, s, want(4))
			if sum.Skipped != 0 || sum.Persisted != 4 {
				t.Errorf("summary %+v", sum)
			}
		})
	}
}

func TestProducerBacksOffWhileTheServerIsDown(t *testing.T) {
	s := newPutMediaServer(t)
	s.before = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n < 8 {
			refuse(w, http.StatusServiceUnavailable)
		}
		return n < 8
	}
	o := s.options()
	clock := &instant{now: time.UnixMilli(testStart)}
	o.Clock = clock
	if _, err := NewProducer(o).Run(t.Context(), camera(2)); err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(2))
	ms := []time.Duration{25, 150, 300, 600, 1200, 2400, 3750, 3750}
	for i := range ms {
		ms[i] *= time.Millisecond
	}
	if !slices.Equal(clock.waits, ms) {
		t.Errorf("waits %v, expected %v", clock.waits, ms)
	}
	if s.endpoints != 9 {
		t.Errorf("asked for the endpoint %d times: each failure may mean that another node has "+
			"the stream", s.endpoints)
	}
}

func TestProducerGivesUpAfterAWhile(t *testing.T) {
	s := newPutMediaServer(t)
	s.before = func(w http.ResponseWriter, r *http.Request, n int) bool {
		refuse(w, http.StatusInternalServerError)
		return true
	}
	o := s.options()
	o.GiveUp = time.Minute
	_, err := NewProducer(o).Run(t.Context(), camera(2))
	if err == nil || !strings.Contains(err.Error(), "gave up after") {
		t.Errorf("error %v", err)
	}
}

func TestProducerTakesARefusalForAnAnswer(t *testing.T) {
	s := newPutMediaServer(t)
	s.before = func(w http.ResponseWriter, r *http.Request, n int) bool {
		w.Header().Set("x-amzn-ErrorType", "ResourceNotFoundException")
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusNotFound)
		io.WriteString(w, `{"Message":"no such stream"}`)
		return true
	}
	_, err := NewProducer(s.options()).Run(t.Context(), camera(2))
	if !errors.Is(err, &Error{Code: api.ResourceNotFoundException}) ||
		!strings.Contains(err.Error(), "no such stream") {
		t.Errorf("error %v", err)
	}
	if s.calls != 1 {
		t.Errorf("%d calls, not 1", s.calls)
	}
}

func TestProducerWithLateAcksKeepsSending(t *testing.T) {
	s := newPutMediaServer(t)
	var late []arrived
	s.fragment = func(c *conversation, f arrived) { late = append(late, f) }
	s.end = func(c *conversation) {
		for _, f := range late {
			c.persist(f)
		}
	}
	sum, err := NewProducer(s.options()).Run(t.Context(), camera(20))
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(20))
	if sum.Connections != 1 {
		t.Errorf("summary %+v", sum)
	}
}

// A full window holds the source back, but never the acknowledgements that empty it.
func TestWindowIsBounded(t *testing.T) {
	w := newWindow(100)
	full, cancel := context.WithCancel(t.Context())
	cancel() // with this context add fails where it would wait
	data := make([]byte, 60)
	add := func(start bool, timecode int64) error {
		return w.add(full, data, recut.Frame{Start: start}, timecode)
	}
	for i, step := range []struct {
		start   bool
		settle  int64 // -1: none
		blocked bool
	}{
		{start: true, settle: -1},
		{settle: -1}, // a fragment that is alone may be larger than the window
		// what tells the server that the first one is complete goes through
		{start: true, settle: -1},
		{settle: -1, blocked: true}, // now the source waits
		{settle: 0},                 // until the first one is safe
	} {
		if step.settle >= 0 && w.settle(step.settle, false) == nil {
			t.Fatalf("step %d: no fragment %d to settle", i, step.settle)
		}
		if err := add(step.start, int64(i)); (err != nil) != step.blocked {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestProducerWithASmallWindow(t *testing.T) {
	s := newPutMediaServer(t)
	o := s.options()
	o.Window = 1
	sum, err := NewProducer(o).Run(t.Context(), camera(10))
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(10))
	if sum.Connections != 1 {
		t.Errorf("summary %+v", sum)
	}
}

func TestProducerWithoutRetentionIsContentWithReceived(t *testing.T) {
	s := newPutMediaServer(t)
	s.fragment = func(c *conversation, f arrived) {
		c.store(f)
		c.ack("RECEIVED", f.timecode)
	}
	o := s.options()
	o.ReceivedIsEnough = true
	sum, err := NewProducer(o).Run(t.Context(), camera(3))
	if err != nil {
		t.Fatal(err)
	}
	if sum.Persisted != 3 {
		t.Errorf("summary %+v", sum)
	}
}

func TestProducerRelativeKeepsItsStartAcrossConnections(t *testing.T) {
	s := newPutMediaServer(t)
	s.fragment = func(c *conversation, f arrived) {
		if c.connection == 0 && f.index == 1 {
			c.hangUp()
		}
		c.persist(f)
	}
	o := s.options()
	o.Timecodes = api.TimecodeRelative
	src := camera(3)
	for i := range src.frames {
		src.frames[i].Time += 48
	}
	if _, err := NewProducer(o).Run(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(3))
	for i, f := range s.stored {
		if f.timecode != int64(i)*1000 {
			t.Errorf("fragment %d has timecode %d", i, f.timecode)
		}
	}
	for i, h := range s.headers {
		if h.Get("X-Amzn-Producer-Start-Timestamp") != "1700000000.048" ||
			h.Get("X-Amzn-Fragment-Timecode-Type") != "RELATIVE" {
			t.Errorf("connection %d: headers %v", i, h)
		}
	}
}

func TestProducerLeavesCleanlyWhenAskedTo(t *testing.T) {
	s := newPutMediaServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	src := camera(5)
	src.before = func(ctx context.Context, i int) error {
		if i == 4 { // in the middle of the second fragment
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	sum, err := NewProducer(ProducerOptions{Client: s.client(),
		Stream: api.StreamRef{StreamName: "cam"}}).Run(ctx, src)
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, []string{want(1)[0], "fragment 1 frame 0 "})
	if sum.Fragments != 2 || sum.Persisted != 2 || s.bodyEnded != 1 {
		t.Errorf("summary %+v, %d clean ends", sum, s.bodyEnded)
	}
}

func TestProducerDoesNotWaitForeverForTheLastAcks(t *testing.T) {
	s := newPutMediaServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.fragment = func(c *conversation, f arrived) { cancel() }
	_, err := NewProducer(s.options()).Run(ctx, camera(3))
	if err == nil || !strings.Contains(err.Error(), "not acknowledged within 30s") {
		t.Errorf("error %v", err)
	}
}

func TestProducerDoesNotWaitForAServerThatIsGone(t *testing.T) {
	t.Run("lost while it waits", func(t *testing.T) {
		s := newPutMediaServer(t)
		ctx, cancel := context.WithCancel(t.Context())
		s.fragment = func(c *conversation, f arrived) {
			cancel()
			s.Listener.Close()
			c.conn.Close()
		}
		checkGone(t, ctx, s.options())
	})
	t.Run("already gone", func(t *testing.T) {
		s := newPutMediaServer(t)
		s.Listener.Close()
		ctx, cancel := context.WithCancel(t.Context())
		o := s.options()
		o.OnRetry = func(error, time.Duration) { cancel() }
		checkGone(t, ctx, o)
	})
}

// checkGone runs a producer until ctx ends and its server is gone.
func checkGone(t *testing.T, ctx context.Context, o ProducerOptions) {
	t.Helper()
	o.Clock, o.Drain = recut.SystemClock{}, 5*time.Second
	_, err := NewProducer(o).Run(ctx, camera(3))
	var gone *ConnectError
	if !errors.As(err, &gone) || !strings.Contains(err.Error(), "were not acknowledged: ") {
		t.Errorf("error %v, expected one that names the endpoint and what is missing", err)
	}
}

func TestProducerGivesUpASilentConnection(t *testing.T) {
	s := newPutMediaServer(t)
	s.fragment = func(c *conversation, f arrived) {
		if c.connection > 0 {
			c.persist(f)
		}
	}
	o := s.options()
	o.AckTimeout = 200 * time.Millisecond
	var retried error
	o.OnRetry = func(err error, wait time.Duration) { retried = err }
	if _, err := NewProducer(o).Run(t.Context(), camera(3)); err != nil {
		t.Fatal(err)
	}
	checkStored(t, s, want(3))
	if !errors.Is(retried, errNoAcks) ||
		!strings.Contains(retried.Error(), "a proxy that buffers") {
		t.Errorf("retried because of %v", retried)
	}
}

func TestProducerReportsTheSourcesError(t *testing.T) {
	s := newPutMediaServer(t)
	broken := errors.New("the camera fell off the wall")
	src := camera(2)
	src.before = func(ctx context.Context, i int) error {
		if i == 5 {
			return broken
		}
		return nil
	}
	sum, err := NewProducer(s.options()).Run(t.Context(), src)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if sum.Persisted != 2 {
		t.Errorf("what had come before the error was not sent: %+v", sum)
	}
	if _, err := NewProducer(s.options()).Run(t.Context(), &slice{}); err != nil {
		t.Errorf("an empty source: %v", err)
	}
}
