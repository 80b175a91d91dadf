// Package webhook delivers short messages to HTTP servers that users choose. Messages are signed,
// delivered in order for each sender, and retried for an hour. Each attempt goes to the sender's
// current URL, but never outside of a list of networks. Messages are in memory, and those that are
// left when the process ends are lost.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// headerSignature is the header of the signature: t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 of
// "SECONDS.BODY" under the key, and SECONDS the Unix time of the attempt.
const headerSignature = "X-Weir-Signature"

const (
	life         = time.Hour        // of a message, over all attempts
	firstBackoff = time.Second      // between attempts; it doubles
	lastBackoff  = 2 * time.Minute  // and grows to this
	patience     = 10 * time.Second // for an answer
	maxWaiting   = 10_000           // messages
	maxOfSender  = 1_000            // messages of one sender
)

// Options configure a Notifier. Key is required.
type Options struct {
	Allow      []netip.Prefix // where messages may go; none: nowhere
	Key        []byte         // of the signatures
	Logger     *slog.Logger   // nil: none
	Registerer prometheus.Registerer
	Clock      func() time.Time // nil: time.Now

	sleep func(ctx context.Context, d time.Duration) error // for tests
}

// Notifier delivers messages. It is safe for concurrent use.
type Notifier struct {
	o        Options
	client   *http.Client
	attempts *prometheus.CounterVec // by result

	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup
	mu    sync.Mutex
	waits map[string]*queue // by sender; guarded by mu
	count int               // messages in waits; guarded by mu
}

type message struct {
	to   func(context.Context) (string, error)
	body []byte
	made time.Time
}

// queue has the messages of a sender.
type queue struct {
	messages []message // the first one is being delivered
	hurry    func()    // ends a pause between attempts; nil: there is none
	hurried  bool      // Hurry was called since the last pause
	failing  bool      // the last attempt failed
}

// Results of attempts, and of messages without one.
const (
	resultDelivered = "delivered"
	resultFailed    = "failed"    // it is tried again
	resultExpired   = "expired"   // an hour is over
	resultDropped   = "dropped"   // too many wait
	resultWithdrawn = "withdrawn" // nobody wants it any more
)

// New makes a Notifier, which works until Close. The error is the registerer's.
func New(o Options) (*Notifier, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.sleep == nil {
		o.sleep = sleep
	}
	n := &Notifier{o: o, waits: map[string]*queue{},
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_notifications_total",
			Help: "Attempts to deliver notifications (delivered, failed), and notifications " +
				"given up after an hour (expired), because too many wait (dropped), or because " +
				"the stream has none any more (withdrawn).",
		}, []string{"result"}),
	}
	for _, result := range []string{resultDelivered, resultFailed, resultExpired, resultDropped,
		resultWithdrawn} {
		n.attempts.WithLabelValues(result)
	}
	if o.Registerer != nil {
		for _, c := range []prometheus.Collector{n.attempts, prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "weir_notifications_waiting",
				Help: "Notifications that are not delivered yet."},
			func() float64 { n.mu.Lock(); defer n.mu.Unlock(); return float64(n.count) })} {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("register metrics: %w", err)
			}
		}
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	dialer := &net.Dialer{Timeout: patience, Control: n.control}
	n.client = &http.Client{
		Timeout: patience,
		Transport: &http.Transport{ // no proxy: it would choose where to go
			DialContext: dialer.DialContext, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
			ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	return n, nil
}

// Enabled reports whether messages may go anywhere.
func (n *Notifier) Enabled() bool { return len(n.o.Allow) > 0 }

// errForbidden says that an address is outside of the list of networks.
var errForbidden = errors.New("the address is not in a network that notifications may go to")

// control checks each address that is dialled, after names were resolved, so that no name can lead
// elsewhere.
func (n *Notifier) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	for _, prefix := range n.o.Allow {
		if prefix.Contains(to.Addr().Unmap().WithZone("")) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", errForbidden, to.Addr())
}

// Send delivers a message in the background, after earlier ones of the same sender. Before each
// attempt it calls to, which returns the current URL, or "" if nobody wants the message any more;
// an error is a failed attempt. Send never blocks: if there are too many messages, it drops the
// message and counts it.
func (n *Notifier) Send(sender string, to func(context.Context) (url string, err error),
	body []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.waits[sender]
	if n.count >= maxWaiting || q != nil && len(q.messages) >= maxOfSender || n.ctx.Err() != nil {
		n.attempts.WithLabelValues(resultDropped).Inc()
		return
	}
	n.count++
	m := message{to, body, n.o.Clock()}
	if q != nil {
		q.messages = append(q.messages, m)
		return
	}
	q = &queue{messages: []message{m}}
	n.waits[sender] = q
	n.done.Go(func() { n.serve(sender, q) })
}

// Hurry makes the next attempt of a sender at once, because its URL has changed.
func (n *Notifier) Hurry(sender string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.waits[sender]
	if q == nil {
		return
	}
	q.hurried = true // in case an attempt is on its way
	if q.hurry != nil {
		q.hurry()
	}
}

// Close stops deliveries and drops the rest of the messages.
func (n *Notifier) Close() {
	n.mu.Lock()
	n.stop()
	n.mu.Unlock()
	n.done.Wait()
	n.client.CloseIdleConnections()
}

// serve delivers the messages of a sender until there are none.
func (n *Notifier) serve(sender string, q *queue) {
	for {
		n.mu.Lock()
		if len(q.messages) == 0 || n.ctx.Err() != nil {
			n.count -= len(q.messages)
			delete(n.waits, sender)
			n.mu.Unlock()
			return
		}
		m := q.messages[0]
		n.mu.Unlock()
		n.deliver(sender, q, m)
		n.mu.Lock()
		q.messages = q.messages[1:]
		n.count--
		n.mu.Unlock()
	}
}

// deliver tries until it succeeds, the message is too old, or nobody wants it. After a change of
// URL, pauses are short again.
func (n *Notifier) deliver(sender string, q *queue, m message) {
	log := n.o.Logger.With("stream", sender)
	last := ""
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		url, err := m.to(n.ctx)
		if err == nil && url == "" {
			n.attempts.WithLabelValues(resultWithdrawn).Inc()
			return
		}
		if err == nil {
			if url != last {
				wait = firstBackoff
			}
			last = url
			err = n.post(url, m.body)
		}
		if n.ctx.Err() != nil {
			return
		}
		log := log.With("host", hostOf(last))
		if err == nil {
			n.attempts.WithLabelValues(resultDelivered).Inc()
			if q.failing {
				log.Info("notifications are delivered again")
			}
			q.failing = false
			return
		}
		n.attempts.WithLabelValues(resultFailed).Inc()
		if !q.failing {
			log.Warn("notifications are not delivered", "error", err)
		}
		q.failing = true
		if n.o.Clock().Add(wait).Sub(m.made) > life {
			n.attempts.WithLabelValues(resultExpired).Inc()
			log.Warn("notification given up after an hour", "error", err)
			return
		}
		if n.pause(q, wait) != nil {
			return
		}
	}
}

// pause waits between attempts, at most until Hurry is called. It returns an error after Close.
func (n *Notifier) pause(q *queue, d time.Duration) error {
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	n.mu.Lock()
	q.hurry = cancel
	if q.hurried {
		cancel()
	}
	n.mu.Unlock()
	if ctx.Err() == nil {
		_ = n.o.sleep(ctx, d) // it does not matter whether it ended early
	}
	n.mu.Lock()
	q.hurry, q.hurried = nil, false
	n.mu.Unlock()
	return n.ctx.Err()
}

// hostOf returns the part of a URL that may be logged: the rest may be a secret.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// post makes one attempt.
func (n *Notifier) post(to string, body []byte) error {
	r, err := http.NewRequestWithContext(n.ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "weir")
	r.Header.Set(headerSignature, Signature(n.o.Key, n.o.Clock(), body))
	answer, err := n.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

// Signature returns the value of headerSignature.
func Signature(key []byte, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
