package server

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// recorder notes the status of an answer and how many bytes its body has. It does not hide the
// connection: http.ResponseController finds the real writer by Unwrap, and ReadFrom passes a file
// on as it is, for sendfile(2).
type recorder struct {
	http.ResponseWriter
	status int                // 0 until the header was written
	bytes  int64              // body bytes
	live   prometheus.Counter // counts bytes while they are written; nil: when the answer has ended
}

var _ io.ReaderFrom = (*recorder)(nil)

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes a final status; 1xx answers pass.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (w *recorder) Write(p []byte) (int, error) {
	w.implicitOK()
	n, err := w.ResponseWriter.Write(p)
	w.count(int64(n))
	return n, err
}

// ReadFrom counts, and passes src itself to the real writer.
func (w *recorder) ReadFrom(src io.Reader) (int64, error) {
	w.implicitOK()
	var n int64
	var err error
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		n, err = rf.ReadFrom(src)
	} else {
		n, err = io.Copy(struct{ io.Writer }{w.ResponseWriter}, src)
	}
	w.count(n)
	return n, err
}

func (w *recorder) count(n int64) {
	w.bytes += n
	if w.live != nil {
		w.live.Add(float64(n))
	}
}

func (w *recorder) implicitOK() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}
