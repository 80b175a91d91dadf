// Package webhook delivers short messages to HTTP servers that others chose: in order for each
// sender, again and again for an hour, signed, and to nobody outside of a list of networks. It
// keeps messages in memory, and loses those that are left when the process ends.
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

// HeaderSignature is the header of the signature: t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 of
// "SECONDS.BODY" under the key, and SECONDS the Unix time of the attempt.
const HeaderSignature = "X-Weir-Signature"

const (
	life         = time.Hour        // of a message, over all attempts
	firstBackoff = time.Second      // between attempts; it doubles
	lastBackoff  = 2 * time.Minute  // and grows to this
	patience     = 10 * time.Second // for an answer
	maxWaiting   = 10_000           // messages
	maxOfSender  = 1_000            // messages of one sender
)

// Options say how a Notifier works. Key is required.
type Options struct {
	Allow      []netip.Prefix // where messages may go; none: nowhere
	Key        []byte         // of the signatures
	Logger     *slog.Logger   // nil: none
	Registerer prometheus.Registerer
	Clock      func() time.Time // nil: time.Now

	sleep func(ctx context.Context, d time.Duration) error // of tests
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
	waits map[string][]message // by sender; the first one is being delivered
	count int
}

type message struct {
	url  string
	body []byte
	made time.Time
}

// Results of attempts, and of messages that had none.
const (
	resultDelivered = "delivered"
	resultFailed    = "failed"  // it is tried again
	resultExpired   = "expired" // an hour is over
	resultDropped   = "dropped" // too many wait
)

// New makes a Notifier, which works until Close. The error is that of the Registerer.
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
	n := &Notifier{o: o, waits: map[string][]message{},
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_notifications_total",
			Help: "Attempts to deliver notifications (delivered, failed), and notifications " +
				"given up after an hour (expired) or because too many wait (dropped).",
		}, []string{"result"}),
	}
	for _, result := range []string{resultDelivered, resultFailed, resultExpired, resultDropped} {
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

// errForbidden says that an address is outside of the list.
var errForbidden = errors.New("the address is not in a network that notifications may go to")

// control sees each address that is dialled, after names were resolved: none can lead elsewhere.
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

// Send delivers a message in the background, after those of the same sender. It never blocks; what
// is too much is dropped, and counted.
func (n *Notifier) Send(sender, url string, body []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	queue := n.waits[sender]
	if n.count >= maxWaiting || len(queue) >= maxOfSender || n.ctx.Err() != nil {
		n.attempts.WithLabelValues(resultDropped).Inc()
		return
	}
	n.count++
	n.waits[sender] = append(queue, message{url, body, n.o.Clock()})
	if len(queue) == 0 {
		n.done.Go(func() { n.serve(sender) })
	}
}

// Close gives up what is not delivered.
func (n *Notifier) Close() {
	n.mu.Lock()
	n.stop()
	n.mu.Unlock()
	n.done.Wait()
	n.client.CloseIdleConnections()
}

// serve delivers the messages of a sender until there are none.
func (n *Notifier) serve(sender string) {
	for {
		n.mu.Lock()
		queue := n.waits[sender]
		if len(queue) == 0 || n.ctx.Err() != nil {
			n.count -= len(queue)
			delete(n.waits, sender)
			n.mu.Unlock()
			return
		}
		m := queue[0]
		n.mu.Unlock()
		n.deliver(sender, m)
		n.mu.Lock()
		n.waits[sender] = n.waits[sender][1:]
		n.count--
		n.mu.Unlock()
	}
}

// deliver tries until it succeeds, or the message is too old.
func (n *Notifier) deliver(sender string, m message) {
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		err := n.post(m)
		if err == nil {
			n.attempts.WithLabelValues(resultDelivered).Inc()
			return
		}
		if n.ctx.Err() != nil {
			return
		}
		n.attempts.WithLabelValues(resultFailed).Inc()
		n.o.Logger.Debug("notification failed", "stream", sender, "host", hostOf(m.url),
			"error", err)
		if n.o.Clock().Add(wait).Sub(m.made) > life {
			n.attempts.WithLabelValues(resultExpired).Inc()
			n.o.Logger.Warn("notification given up after an hour", "stream", sender,
				"host", hostOf(m.url), "error", err)
			return
		}
		if n.o.sleep(n.ctx, wait) != nil {
			return
		}
	}
}

// hostOf is what the log may tell of a URL: the rest may be a secret.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// post makes one attempt.
func (n *Notifier) post(m message) error {
	r, err := http.NewRequestWithContext(n.ctx, http.MethodPost, m.url, bytes.NewReader(m.body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "weir")
	r.Header.Set(HeaderSignature, Signature(n.o.Key, n.o.Clock(), m.body))
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

// Signature is the value of HeaderSignature.
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
