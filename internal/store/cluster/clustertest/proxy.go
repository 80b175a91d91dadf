package clustertest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy forwards connections to an address on loopback, well or badly.
type Proxy struct {
	to       string
	listener net.Listener

	mu      sync.Mutex
	changed chan struct{}     // closed when a field that follows changes
	delay   time.Duration     // of each piece of bytes; guarded by mu
	silent  bool              // nothing passes, nothing is closed; guarded by mu
	refuse  bool              // new connections are closed; guarded by mu
	open    map[net.Conn]Side // guarded by mu
}

// Side is an end of a connection.
type Side int

// Client is who connected to the proxy, Server whom the proxy connected to.
const (
	Client Side = iota
	Server
)

// NewProxy starts a proxy, which ends with the test.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{to: to, listener: l, changed: make(chan struct{}), open: map[net.Conn]Side{}}
	t.Cleanup(func() {
		_ = l.Close()
		p.Silence(false)
		p.Drop()
	})
	go p.accept()
	return p
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Delay delays each piece of bytes by a time, in both directions.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Silence makes connections half open: they stay open, but nothing passes until it is switched off.
func (p *Proxy) Silence(on bool) { p.set(func() { p.silent = on }) }

// Refuse closes every new connection at once.
func (p *Proxy) Refuse(on bool) { p.set(func() { p.refuse = on }) }

// Drop closes every connection.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

// HalfClose closes every connection in one direction: that side reads the end, and may still send.
func (p *Proxy) HalfClose(towards Side) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, side := range p.open {
		if tcp, ok := c.(*net.TCPConn); ok && side == towards {
			_ = tcp.CloseWrite()
		}
	}
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.pass(from)
	}
}

func (p *Proxy) pass(from net.Conn) {
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		_ = from.Close()
		return
	}
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = from.Close()
		return
	}
	p.mu.Lock()
	p.open[from], p.open[to] = Client, Server
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(to, from) })
	both.Go(func() { p.copy(from, to) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range []net.Conn{from, to} {
		_ = c.Close()
		delete(p.open, c)
	}
}

// copy forwards bytes in one direction, and then closes only that direction.
func (p *Proxy) copy(to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.hold()
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok && err == io.EOF {
				_ = tcp.CloseWrite()
			} else {
				_ = to.Close()
			}
			return
		}
	}
}

// hold waits while bytes are held back.
func (p *Proxy) hold() {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	for {
		p.mu.Lock()
		silent, changed := p.silent, p.changed
		p.mu.Unlock()
		if !silent {
			return
		}
		<-changed
	}
}
