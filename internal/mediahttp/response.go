package mediahttp

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

const (
	maxHeld  = 16 << 10 // bytes of an answer that are kept back to be sent together
	keptHeld = 4 << 10  // of the buffer for them while the connection waits for its next request
)

// response is the http.ResponseWriter of a connection, for one request after the other. The header leaves together with what is
// written first, and with the beginning of the file that follows.
type response struct {
	c      *conn
	req    *http.Request
	header http.Header
	status int   // 0: not begun
	length int64 // Content-Length; -1: unknown
	sent   int64 // bytes of the body
	last   bool  // the connection is closed after this answer
	held   bytes.Buffer
	err    error // of the connection
}

// begin makes it ready for the answer to a request.
func (w *response) begin(req *http.Request) {
	header := w.header
	if header == nil {
		header = make(http.Header)
	}
	clear(header)
	held := w.held
	held.Reset()
	*w = response{c: w.c, req: req, header: header, length: -1, held: held}
}

// Header is the header to be sent.
func (w *response) Header() http.Header { return w.header }

// WriteHeader begins the answer. Interim answers (1xx) are not for requests that come here.
func (w *response) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	if text := w.header.Get("Content-Length"); text != "" {
		if n, err := strconv.ParseUint(text, 10, 63); err == nil {
			w.length = int64(n)
		} else {
			w.header.Del("Content-Length")
		}
	}
	bodiless := status == http.StatusNoContent || status == http.StatusNotModified
	if bodiless {
		w.length = 0
	}
	w.last = w.req.Close || w.length < 0 && w.req.Method != http.MethodHead || w.header.Get("Connection") == "close" || w.c.l.isStopping()
	if w.last {
		w.header.Set("Connection", "close")
	}
	w.held.WriteString("HTTP/1.1 ")
	w.held.WriteString(strconv.Itoa(status))
	w.held.WriteByte(' ')
	w.held.WriteString(http.StatusText(status))
	w.held.WriteString("\r\n")
	if w.header["Date"] == nil { // RFC 9110 section 6.6.1
		w.held.WriteString("Date: ")
		w.held.Write(time.Now().UTC().AppendFormat(w.held.AvailableBuffer(), http.TimeFormat))
		w.held.WriteString("\r\n")
	}
	_ = w.header.Write(&w.held) // a buffer takes everything
	w.held.WriteString("\r\n")
}

// take counts bytes of the body that are about to be sent: no more than were announced.
func (w *response) take(n int64) error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return http.ErrBodyNotAllowed
	}
	w.sent += n
	if w.length >= 0 && w.sent > w.length {
		return http.ErrContentLength
	}
	return w.err
}

// Write adds to the body. That of an answer to HEAD goes nowhere.
func (w *response) Write(p []byte) (int, error) {
	if err := w.take(int64(len(p))); err != nil {
		return 0, err
	}
	if w.req.Method == http.MethodHead {
		return len(p), nil
	}
	if w.held.Len()+len(p) <= maxHeld {
		return w.held.Write(p)
	}
	if err := w.push(true); err != nil {
		return 0, err
	}
	n, err := w.c.socket.Write(p)
	w.err = err
	return n, err
}

// ReadFrom adds to the body. A section of a file goes to the connection without being copied.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	section, _ := src.(*io.SectionReader)
	file, off, length := fileOf(section)
	if file == nil || w.req.Method == http.MethodHead {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if err := w.take(length); err != nil {
		return 0, err
	}
	if err := w.push(length > 0); err != nil {
		return 0, err
	}
	n, err := w.c.socket.SendFile(file, off, length)
	_, _ = section.Seek(n, io.SeekCurrent) // as if it had been read
	w.err = err
	return n, err
}

// fileOf gives what is still to be read of which file, if it is a section of one.
func fileOf(section *io.SectionReader) (f *os.File, off, length int64) {
	if section == nil {
		return nil, 0, 0
	}
	under, off, length := section.Outer()
	f, _ = under.(*os.File)
	read, _ := section.Seek(0, io.SeekCurrent)
	return f, off + read, length - read
}

// push sends what is held, with more to follow at once or not.
func (w *response) push(more bool) error {
	if w.err == nil && w.held.Len() > 0 {
		_, w.err = w.c.socket.Send(w.held.Bytes(), more)
		w.held.Reset()
	}
	return w.err
}

// SetWriteDeadline is for http.ResponseController. It holds until the next request sets its own.
func (w *response) SetWriteDeadline(t time.Time) error { return w.c.tcp.SetWriteDeadline(t) }

// SetReadDeadline is for http.ResponseController. There is no body to read.
func (w *response) SetReadDeadline(time.Time) error { return nil }

// end sends what is left and reports whether another answer can follow.
func (w *response) end() (more bool) {
	if w.status == 0 {
		w.header.Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	}
	err := w.push(false)
	// After an answer of another length than was announced the client would take the next one for the rest of it.
	whole := w.length < 0 || w.length == w.sent || w.req.Method == http.MethodHead
	w.req = nil
	if w.held.Cap() > keptHeld {
		w.held = bytes.Buffer{}
	}
	return err == nil && whole && !w.last
}
