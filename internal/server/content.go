package server

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// gzipAtLeast is the size in bytes from which a playlist is worth compressing: smaller ones fit into one packet anyway.
const gzipAtLeast = 1400

// headerValue is the value of a header that many answers have; nobody changes it.
type headerValue []string

var (
	contentNosniff = headerValue{"nosniff"}
	contentRanges  = headerValue{"bytes"}
)

// content is an answer of playback: a few bytes made for it, then possibly many straight from where they are stored.
type content struct {
	contentType  headerValue
	cacheControl headerValue
	head         []byte        // sent first
	body         io.Reader     // sent after head, nil for none; a file goes to the connection without being copied
	bodyLength   int64         // bytes of body
	close        func()        // frees body, may be nil
	compressible bool          // text: gzip is offered
	zipped       func() []byte // gives head compressed, where that is kept; nil: it is compressed for each answer
	ranges       bool          // media: Range requests are honoured
}

// send writes the answer, the part of it that a Range header asks for, or only its header for HEAD. A slow client gets time for a
// large one, a stuck one does not.
func (c *content) send(w http.ResponseWriter, r *http.Request) error {
	if c.close != nil {
		defer c.close()
	}
	total := int64(len(c.head)) + c.bodyLength
	_ = http.NewResponseController(w).SetWriteDeadline( // only writers of tests have no deadlines
		time.Now().Add(answerTimeout + time.Duration(total/slowestClient)*time.Second))
	h := w.Header()
	h["Content-Type"] = c.contentType
	h["Cache-Control"] = c.cacheControl
	h["X-Content-Type-Options"] = contentNosniff
	if c.compressible {
		h.Set("Vary", "Accept-Encoding")
		if len(c.head) >= gzipAtLeast && acceptsGzip(r.Header.Get("Accept-Encoding")) {
			if err := c.compress(); err != nil {
				return err
			}
			h.Set("Content-Encoding", "gzip")
			total = int64(len(c.head))
		}
	}
	from, length, status := int64(0), total, http.StatusOK
	if c.ranges {
		h["Accept-Ranges"] = contentRanges
		// There is no validator to compare If-Range with, so a range that depends on one is not taken (RFC 9110 section 13.1.5).
		if spec := r.Header.Get("Range"); spec != "" && r.Header.Get("If-Range") == "" && r.Method == http.MethodGet {
			var ok, satisfiable bool
			from, length, ok, satisfiable = parseRange(spec, total)
			switch {
			case !ok:
				from, length = 0, total
			case !satisfiable:
				h.Set("Content-Range", fmt.Sprintf("bytes */%d", total))
				h.Del("Cache-Control")
				h.Del("Content-Type")
				h.Set("Content-Length", "0")
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return nil
			default:
				status = http.StatusPartialContent
				h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+length-1, total))
			}
		}
	}
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	return c.write(w, from, length, r.TLS == nil)
}

// write sends length bytes of head and body, starting at from. sendfile tells that the connection can take a file from the kernel.
func (c *content) write(w http.ResponseWriter, from, length int64, sendfile bool) error {
	if n := int64(len(c.head)); from < n {
		part := c.head[from:min(n, from+length)]
		if _, err := w.Write(part); err != nil {
			return err
		}
		length -= int64(len(part))
		from = n
	}
	if length == 0 || c.body == nil {
		return nil
	}
	body, err := section(c.body, from-int64(len(c.head)), length)
	if err == nil && sendfile {
		body, err = sendable(w, body)
	}
	if err != nil {
		return fmt.Errorf("send media: %w", err)
	}
	n, err := io.Copy(w, body)
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("send media: %d bytes of %d: %w", n, length, err)
	}
	return nil
}

// section returns a reader of length bytes of r, of which nothing was read, from the given offset. What is a section stays one.
func section(r io.Reader, from, length int64) (io.Reader, error) {
	if s, ok := r.(*io.SectionReader); ok {
		if length == s.Size() {
			return s, nil
		}
		under, begin, _ := s.Outer()
		return io.NewSectionReader(under, begin+from, length), nil
	}
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return nil, err
	}
	return io.LimitReader(r, length), nil
}

// sendable returns a section of a file in the form in which net/http hands it to the kernel: a limited file, sent from its own offset.
// With the header still in a buffer net/http would read the first bytes itself, to look what they are.
func sendable(w http.ResponseWriter, body io.Reader) (io.Reader, error) {
	s, ok := body.(*io.SectionReader)
	if !ok {
		return body, nil
	}
	under, begin, length := s.Outer()
	file, ok := under.(*os.File)
	if !ok {
		return body, nil
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil, err
	}
	if _, err := file.Seek(begin, io.SeekStart); err != nil {
		return nil, err
	}
	return &io.LimitedReader{R: file, N: length}, nil
}

func (c *content) compress() error {
	if c.zipped != nil {
		c.head = c.zipped()
		return nil
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(c.head); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	c.head = out.Bytes()
	return nil
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110 section 12.5.3).
func acceptsGzip(header string) bool {
	for item := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			_, q, weighted := strings.Cut(params, "=")
			weight, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
			return !weighted || err == nil && weight > 0
		}
	}
	return false
}

// parseRange reads a Range header of one byte range (RFC 9110 section 14.1.2). ok is false when it is to be ignored: another
// unit, several ranges, or bad syntax. satisfiable is false when no byte of total is in it.
func parseRange(spec string, total int64) (from, length int64, ok, satisfiable bool) {
	unit, set, found := strings.Cut(spec, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(set, ",") {
		return 0, 0, false, false
	}
	first, last, found := strings.Cut(strings.TrimSpace(set), "-")
	if !found || first == "" && last == "" {
		return 0, 0, false, false
	}
	if first == "" { // the last so many bytes
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return 0, 0, false, false
		}
		length = min(int64(n), total)
		return total - length, length, true, length > 0
	}
	start, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, 0, false, false
	}
	end := uint64(total) - 1
	if last != "" {
		given, err := strconv.ParseUint(last, 10, 63)
		if err != nil || given < start {
			return 0, 0, false, false
		}
		end = min(given, end)
	}
	if int64(start) >= total {
		return 0, 0, true, false
	}
	return int64(start), int64(end-start) + 1, true, true
}
