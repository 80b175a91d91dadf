// Package audit keeps a log of who did what: one JSON object a line, in a file that rotates.
//
// Write never waits for the disk. Lines go through a bounded queue to one goroutine, which writes
// and syncs them. While the disk is full or does not answer, lines wait in the queue. Those that do
// not fit are lost, but never silently: weir_audit_lost_total counts them, and the next line that
// is written says how many there were. A power cut loses lines that were not synced yet: those of a
// second at most, unless the disk is slower.
//
// Several processes may append to one file, as a server and its successor do.
package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Kinds of events.
const (
	Call  = "call"  // a call that is over
	Begin = "begin" // a connection of PutMedia or GetMedia that may begin
	End   = "end"   // the same connection, with the same request id
	Lost  = "lost"  // events that could not be written
)

// Event is one line of the log.
type Event struct {
	Time      time.Time `json:"time"`
	Sequence  int64     `json:"sequence"` // rises from line to line of one process
	Event     string    `json:"event"`
	RequestID string    `json:"request_id,omitempty"`
	Action    string    `json:"action,omitempty"`     // as policies name it
	Resource  string    `json:"resource,omitempty"`   // ARN, when the call names one
	Stream    string    `json:"stream,omitempty"`     // name
	Principal string    `json:"principal,omitempty"`  // ARN; "": nobody whose signature was right
	AccessKey string    `json:"access_key,omitempty"` // id; unverified without a principal
	Remote    string    `json:"remote,omitempty"`     // address and port
	UserAgent string    `json:"user_agent,omitempty"`
	Allowed   bool      `json:"allowed"`
	Reason    string    `json:"reason,omitempty"`  // why it was not allowed
	Outcome   string    `json:"outcome,omitempty"` // "ok", or the error that was answered
	Session   string    `json:"session,omitempty"` // id of the session that was opened or closed
	Bytes     int64     `json:"bytes,omitempty"`   // of media, in an end
	Millis    int64     `json:"duration_ms,omitempty"`
	Repeated  int64     `json:"repeated,omitempty"` // like this one, left out before it
	Lost      int64     `json:"lost,omitempty"`     // events that were lost before this line
}

// OK is the Outcome of a call that succeeded.
const OK = "ok"

// Defaults of Options.
const (
	defaultMaxBytes = 64 << 20            // some 150,000 events
	defaultMaxAge   = 30 * 24 * time.Hour // a file a month on a quiet server
	defaultKeep     = 12                  // and the one that is written
	defaultQueue    = 8192                // 3 MB: minutes of a busy server
)

// Options say where a Log is and how it rotates.
type Options struct {
	Path     string        // of the current file; older ones are beside it
	MaxBytes int64         // size of a file; 0: defaultMaxBytes
	MaxAge   time.Duration // of a file; 0: defaultMaxAge
	Keep     int           // older files; 0: defaultKeep
	Queue    int           // events that may wait; 0: defaultQueue

	Logger *slog.Logger     // nil: none
	Clock  func() time.Time // nil: time.Now

	open func(path string) (file, error) // for tests
	tick time.Duration                   // for tests: between tries
}

// Log is an audit log. A nil Log drops events and has none.
type Log struct {
	o     Options
	clock func() time.Time
	log   *slog.Logger

	written, lost prometheus.Counter

	mu       sync.Mutex
	queue    [][]byte
	sequence int64
	missing  int64 // lost since the last line
	closed   bool
	wake     chan struct{}
	done     chan struct{}
}

// Open opens a log for appending. It makes the file and its directory if there are none.
func Open(o Options) (*Log, error) {
	o.MaxBytes, o.MaxAge = cmp.Or(o.MaxBytes, defaultMaxBytes), cmp.Or(o.MaxAge, defaultMaxAge)
	o.Keep, o.Queue = cmp.Or(o.Keep, defaultKeep), cmp.Or(o.Queue, defaultQueue)
	if o.open == nil {
		o.open = openFile
	}
	o.tick = cmp.Or(o.tick, time.Second)
	l := &Log{o: o, clock: o.Clock, log: o.Logger, wake: make(chan struct{}, 1),
		done: make(chan struct{}),
		written: prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_audit_events_total",
			Help: "Events that were written to the audit log."}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_audit_lost_total",
			Help: "Events that are missing in the audit log: it could not be written."})}
	if l.clock == nil {
		l.clock = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	w := &writer{Log: l}
	if err := w.reopen(); errors.Is(err, syscall.ENOSPC) {
		l.log.Warn("there is no room for the audit log yet", "error", err) // a server starts anyway
	} else if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	go w.run()
	return l, nil
}

// Register adds the metrics to a registry.
func (l *Log) Register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{l.written, l.lost} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Write adds an event. It fills in Sequence, and Time when that is zero. It never waits.
func (l *Log) Write(e Event) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) >= l.o.Queue {
		l.missing++
		l.lost.Inc()
		return
	}
	if l.missing > 0 {
		l.add(Event{Event: Lost, Lost: l.missing})
		l.missing = 0
	}
	l.add(e)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// add encodes an event into the queue. The caller holds mu.
func (l *Log) add(e Event) {
	now := l.clock()
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	l.sequence = max(l.sequence+1, now.UnixMicro())
	e.Sequence = l.sequence
	var line bytes.Buffer
	encoder := json.NewEncoder(&line) // ends in a newline
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil { // a year of five digits
		l.lost.Inc()
		l.missing++
		return
	}
	l.queue = append(l.queue, line.Bytes())
}

// Close writes waiting events, trying once, and closes the file. Its error says what could not be
// written. Later events are lost.
func (l *Log) Close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		if l.missing > 0 {
			l.add(Event{Event: Lost, Lost: l.missing})
		}
		close(l.wake)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
		return fmt.Errorf("close audit log: %w", ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.queue); n > 0 {
		l.lost.Add(float64(n))
		l.queue = nil
		return fmt.Errorf("audit log: %d events could not be written", n)
	}
	return nil
}
