package server

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"sync"
	"testing"
	"time"
)

// The frames of HTTP/2 for a client that does what net/http's cannot (RFC 9113 section 6).
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	frameGoAway       = 7
	frameWindowUpdate = 8

	flagEndStream  = 1
	flagAck        = 1 // of SETTINGS
	flagEndHeaders = 4
)

type http2Frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// http2Conn is a client's connection to the listener for players.
type http2Conn struct {
	t    *testing.T
	conn *tls.Conn
	mu   sync.Mutex // of writing
}

// dialHTTP2 opens a connection whose streams may get so many bytes before the client allows more.
func (s *site) dialHTTP2(window uint32) *http2Conn {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.players,
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	must(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	must(s.t, conn.SetDeadline(time.Now().Add(patience)))
	c := &http2Conn{t: s.t, conn: conn}
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	must(s.t, err)
	const initialWindowSize = 4
	must(s.t, c.write(frameSettings, 0, 0,
		binary.BigEndian.AppendUint32([]byte{0, initialWindowSize}, window)))
	return c
}

func (c *http2Conn) write(kind, flags byte, stream uint32, payload []byte) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), stream)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.conn.Write(append(head, payload...))
	return err
}

// headerBlock is the header section of a GET (RFC 7541): fields from the static table, and paths
// without compression.
func headerBlock(path string) []byte {
	const get, https, pathName, authorityName = 0x82, 0x87, 0x04, 0x01
	block := []byte{get, https, pathName}
	const prefix = 127 // of a length (RFC 7541 section 5.1)
	if n := len(path); n < prefix {
		block = append(block, byte(n))
	} else {
		block = binary.AppendUvarint(append(block, prefix), uint64(n-prefix))
	}
	block = append(block, path...)
	return append(block, authorityName, 1, 'x')
}

func (c *http2Conn) request(stream uint32, path string) {
	c.t.Helper()
	must(c.t, c.write(frameHeaders, flagEndHeaders|flagEndStream, stream, headerBlock(path)))
}

// window allows the server to send more: on a stream, or on all of them (0).
func (c *http2Conn) window(stream, more uint32) {
	c.t.Helper()
	must(c.t, c.write(frameWindowUpdate, 0, stream, binary.BigEndian.AppendUint32(nil, more)))
}

// next reads a frame, and answers those that need an answer.
func (c *http2Conn) next() http2Frame {
	c.t.Helper()
	var head [9]byte
	_, err := io.ReadFull(c.conn, head[:])
	must(c.t, err)
	f := http2Frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]),
		payload: make([]byte, binary.BigEndian.Uint32(head[:])>>8)}
	_, err = io.ReadFull(c.conn, f.payload)
	must(c.t, err)
	if f.kind == frameSettings && f.flags&flagAck == 0 {
		must(c.t, c.write(frameSettings, flagAck, 0, nil))
	}
	return f
}

// until reads up to a frame of a stream.
func (c *http2Conn) until(kind byte, stream uint32) http2Frame {
	c.t.Helper()
	for {
		if f := c.next(); f.kind == kind && f.stream == stream {
			return f
		}
	}
}
