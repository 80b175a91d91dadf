package server

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"weir/internal/negotiate"
)

// gzipAtLeast is the size in bytes from which a playlist is compressed. Smaller ones fit into one
// packet anyway.
const gzipAtLeast = 1400

// headerValue is a header's value that many answers share. Nobody changes it.
type headerValue []string

var (
	contentNosniff = headerValue{"nosniff"}
	contentRanges  = headerValue{"bytes"}
)

// rangeWriter is an answer that is read from where it is stored while it is sent.
type rangeWriter interface {
	// WriteRange writes length bytes from an offset on. It is called at most once.
	WriteRange(w io.Writer, from, length int64) error
}

// content is an answer of playback: some bytes in memory, or media.
type content struct {
	contentType  headerValue
	cacheControl headerValue
	text         []byte      // all of it, when there is no media
	media        rangeWriter // may be nil
	length       int64       // bytes of media
	close        func()      // frees media, may be nil
	compressible bool        // text: gzip is offered
	// returns the compressed text, if it is kept; nil: each answer compresses it
	zipped func() []byte
	ranges bool   // Range requests are honoured
	etag   string // strong validator, quoted; "": none
	// media may take very long: its time limit is for each piece
	paced bool
}

// send writes the answer, the part of it that a Range header asks for, or for HEAD only its header.
// A slow client gets time for a large answer, one that is stuck does not.
func (c *content) send(w http.ResponseWriter, r *http.Request) error {
	if c.close != nil {
		defer c.close()
	}
	total := c.length
	if c.media == nil {
		total = int64(len(c.text))
	}
	control := http.NewResponseController(w)
	if !c.paced {
		// only writers of tests lack deadlines
		_ = control.SetWriteDeadline(answerDeadline(total))
	}
	h := w.Header()
	h["Content-Type"] = c.contentType
	h["Cache-Control"] = c.cacheControl
	h["X-Content-Type-Options"] = contentNosniff
	if c.compressible {
		h.Set("Vary", "Accept-Encoding")
		if len(c.text) >= gzipAtLeast && negotiate.Gzip(r.Header.Get("Accept-Encoding")) {
			if err := c.compress(); err != nil {
				return err
			}
			h.Set("Content-Encoding", "gzip")
			total = int64(len(c.text))
		}
	}
	if c.etag != "" {
		h.Set("ETag", c.etag)
		if status := c.precondition(r); status != 0 {
			h.Del("Content-Type")
			w.WriteHeader(status)
			return nil
		}
	}
	from, length, status := c.part(h, r, total)
	if status == http.StatusRequestedRangeNotSatisfiable {
		h.Del("Cache-Control")
		h.Del("Content-Type")
		h.Set("Content-Length", "0")
		w.WriteHeader(status)
		return nil
	}
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	if c.media == nil {
		_, err := w.Write(c.text[from : from+length])
		return err
	}
	var to io.Writer = w
	if r.TLS == nil {
		to = fileSender{w}
	}
	if c.paced {
		to = pacedWriter{to, control}
	}
	if err := c.media.WriteRange(to, from, length); err != nil {
		return fmt.Errorf("send media: %w", err)
	}
	return nil
}

// part returns which of total bytes a request asks for, and the status of such an answer. It sets
// the headers about ranges.
func (c *content) part(
	h http.Header, r *http.Request, total int64,
) (from, length int64, status int) {
	if !c.ranges {
		return 0, total, http.StatusOK
	}
	h["Accept-Ranges"] = contentRanges
	// A range on condition of another validator is ignored (RFC 9110 section 13.1.5).
	spec, condition := r.Header.Get("Range"), r.Header.Get("If-Range")
	if spec == "" || r.Method != http.MethodGet || condition != "" && condition != c.etag {
		return 0, total, http.StatusOK
	}
	from, length, ok, satisfiable := parseRange(spec, total)
	switch {
	case !ok:
		return 0, total, http.StatusOK
	case !satisfiable:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", total))
		return 0, 0, http.StatusRequestedRangeNotSatisfiable
	}
	h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+length-1, total))
	return from, length, http.StatusPartialContent
}

// precondition returns the status that the conditions of a request demand in place of the answer, 0
// for none (RFC 9110 section 13.2.2).
func (c *content) precondition(r *http.Request) int {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return 0
	}
	if match := r.Header.Get("If-Match"); match != "" && !c.listed(match, false) {
		return http.StatusPreconditionFailed
	}
	if c.listed(r.Header.Get("If-None-Match"), true) {
		return http.StatusNotModified
	}
	return 0
}

// listed reports whether a condition's list of tags has this answer's, or is "*" (RFC 9110 sections
// 13.1.1 and 13.1.2). With weak, weak tags count as strong ones.
func (c *content) listed(tags string, weak bool) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		tag = strings.TrimSpace(tag)
		if weak {
			tag = strings.TrimPrefix(tag, "W/")
		}
		if tag == "*" || tag == c.etag {
			return true
		}
	}
	return false
}

// fileSender lets net/http pass a file to the kernel, which it does when its ReadFrom gets a
// limited file and the header has left. While the header is in a buffer, net/http would read the
// first bytes itself to sniff their type.
type fileSender struct{ http.ResponseWriter }

// ReadFrom implements io.ReaderFrom, which io.Copy calls with files.
func (w fileSender) ReadFrom(src io.Reader) (int64, error) {
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
		return 0, err
	}
	return io.Copy(w.ResponseWriter, src)
}

func (c *content) compress() error {
	if c.zipped != nil {
		c.text = c.zipped()
		return nil
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(c.text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	c.text = out.Bytes()
	return nil
}

// parseRange reads a Range header of one byte range (RFC 9110 section 14.1.2). ok is false when it
// is to be ignored: another unit, several ranges, or bad syntax. satisfiable is false when none of
// total bytes is in it.
func parseRange(spec string, total int64) (from, length int64, ok, satisfiable bool) {
	unit, set, found := strings.Cut(spec, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") ||
		strings.Contains(set, ",") {
		return 0, 0, false, false
	}
	first, last, found := strings.Cut(strings.TrimSpace(set), "-")
	if !found || first == "" && last == "" {
		return 0, 0, false, false
	}
	if first == "" { // the last so many bytes
		n, ok := position(last)
		length = min(n, total)
		return total - length, length, ok, length > 0
	}
	from, ok = position(first)
	end := total - 1
	if ok && last != "" {
		var given int64
		given, ok = position(last)
		ok = ok && given >= from
		end = min(given, end)
	}
	if !ok || from >= total {
		return 0, 0, ok, false
	}
	return from, end - from + 1, true, true
}

// position reads a position or a length of a Range header; one beyond every answer is as far as can
// be counted. ok is false when it is not a number.
func position(text string) (n int64, ok bool) {
	if strings.ContainsFunc(text, func(c rune) bool { return c < '0' || c > '9' }) || text == "" {
		return 0, false
	}
	n, _ = strconv.ParseInt(text, 10, 64) // out of range: the greatest
	return n, true
}
