package fragments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
)

// Names of the tags that the service puts around a fragment's cluster (docs/reference/service.md,
// "GetMedia output").
const (
	tagFragmentNumber    = "AWS_KINESISVIDEO_FRAGMENT_NUMBER"
	tagServerTimestamp   = "AWS_KINESISVIDEO_SERVER_TIMESTAMP"
	tagProducerTimestamp = "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"
	tagMillisBehindNow   = "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"
	tagContinuation      = "AWS_KINESISVIDEO_CONTINUATION_TOKEN"
	tagErrorCode         = "AWS_KINESISVIDEO_ERROR_CODE"
	tagErrorID           = "AWS_KINESISVIDEO_ERROR_ID"
	tagExceptionCode     = "AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE"
	tagExceptionMessage  = "AWS_KINESISVIDEO_EXCEPTION_MESSAGE"
)

// chunkError is an error that an answer has in place of a fragment: its name and id of M-MD,
// GetMediaOutput, or of js2#3217, and a text for people.
type chunkError struct{ name, id, text string }

var (
	errChunkNotFound = chunkError{"FRAGMENT_NOT_FOUND", "3000",
		"The fragment is not stored, or past retention."}
	errChunkInternal = chunkError{"INTERNAL_ERROR", "5000", "The stored fragment is damaged."}
)

// chunkBytes is the size of the buffer for a chunk, and of one write. net/http sends the first 4 KB
// of each write in a system call of its own: writes of 64 KB cost a tenth more, writes of 256 KB
// hardly less.
const chunkBytes = 128 << 10

// windowBytes is how much is read ahead of one run. Frames of at least a quarter of it are read
// straight to their destination.
const windowBytes = 16 << 10

// chunkBuffer is the memory that a chunk is written through. A connection has one only while it
// writes.
type chunkBuffer struct {
	out     [chunkBytes]byte
	windows [api.MaxTracks][windowBytes]byte
}

var chunkBuffers = sync.Pool{New: func() any { return new(chunkBuffer) }}

// chunkWriter writes fragments as GetMedia and GetMediaForFragmentList answer them, each a Matroska
// document of its own: the producer's header, the service's tags, the document's and the fragment's
// own tags, the cluster, and for GetMedia the tags about its place in the stream.
//
// Segment and cluster have unknown sizes. So ffmpeg and mkvtoolnix, which go on at the next
// cluster, read one document after the other as if they were one.
type chunkWriter struct {
	service *Service
	stream  *store.Stream
	w       io.Writer

	header []byte // the producer's header of the chunk before
	doc    mkv.Document

	buffer *chunkBuffer // while a chunk is written
	n      int          // bytes of buffer.out

	// when the fragment's first cluster and the current one start, in units of the document's scale
	first, cluster int64
}

// fragment writes the chunk of a fragment, with the tags of GetMedia at its end if behind is set.
//
// The error is an errUnwritten if no byte of the chunk was written. After any other error the
// answer can only be broken off.
func (c *chunkWriter) fragment(ctx context.Context, f *store.FragmentInfo, behind bool) error {
	m, err := c.service.store.Open(ctx, c.stream.ID, *f)
	if err != nil {
		return &errUnwritten{err}
	}
	defer m.Close() // it is only read from: nothing can be lost
	fragment := m.Fragment()
	runs := make([]runReader, len(fragment.Runs))
	for i := range runs {
		payload, err := m.Payload(i)
		if err != nil {
			return &errUnwritten{err}
		}
		runs[i] = newRunReader(fragment, i, payload)
	}
	if err := c.document(fragment); err != nil {
		return &errUnwritten{err}
	}
	c.open()
	defer c.close()
	head := c.start(f)
	if len(fragment.Tags) > 0 {
		head = mkv.AppendTags(head, fragment.Tags)
	}
	if err := c.write(c.begin(head, f.ProducerTimestamp)); err != nil {
		return err
	}
	if err := c.frames(runs); err != nil {
		return fmt.Errorf("fragment %d: %w", f.Number, err)
	}
	if behind {
		if err := c.write(c.end(f)); err != nil {
			return err
		}
	}
	return c.flush()
}

// end returns what follows the cluster in an answer of GetMedia.
func (c *chunkWriter) end(f *store.FragmentInfo) []byte {
	late := max(0, c.service.clock().UnixMilli()-f.ServerTimestamp)
	return mkv.AppendTags(nil, []media.Tag{
		{Name: tagMillisBehindNow, Value: fmt.Sprint(late)},
		{Name: tagContinuation, Value: c.stream.FormatNumber(f.Number)},
	})
}

// errUnwritten is an error before the first byte of a chunk.
type errUnwritten struct{ err error }

func (e *errUnwritten) Error() string { return e.err.Error() }
func (e *errUnwritten) Unwrap() error { return e.err }

// document parses the producer's header, unless it is that of the chunk before. If there is none,
// it makes one of the tracks.
func (c *chunkWriter) document(f *media.Fragment) error {
	header := f.Header
	if len(header) == 0 {
		var b bytes.Buffer
		if err := mkv.NewWriter(&b).WriteHeader(mkv.Header{Tracks: f.Tracks}); err != nil {
			return err
		}
		header = b.Bytes()
	}
	if bytes.Equal(c.header, header) {
		return nil
	}
	doc, err := mkv.ParseDocument(header)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	c.header, c.doc = header, doc
	return nil
}

// start returns what precedes a fragment's own tags. Tags of the document follow the service's: a
// public client thinks that tags before the first fragment number belong to another fragment
// (docs/reference/service.md, "GetMedia output").
func (c *chunkWriter) start(f *store.FragmentInfo) []byte {
	seconds := func(ms int64) string { return string(api.AppendTimestamp(nil, api.Timestamp(ms))) }
	head := mkv.AppendTags(slices.Clip(c.doc.Start), []media.Tag{
		{Name: tagFragmentNumber, Value: c.stream.FormatNumber(f.Number)},
		{Name: tagServerTimestamp, Value: seconds(f.ServerTimestamp)},
		{Name: tagProducerTimestamp, Value: seconds(f.ProducerTimestamp)},
	})
	return append(head, c.doc.Tags...)
}

// errorDocument is the header of an answer in place of a fragment, as js2#3217 shows it.
var errorDocument = []byte("\x1A\x45\xDF\xA3\x93\x42\x82\x88matroska" +
	"\x42\x87\x81\x02\x42\x85\x81\x02" +
	"\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF")

// failure writes the chunk of a fragment that cannot be sent. It has both pairs of tags: those seen
// in the field, and those of the service model's text.
func (c *chunkWriter) failure(n store.Number, e chunkError) error {
	c.open()
	defer c.close()
	err := c.write(mkv.AppendTags(slices.Clip(errorDocument), []media.Tag{
		{Name: tagFragmentNumber, Value: c.stream.FormatNumber(n)},
		{Name: tagErrorCode, Value: e.name},
		{Name: tagErrorID, Value: e.id},
		{Name: tagExceptionCode, Value: e.id},
		{Name: tagExceptionMessage, Value: e.text},
	}))
	if err != nil {
		return err
	}
	return c.flush()
}

func (c *chunkWriter) open() { c.buffer, c.n = chunkBuffers.Get().(*chunkBuffer), 0 }

func (c *chunkWriter) close() {
	chunkBuffers.Put(c.buffer)
	c.buffer = nil
}

func (c *chunkWriter) flush() error {
	if c.n == 0 {
		return nil
	}
	_, err := c.w.Write(c.buffer.out[:c.n])
	c.n = 0
	return err
}

func (c *chunkWriter) write(b []byte) error {
	for len(b) > 0 {
		if c.n == chunkBytes {
			if err := c.flush(); err != nil {
				return err
			}
		}
		k := copy(c.buffer.out[c.n:], b)
		c.n += k
		b = b[k:]
	}
	return nil
}

// begin appends the head of a fragment's cluster.
func (c *chunkWriter) begin(head []byte, producerTimestamp int64) []byte {
	c.first = max(0, producerTimestamp) * 1_000_000 / c.doc.TimestampScale
	c.cluster = c.first
	return mkv.AppendCluster(head, c.cluster)
}

// block writes the head of a block. Its time, rel, counts from the fragment's first cluster. If 16
// bits cannot hold that, because the producer's scale is very fine, another cluster begins.
func (c *chunkWriter) block(track int, rel int64, key bool, size int) error {
	at := c.first + rel - c.cluster
	if at < math.MinInt16 || at > math.MaxInt16 {
		c.cluster = max(0, c.first+rel)
		if err := c.write(mkv.AppendCluster(nil, c.cluster)); err != nil {
			return err
		}
		at = max(c.first+rel-c.cluster, math.MinInt16) // of a time before 1970
	}
	if chunkBytes-c.n < mkv.MaxBlockHead {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.n = len(mkv.AppendBlock(c.buffer.out[:c.n], track, int16(at), key, size))
	return nil
}

// frames writes the blocks of all runs in order of their decode times.
func (c *chunkWriter) frames(runs []runReader) error {
	for i := range runs {
		if i < len(c.buffer.windows) {
			runs[i].room = c.buffer.windows[i][:]
		}
	}
	for {
		r := earliest(runs)
		if r == nil {
			return nil
		}
		frame, rel := r.frame(c.doc.TimestampScale)
		if err := c.block(r.run.Track, rel, frame.Key, int(frame.Size)); err != nil {
			return err
		}
		for left := int(frame.Size); left > 0; {
			if c.n == chunkBytes {
				if err := c.flush(); err != nil {
					return err
				}
			}
			k := min(left, chunkBytes-c.n)
			if err := r.read(c.buffer.out[c.n : c.n+k]); err != nil {
				return err
			}
			c.n, left = c.n+k, left-k
		}
	}
}

// runReader goes through the frames of a run.
type runReader struct {
	run     *media.Run
	payload store.Range
	scale   int64 // ticks of the track's timescale per second
	// decode time of the next frame, and presentation time of the access unit before it:
	// thousandths of ticks since the fragment's producer timestamp
	decode, shown int64
	next          int // index of the next frame

	offset int64  // of the first byte of the payload that was not read yet
	room   []byte // for reading ahead; may be empty
	ahead  []byte // what was read ahead
}

func newRunReader(f *media.Fragment, i int, payload store.Range) runReader {
	r := runReader{run: &f.Runs[i], payload: payload, scale: 1000}
	if t := f.Track(r.run.Track); t != nil && t.Timescale > 0 {
		r.scale = int64(t.Timescale)
	}
	r.decode = r.run.BaseDecodeTime*1000 - f.ProducerTimestamp*r.scale
	return r
}

// earliest returns the run whose next frame is decoded first, nil at the end of all runs.
func earliest(runs []runReader) *runReader {
	var first *runReader
	for i := range runs {
		r := &runs[i]
		if r.next == len(r.run.Frames) {
			continue
		}
		if first == nil || r.decode*first.scale < first.decode*r.scale {
			first = r
		}
	}
	return first
}

// frame takes the next frame. It returns the time of its block relative to the fragment's, in units
// of unit nanoseconds. All blocks of an access unit have the same time.
func (r *runReader) frame(unit int64) (*media.Frame, int64) {
	f := &r.run.Frames[r.next]
	if f.Marks&media.Joined == 0 || r.next == 0 {
		r.shown = r.decode + int64(f.CompositionOffset)*1000
	}
	r.next++
	r.decode += int64(f.Duration) * 1000
	return f, int64(math.Round(float64(r.shown) * 1e6 / (float64(r.scale) * float64(unit))))
}

// skip skips the next n frames.
func (r *runReader) skip(n int) {
	for range min(n, len(r.run.Frames)-r.next) {
		f, _ := r.frame(1)
		r.offset += int64(f.Size)
	}
}

// read fills dst with the next bytes of the run.
func (r *runReader) read(dst []byte) error {
	for len(dst) > 0 {
		if len(r.ahead) > 0 {
			n := copy(dst, r.ahead)
			dst, r.ahead = dst[n:], r.ahead[n:]
			continue
		}
		into, direct := dst, len(dst) >= len(r.room)/4
		if !direct {
			into = r.room[:min(int64(len(r.room)), r.payload.Size()-r.offset)]
		}
		if n, err := r.payload.ReadAt(into, r.offset); n < len(into) || n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		r.offset += int64(len(into))
		if direct {
			return nil
		}
		r.ahead = into
	}
	return nil
}
