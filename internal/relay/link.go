package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"weir/internal/live"
	"weir/internal/store"
)

// link follows a stream at one node that receives it. It belongs to one goroutine, except ready.
type link struct {
	relay    *Relay
	stream   store.StreamID
	receiver Receiver
	leave    context.CancelFunc
	left     bool // it was told to end; guarded by Relay.mu

	ready   chan struct{} // closed once everything that was there has come, or cannot come
	settled sync.Once

	incoming map[store.Number]*incoming
	lost     time.Time // since when there is no connection; zero: there is one
	gone     bool      // the process at the other end is not there any more
	failing  bool      // its failure was logged
	buf      []byte
}

// Errors of a connection.
var (
	errGone    = errors.New("another process is at the node's address")
	errRefused = errors.New("the node takes no calls of this one: their keys, or clocks, differ")
	errSilent  = errors.New("nothing comes from the node")
)

// Pauses between connections to a node.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 5 * time.Second
	// to a node that does not know this version of the calls
	otherVersionPause = 30 * time.Second
)

// lostTime is how long to wait for the rest of a fragment if its node sends heartbeats but cannot
// be reached. A fragment takes longer only if its producer is slower than its media.
const lostTime = 2 * time.Minute

// newClient makes the client of calls to other nodes. Certificates are not checked: they are for
// the name that clients use, not for the address of a node. The answer is sealed with the nodes'
// key within TLS.
func newClient(o *Options) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: o.Dial, DisableCompression: true, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12,
				InsecureSkipVerify: true},
			TLSHandshakeTimeout: o.silence, ResponseHeaderTimeout: o.silence,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// run follows until ctx ends. While there is no connection, it looks in the store for the fragments
// that were coming in.
func (l *link) run(ctx context.Context) {
	defer l.close(ctx)
	l.relay.o.Metrics.streams.Inc()
	defer l.relay.o.Metrics.streams.Dec()
	var pause time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		err := l.connect(ctx)
		l.settle()
		if ctx.Err() != nil {
			return
		}
		l.failed(err)
		if time.Since(began) > l.relay.o.linger {
			pause = 0
		}
		l.await(ctx, pause)
		pause = min(max(2*pause, firstPause), lastPause)
		if errors.Is(err, errVersion) {
			pause = otherVersionPause
		}
	}
}

// failed notes that a connection ended or could not be made.
func (l *link) failed(err error) {
	if l.lost.IsZero() {
		l.lost = time.Now()
	}
	l.gone = errors.Is(err, errGone) || errors.Is(err, syscall.ECONNREFUSED)
	for _, f := range l.incoming {
		f.here = false
	}
	reason := errorBroken
	if errors.Is(err, errSilent) {
		reason = errorSilent
	}
	l.relay.o.Metrics.errors.WithLabelValues(reason).Inc()
	log := l.relay.log.Debug // a node that ends, or has another version, is no fault
	if !l.failing && !l.gone && (errors.Is(err, errRefused) || errors.Is(err, errSealed) ||
		errors.Is(err, errMessage)) {
		l.failing, log = true, l.relay.log.Warn
	}
	log("a stream is not followed frame by frame", "stream", l.stream,
		"node", l.receiver.Address, "error", err)
}

// await waits for a while, and meanwhile looks how the fragments have ended.
func (l *link) await(ctx context.Context, pause time.Duration) {
	done := time.NewTimer(pause)
	defer done.Stop()
	for {
		l.look(ctx, l.gone || time.Since(l.lost) > lostTime)
		next := time.NewTimer(l.relay.o.poll)
		select {
		case <-ctx.Done():
		case <-done.C:
		case <-next.C:
			continue
		}
		next.Stop()
		return
	}
}

// look looks in the store for the fragments that do not come on the current connection. over says
// that no more of them will come: one that is not stored has then broken off.
func (l *link) look(ctx context.Context, over bool) {
	for _, f := range l.incoming {
		if f.here {
			continue
		}
		info, err := l.relay.o.Nodes.Fragment(ctx, l.stream, f.number)
		switch {
		case err == nil:
			l.finish(f, live.End{Stored: true, Info: info})
		case errors.Is(err, store.ErrNotFound) && over:
			l.finish(f, live.End{})
		}
	}
}

// caughtUp says that the node has announced everything that it receives.
func (l *link) caughtUp() {
	l.lost, l.gone, l.failing = time.Time{}, false, false
	l.settle()
}

func (l *link) settle() {
	l.settled.Do(func() {
		close(l.ready)
		l.relay.linkReady(l.stream)
	})
}

// close ends the remaining fragments when nobody follows any more or the node does not receive the
// stream.
func (l *link) close(ctx context.Context) {
	l.settle()
	for _, f := range l.incoming {
		f.here = false
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.relay.o.silence)
	defer cancel()
	l.look(last, true)
	for _, f := range l.incoming { // the store did not say
		l.finish(f, live.End{})
	}
}

// connect follows over one connection until it ends.
func (l *link) connect(ctx context.Context) error {
	r := l.relay
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(r.o.silence, func() { cancel(errSilent) })
	defer watch.Stop()
	c := &call{stream: l.stream, from: r.o.Nodes.Node(), to: l.receiver.Node,
		millis: time.Now().UnixMilli(), nonce: newNonce()}
	resp, nonce, err := l.call(ctx, c)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close()
	came := func(n int) {
		watch.Reset(r.o.silence)
		r.o.Metrics.received.Add(float64(n))
	}
	open := &opener{r: bufio.NewReader(resp.Body), aead: answerCipher(r.o.Key, c, nonce),
		came: came}
	return cause(ctx, l.feed(ctx, bufio.NewReaderSize(open, pieceSize)))
}

// cause returns why a connection ended.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// call asks the node, and returns its answer, which has begun, and its nonce.
func (l *link) call(ctx context.Context, c *call) (*http.Response, []byte, error) {
	address := l.receiver.Address + Path + "?" +
		url.Values{streamParameter: {string(c.stream)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", c.authorization(l.relay.o.Key))
	resp, err := l.relay.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	nonce, bad := base64url.DecodeString(resp.Header.Get(nonceHeader))
	switch {
	case resp.StatusCode == http.StatusOK && bad == nil && len(nonce) == nonceSize:
		return resp, nonce, nil
	case resp.StatusCode == http.StatusUnauthorized:
		err = errRefused
	case resp.StatusCode == http.StatusMisdirectedRequest:
		err = errGone
	default: // a version before there were such calls knows no such path
		err = fmt.Errorf("%w: status %d", errVersion, resp.StatusCode)
	}
	_ = resp.Body.Close() // nothing of it is read
	return nil, nil, err
}
