package server

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fails reads an answer that takes no media.
func (p *producer) fails(status int, code, message string) {
	p.t.Helper()
	got, h := p.header()
	length, err := strconv.Atoi(h.Get("Content-Length"))
	must(p.t, err)
	body := make([]byte, length)
	_, err = io.ReadFull(p.in, body)
	must(p.t, err)
	answer{got, http.Header(h), string(body)}.fails(p.t, status, code, message)
}

// A request without any sign of a body has none (RFC 9112 section 6.3), so its media would be lost.
// HTTP/1.0 has no chunks.
func TestPutMediaNeedsABody(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	for _, version := range []string{
		"HTTP/1.0", "HTTP/1.0\r\nTransfer-Encoding: chunked", "HTTP/1.1",
	} {
		s.dialAs(version, "cam1").fails(400, "InvalidArgumentException", "no body")
	}
	now := time.Now().Add(-5 * time.Second).UnixMilli()
	body := newCamera(t).cluster(now, 25, 100).endOfFragment().take()
	p := s.dialAs(fmt.Sprintf("HTTP/1.0\r\nContent-Length: %d", len(body)), "cam1")
	_, err := p.conn.Write(body)
	must(t, err)
	if status, _ := p.header(); status != 200 {
		t.Errorf("status %d", status)
	}
	acks, err := io.ReadAll(p.in)
	must(t, err)
	if !strings.Contains(string(acks), `"PERSISTED"`) {
		t.Errorf("acknowledgements %s", acks)
	}
}
