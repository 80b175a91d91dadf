package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/mkv"
	"weir/internal/recut"
)

// endOfFragment is the tag by which a producer says that the fragment before it is complete
// (docs/reference/producers.md, "End of a stream").
const endOfFragment = "AWS_KINESISVIDEO_END_OF_FRAGMENT"

// ProducerOptions say what to produce into, and how patiently. Zero values stand for the named
// defaults.
type ProducerOptions struct {
	Client *Client       // the control plane's endpoint: GetDataEndpoint is asked where to send
	Stream api.StreamRef // by name or ARN
	// Timecodes is ABSOLUTE (the default) or RELATIVE: clusters then count from the first frame,
	// whose time is sent as the producer start timestamp, the same at every reconnection.
	Timecodes api.TimecodeType
	// ReceivedIsEnough says that the stream has no retention, so that no PERSISTED will come, and
	// that RECEIVED settles a fragment.
	ReceivedIsEnough bool
	// bytes kept for sending again; default 64 MiB, and always one whole fragment
	Window int64
	// a connection is given up after so long without any acknowledgement; default 60 s, as in the
	// SDKs
	AckTimeout time.Duration
	GiveUp     time.Duration // how long to go on trying without any success; default 10 minutes
	// how long to wait for the last acknowledgements after Run's context has ended; default 30 s.
	// If the server cannot be reached any more, there is no wait.
	Drain  time.Duration
	Clock  recut.Clock    // default recut.SystemClock
	Jitter func() float64 // in [0, 1), for the waits between attempts; default random

	// The hooks below may be nil. They are called one at a time, and hold up the producer until
	// they return.
	OnAck func(Ack) // each acknowledgement, as it comes
	// each fragment that is safe, after the acknowledgement that said so
	OnSafe func(Safe)
	// a connection has failed; the next one begins after wait
	OnRetry func(err error, wait time.Duration)
}

// Safe is a fragment that need not be sent again.
type Safe struct {
	Timecode int64         // of the cluster, in milliseconds
	Bytes    int           // of Matroska
	Latency  time.Duration // from its last byte sent to the acknowledgement; 0 when it came before
}

// Summary tells what became of a source.
type Summary struct {
	Fragments   int             // that the source gave
	Persisted   int             // that are safe: persisted, or received when that is enough
	Skipped     int             // that the server refused for good
	Bytes       int64           // of Matroska, each fragment counted once
	Duration    time.Duration   // from the first frame's time to the last one's
	Connections int             // PutMedia calls that were answered with 200
	Acks        map[string]int  // number of acknowledgements by their type
	Latencies   []time.Duration // from a fragment's last byte sent to its being safe, sorted
}

// Latency is a quantile of Latencies, such as 0.5 for the median; 0 when there are none.
func (s *Summary) Latency(q float64) time.Duration {
	if len(s.Latencies) == 0 {
		return 0
	}
	i := int(q * float64(len(s.Latencies)))
	return s.Latencies[min(i, len(s.Latencies)-1)]
}

// Producer sends one source to one stream. Its fields belong to the goroutine in Run, but for
// window, which has a lock.
type Producer struct {
	o       ProducerOptions
	http    *http.Transport
	window  *window
	uid     []byte  // SegmentUID, the same in all connections, as the AWS SDKs have it
	data    *Client // where to send; nil: ask
	summary Summary
}

// NewProducer makes a producer. It is used for one Run.
func NewProducer(o ProducerOptions) *Producer {
	if o.Timecodes == "" {
		o.Timecodes = api.TimecodeAbsolute
	}
	if o.Window == 0 {
		o.Window = 64 << 20
	}
	if o.AckTimeout == 0 {
		o.AckTimeout = 60 * time.Second
	}
	if o.GiveUp == 0 {
		o.GiveUp = 10 * time.Minute
	}
	if o.Drain == 0 {
		o.Drain = 30 * time.Second
	}
	if o.Clock == nil {
		o.Clock = recut.SystemClock{}
	}
	if o.Jitter == nil {
		o.Jitter = mathrand.Float64
	}
	if o.OnAck == nil {
		o.OnAck = func(Ack) {}
	}
	if o.OnSafe == nil {
		o.OnSafe = func(Safe) {}
	}
	if o.OnRetry == nil {
		o.OnRetry = func(error, time.Duration) {}
	}
	p := &Producer{o: o, window: newWindow(o.Window), uid: make([]byte, 16),
		summary: Summary{Acks: map[string]int{}}}
	rand.Read(p.uid) // never fails
	// HTTP/1.1 only: HTTP/2 drops headers that are signed (docs/reference/producers.md,
	// "Requests"). Another transport may have added h2 to the configuration; a server would then
	// choose it, and this transport does not speak it.
	secure := &tls.Config{}
	if o.Client.TLS != nil {
		secure = o.Client.TLS.Clone()
	}
	secure.NextProtos = []string{"http/1.1"}
	p.http = &http.Transport{
		Proxy:              http.ProxyFromEnvironment,
		TLSClientConfig:    secure,
		Protocols:          new(http.Protocols),
		WriteBufferSize:    64 << 10,
		DisableCompression: true,
	}
	p.http.Protocols.SetHTTP1(true)
	return p
}

// Run sends src until it ends and everything is settled, and returns what became of it. When ctx
// ends, Run ends the current fragment where it is, and waits for the rest, for
// ProducerOptions.Drain at most.
//
// The error is nil if every fragment is safe or was skipped (see Summary.Skipped). Otherwise it is
// the source's error, that of the server if it ended the sending, or the one after which Run gave
// up.
func (p *Producer) Run(ctx context.Context, src recut.Source) (Summary, error) {
	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer p.http.CloseIdleConnections()

	soft, stop := context.WithCancel(ctx)
	defer stop()
	fed := make(chan error, 1)
	go func() {
		err := p.feed(soft, src)
		p.window.end()
		fed <- err
	}()
	defer context.AfterFunc(ctx, func() {
		p.window.end()
		if p.o.Clock.Sleep(hard, p.o.Drain) == nil {
			cancel(fmt.Errorf("%d fragments were not acknowledged within %v", p.window.unsettled(),
				p.o.Drain))
		}
	})()

	err := p.deliver(hard, ctx)
	p.window.end()
	stop()
	if err == nil && ctx.Err() == nil {
		// All is settled, so the source has ended. Otherwise it may still be waiting for input,
		// which nobody can interrupt.
		if e := <-fed; !errors.Is(e, io.EOF) {
			err = e
		}
	}
	p.window.report(&p.summary)
	slices.Sort(p.summary.Latencies)
	return p.summary, err
}

// feed moves frames from the source into the window until the source ends; the error is the
// source's, io.EOF at its end.
func (p *Producer) feed(ctx context.Context, src recut.Source) error {
	var buf bytes.Buffer
	enc := mkv.NewWriter(&buf)
	begun := false
	var base int64 // what cluster timecodes count from, ms
	for {
		f, err := src.Next(ctx)
		if err != nil {
			return err
		}
		if !begun {
			if !f.Start {
				return errors.New("the source does not begin with a key frame")
			}
			begun = true
			if err := enc.WriteHeader(mkv.Header{Tracks: src.Tracks(),
				SegmentUID: p.uid}); err != nil {
				return err
			}
			p.window.begin(bytes.Clone(buf.Bytes()), f.Time)
			if p.o.Timecodes == api.TimecodeRelative {
				base = f.Time
			}
		}
		buf.Reset()
		if f.Start {
			if err := enc.WriteCluster(f.Time - base); err != nil {
				return err
			}
		}
		if err := enc.WriteFrame(f.Track, f.Time-base, f.Key, f.Data); err != nil {
			return err
		}
		if err := p.window.add(ctx, buf.Bytes(), f, f.Time-base); err != nil {
			return err
		}
	}
}

// deliver makes one connection after another until the source has ended and everything is settled.
// After asked has ended, it only waits for acknowledgements, and stops at once if the server
// cannot be reached.
func (p *Producer) deliver(ctx, asked context.Context) error {
	seen, settled := int64(0), 0 // what the window had got, and got rid of, before the last attempt
	var failing time.Time        // since when nothing has been settled; zero when all is well
	attempt := 0
	for {
		done, err := p.window.work(ctx, seen)
		if err != nil {
			return context.Cause(ctx)
		}
		if done {
			return nil
		}
		err = p.connect(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		added, now := p.window.progress()
		if err == nil || now > settled && isRenewal(err) {
			seen, settled, attempt, failing = added, now, 0, time.Time{}
			continue
		}
		if isFatal(err) {
			return err
		}
		if gone := (*ConnectError)(nil); asked.Err() != nil && errors.As(err, &gone) {
			return fmt.Errorf("%d fragments were not acknowledged: %w", p.window.unsettled(), err)
		}
		seen = added
		if now > settled {
			settled, attempt, failing = now, 0, time.Time{}
		}
		if failing.IsZero() {
			failing = p.o.Clock.Now()
		} else if since := p.o.Clock.Now().Sub(failing); since >= p.o.GiveUp {
			return fmt.Errorf("gave up after %v without success: %w", since.Round(time.Second), err)
		}
		wait := backoff(attempt, p.o.Jitter())
		attempt++
		p.o.OnRetry(err, wait)
		if asked.Err() == nil {
			_ = p.o.Clock.Sleep(asked, wait) // cut short to leave
		} else if p.o.Clock.Sleep(ctx, wait) != nil {
			return context.Cause(ctx)
		}
	}
}

// backoff is the wait before another attempt. The first attempt comes at once, as in the SDKs
// after a lost connection. Later ones come after a time that doubles from 200 ms up to 5 s; the
// wait is between half of it and all of it, so that many producers do not come back together.
func backoff(attempt int, jitter float64) time.Duration {
	if attempt == 0 {
		return time.Duration(jitter * float64(50*time.Millisecond))
	}
	d := min(200*time.Millisecond<<min(attempt-1, 10), 5*time.Second)
	return d/2 + time.Duration(jitter*float64(d/2))
}

// isFatal reports whether trying again cannot help: the server refuses this producer, or was never
// asked properly.
func isFatal(err error) bool {
	var ack *AckError
	if errors.As(err, &ack) {
		return classifyAck(ack.Ack.ErrorID) == ackFatal
	}
	var answer *Error
	if errors.As(err, &answer) {
		switch answer.Code {
		case api.ClientLimitExceededException, api.ConnectionLimitExceededException,
			api.ThrottlingException:
			return false
		}
		return answer.Status >= 400 && answer.Status < 500 &&
			answer.Status != http.StatusRequestTimeout &&
			answer.Status != http.StatusTooManyRequests
	}
	return errors.Is(err, ErrEndpoint)
}

// isRenewal reports whether a connection ended only because of its age, as every long one does.
func isRenewal(err error) bool {
	var ack *AckError
	return errors.As(err, &ack) && ack.Ack.ErrorID == api.AckMaxConnectionDuration
}

var (
	errNoAcks = errors.New("no acknowledgement came for too long; a proxy that buffers requests " +
		"or answers has this effect")
	errEnded = errors.New("the server ended the connection")
)

// take acts on an acknowledgement. An error ends the connection.
func (p *Producer) take(ack Ack) error {
	p.summary.Acks[ack.Type]++
	p.o.OnAck(ack)
	switch ack.Type {
	case api.AckPersisted.String():
		p.safe(ack)
	case api.AckReceived.String():
		if p.o.ReceivedIsEnough {
			p.safe(ack)
		}
	case api.AckError.String():
		if classifyAck(ack.ErrorID) == ackSkip {
			if !ack.HasTimecode {
				ack.Timecode, ack.HasTimecode = p.window.current()
			}
			if ack.HasTimecode && p.window.settle(ack.Timecode, true) != nil {
				p.summary.Skipped++
			}
		}
		return &AckError{Ack: ack}
	}
	return nil
}

// safe settles a fragment for good.
func (p *Producer) safe(ack Ack) {
	if !ack.HasTimecode {
		return
	}
	f := p.window.settle(ack.Timecode, false)
	if f == nil {
		return
	}
	p.summary.Persisted++
	safe := Safe{Timecode: f.timecode, Bytes: len(f.data)} // complete: nobody writes to it any more
	if !f.closed.IsZero() {
		safe.Latency = p.o.Clock.Now().Sub(f.closed)
		if len(p.summary.Latencies) < maxLatencies {
			p.summary.Latencies = append(p.summary.Latencies, safe.Latency)
		}
	}
	p.o.OnSafe(safe)
}

// maxLatencies bounds Summary.Latencies: the first eleven days of fragments of a second.
const maxLatencies = 1_000_000
