package server

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/media"
	"weir/internal/mkv"
)

// producer is a PutMedia client on a raw connection, which sees what an HTTP library hides: when
// the answer begins, and what each chunk contains.
type producer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dial sends the header of a PutMedia request, without any of the body. An empty stream name is
// left out.
func (s *site) dial(stream string, headers ...string) *producer {
	s.t.Helper()
	return s.dialAs("HTTP/1.1\r\nTransfer-Encoding: chunked", stream, headers...)
}

// dialAs is dial with a version of HTTP, and the headers after it.
func (s *site) dialAs(version, stream string, headers ...string) *producer {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	must(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	must(s.t, conn.SetDeadline(time.Now().Add(patience)))
	// Host without port, as the C producers send it
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/putMedia", nil)
	must(s.t, err)
	if stream != "" {
		r.Header.Set("x-amzn-stream-name", stream)
	}
	r.Header.Set("x-amzn-fragment-timecode-type", "ABSOLUTE")
	r.Header.Set("x-amzn-producer-start-timestamp", "1795358519.803")
	r.Header.Set("x-amzn-fragment-acknowledgment-required", "1")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	s.signer.SignPutMedia(r)
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /putMedia %s\r\nHost: 127.0.0.1\r\n", version)
	must(s.t, r.Header.Write(&b))
	b.WriteString("\r\n")
	_, err = conn.Write(b.Bytes())
	must(s.t, err)
	return &producer{t: s.t, conn: conn, in: bufio.NewReader(conn)}
}

// header reads one header of an answer.
func (p *producer) header() (status int, h textproto.MIMEHeader) {
	p.t.Helper()
	in := textproto.NewReader(p.in)
	line, err := in.ReadLine()
	must(p.t, err)
	h, err = in.ReadMIMEHeader()
	must(p.t, err)
	status, err = strconv.Atoi(strings.Fields(line)[1])
	must(p.t, err)
	return status, h
}

// started reads the header of an answer that accepts media.
func (p *producer) started() {
	p.t.Helper()
	status, h := p.header()
	if status != 200 || h.Get("Transfer-Encoding") != "chunked" ||
		!requestID.MatchString(h.Get("x-amzn-RequestId")) {
		p.t.Fatalf("answer %d %v", status, h)
	}
}

// chunk reads one chunk of the answer, "" for the last one.
func (p *producer) chunk() string {
	p.t.Helper()
	line, err := p.in.ReadString('\n')
	must(p.t, err)
	size, err := strconv.ParseInt(strings.TrimSuffix(line, "\r\n"), 16, 32)
	must(p.t, err)
	data := make([]byte, size+2)
	_, err = io.ReadFull(p.in, data)
	must(p.t, err)
	if string(data[size:]) != "\r\n" {
		p.t.Fatalf("chunk %q does not end in a new line", data)
	}
	return string(data[:size])
}

type testAck struct {
	EventType        string
	FragmentTimecode int64
	FragmentNumber   string
	ErrorCode        string
	ErrorId          int
}

func (a testAck) String() string {
	if a.EventType == "ERROR" {
		return fmt.Sprintf("ERROR %d", a.ErrorId)
	}
	return fmt.Sprintf("%s %d", a.EventType, a.FragmentTimecode)
}

// ack reads a chunk, which must be exactly one acknowledgement.
func (p *producer) ack() testAck {
	p.t.Helper()
	text := p.chunk()
	var a testAck
	if err := json.Unmarshal([]byte(text), &a); err != nil || len(text) > 1024 {
		p.t.Fatalf("chunk %q is not one acknowledgement: %v", text, err)
	}
	return a
}

// until reads acknowledgements up to the one described by want, and returns all of them.
func (p *producer) until(want string) (all []string) {
	p.t.Helper()
	for {
		a := p.ack().String()
		all = append(all, a)
		if a == want {
			return all
		}
		if strings.HasPrefix(a, "ERROR") {
			p.t.Fatalf("waiting for %s got %v", want, all)
		}
	}
}

// send writes one chunk of the body.
func (p *producer) send(data []byte) {
	p.t.Helper()
	_, err := fmt.Fprintf(p.conn, "%x\r\n%s\r\n", len(data), data)
	must(p.t, err)
}

// end writes the last chunk, and wants the answer and the connection to end properly.
func (p *producer) end() {
	p.t.Helper()
	_, err := io.WriteString(p.conn, "0\r\n\r\n")
	must(p.t, err)
	p.ended()
}

func (p *producer) ended() {
	p.t.Helper()
	if last := p.chunk(); last != "" {
		p.t.Fatalf("more after the last acknowledgement: %q", last)
	}
	if rest, err := io.ReadAll(p.in); len(rest) > 0 ||
		err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Errorf("after the end of the answer: %q, %v", rest, err)
	}
}

// camera writes Matroska like a camera: a header, then clusters with given numbers of frames of 40
// ms.
type camera struct {
	t *testing.T
	b bytes.Buffer
	w *mkv.Writer
}

// avcC is that of a High profile 356x208 stream.
const avcC = "0164000cffe1001b6764000cacd94170879623011000000300" +
	"1000000301e0f142996001000768ebe3cb3002c0fdf8f800"

func newCamera(t *testing.T) *camera {
	c := &camera{t: t}
	c.w = mkv.NewWriter(&c.b)
	private, err := hex.DecodeString(avcC)
	must(t, err)
	must(t, c.w.WriteHeader(mkv.Header{
		SegmentUID: []byte("sixteen bytes id"),
		Tracks: []media.Track{
			{Number: 1, Kind: media.Video, CodecID: media.CodecAVC, CodecPrivate: private,
				Width: 356, Height: 208}},
	}))
	return c
}

func (c *camera) cluster(timecode int64, frames, size int) *camera {
	c.t.Helper()
	must(c.t, c.w.WriteCluster(timecode))
	return c.frames(timecode, 0, frames, size)
}

// frames writes more frames into the cluster at timecode, after so many.
func (c *camera) frames(timecode int64, after, frames, size int) *camera {
	c.t.Helper()
	frame := make([]byte, size)
	frame[0], frame[1], frame[2], frame[3] = byte((size-4)>>24), byte((size-4)>>16),
		byte((size-4)>>8), byte(size-4)
	for i := after; i < after+frames; i++ {
		frame[4] = 0x41
		if i == 0 {
			frame[4] = 0x65
		}
		must(c.t, c.w.WriteFrame(1, timecode+int64(i)*40, i == 0, frame))
	}
	return c
}

func (c *camera) endOfFragment() *camera {
	c.t.Helper()
	must(c.t, c.w.WriteTags([]media.Tag{{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}))
	return c
}

// take returns what was written since the last call.
func (c *camera) take() []byte {
	data := bytes.Clone(c.b.Bytes())
	c.b.Reset()
	return data
}

// newStreamSite is a site with the stream cam1, which keeps its media.
func newStreamSite(t *testing.T, change ...func(*Options)) *site {
	s := newSite(t, change...)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	return s
}

// Embedded producers send nothing of the body before they have the complete header of the answer.
func TestAnswerBeginsBeforeTheBody(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	p := s.dial("cam1")
	p.started()
	now := time.Now().UnixMilli()
	c := newCamera(t)
	p.send(c.cluster(now, 25, 100).take())
	p.until(fmt.Sprintf("BUFFERING %d", now))
	p.end2(now)
}

// end2 ends a body whose only cluster is the one at timecode.
func (p *producer) end2(timecode int64) {
	p.t.Helper()
	_, err := io.WriteString(p.conn, "0\r\n\r\n")
	must(p.t, err)
	p.until(fmt.Sprintf("PERSISTED %d", timecode))
	p.ended()
}

// A client without Expect sends at once, before it reads. Without full duplex, net/http would
// swallow the first 256 KB.
func TestBodySentBeforeReadingTheAnswerIsWhole(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	p := s.dial("cam1")
	c := newCamera(t)
	start := time.Now().Add(-25 * time.Second).UnixMilli()
	for i := range 25 {
		c.cluster(start+int64(i)*1000, 25, 670)
	}
	body := c.take()
	if len(body) < 419_000 {
		t.Fatalf("a body of %d bytes shows nothing", len(body))
	}
	for len(body) > 0 {
		n := min(len(body), 65_524)
		p.send(body[:n])
		body = body[n:]
	}
	_, err := io.WriteString(p.conn, "0\r\n\r\n")
	must(t, err)
	p.started()
	acks := p.until(fmt.Sprintf("PERSISTED %d", start+24_000))
	p.ended()
	for i := range 25 {
		for _, event := range []string{"BUFFERING", "RECEIVED", "PERSISTED"} {
			want := fmt.Sprintf("%s %d", event, start+int64(i)*1000)
			if strings.Count(strings.Join(acks, "\n")+"\n", want+"\n") != 1 {
				t.Errorf("%s: not exactly once in %d acknowledgements", want, len(acks))
			}
		}
	}
}

// The SDKs end a stream with a tag, keep the body open, and wait for PERSISTED.
func TestEndOfFragmentIsPersistedWhileTheBodyStaysOpen(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	p := s.dial("cam1")
	p.started()
	now := time.Now().UnixMilli()
	c := newCamera(t)
	p.send(c.cluster(now, 25, 100).endOfFragment().take())
	acks := p.until(fmt.Sprintf("PERSISTED %d", now))
	if want := fmt.Sprintf("[BUFFERING %[1]d RECEIVED %[1]d PERSISTED %[1]d]",
		now); fmt.Sprint(acks) != want {
		t.Errorf("acknowledgements %v, want %s", acks, want)
	}
	p.send(c.cluster(now+1000, 25, 100).endOfFragment().take())
	p.until(fmt.Sprintf("PERSISTED %d", now+1000))
	p.end()
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	p := s.dial("cam1", "Expect: 100-continue")
	if status, _ := p.header(); status != 100 {
		t.Fatalf("first answer %d", status)
	}
	p.started()
	now := time.Now().UnixMilli()
	p.send(newCamera(t).cluster(now, 2, 100).take())
	p.end2(now)
}

func TestAcknowledgementsCanBeDeclined(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	p := s.dial("cam1", "x-amzn-fragment-acknowledgment-required: 0")
	p.started()
	p.send(newCamera(t).cluster(time.Now().UnixMilli(), 25, 100).take())
	p.end()
}

func TestBadMediaEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	p := s.dial("cam1")
	p.started()
	p.send([]byte(strings.Repeat("this is no Matroska ", 50)))
	if a := p.ack(); a.EventType != "ERROR" || a.ErrorId != 4000 ||
		a.ErrorCode != "STREAM_READ_ERROR" {
		t.Errorf("acknowledgement %+v", a)
	}
	p.end()
}

func TestPutMediaIsRefusedBeforeTheBody(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	for _, c := range []struct {
		stream, header string
		status         int
		code, message  string
	}{
		{"nobody", "", 404, "ResourceNotFoundException", notFound},
		{"", "", 400, "InvalidArgumentException", ""},
		{"cam1", "x-amzn-fragment-timecode-type: SOMETIMES", 400, "InvalidArgumentException",
			"SOMETIMES"},
		{"cam1", "x-amzn-producer-start-timestamp: yesterday", 400, "InvalidArgumentException",
			"yesterday"},
		{"cam1", "x-amzn-stream-arn: arn:aws:kinesisvideo:us-west-2:000000000000:stream/cam1/1",
			400, "InvalidArgumentException", "both"},
	} {
		s.dial(c.stream, c.header).fails(c.status, c.code, c.message)
	}
}

// Producers open a new connection while the old one still sends (docs/reference/producers.md,
// "Requests").
func TestTwoConnectionsOfOneStream(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	old, renewed := s.dial("cam1"), s.dial("cam1")
	renewed.started()
	old.started()
	now := time.Now().Add(-5 * time.Second).UnixMilli()
	old.send(newCamera(t).cluster(now, 25, 100).endOfFragment().take())
	old.until(fmt.Sprintf("PERSISTED %d", now))
	old.end()
	renewed.send(newCamera(t).cluster(now+1000, 25, 100).endOfFragment().take())
	renewed.until(fmt.Sprintf("PERSISTED %d", now+1000))
	renewed.end()
}

// A stop lets the current fragment come to its end, acknowledges it, and only then ends the answer.
// Where no fragment is coming in, it ends the answer at once.
func TestStopWaitsForTheEndOfTheFragment(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t, func(o *Options) { o.DrainTimeout = patience })
	p, idle := s.dial("cam1"), s.dial("cam1")
	p.started()
	idle.started()
	now := time.Now().Add(-3 * time.Second).UnixMilli()
	c := newCamera(t)
	p.send(c.cluster(now, 3, 100).take())
	p.until(fmt.Sprintf("BUFFERING %d", now))
	go s.stop()
	idle.ended() // a while after all connections have heard of the stop
	p.send(c.frames(now, 3, 3, 100).take())
	p.send(c.cluster(now+1000, 1, 100).take())
	p.until(fmt.Sprintf("PERSISTED %d", now))
	if _, err := io.Copy(p.conn, strings.NewReader(strings.Repeat("1\r\n \r\n", 10))); err != nil {
		t.Errorf("the connection is closed before its last acknowledgement could be read: %v", err)
	}
	p.ended()
	s.stop()
	stream, err := s.store.Stream(t.Context(), "cam1")
	must(t, err)
	list, err := s.store.List(t.Context(), stream.ID, storeQueryAll)
	must(t, err)
	if len(list) != 1 || list[0].Partial || list[0].Spans[0].Frames != 6 {
		t.Errorf("stored after the stop: %+v", list)
	}
}

// An answer that is being sent when another process takes over continues after the store is closed.
func TestHandover(t *testing.T) {
	t.Parallel()
	st, closeStore := openStore(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := newSiteOver(t, st, listener, func(o *Options) { o.DrainTimeout = time.Millisecond })
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	now := time.Now().Add(-time.Minute).UnixMilli()
	p := s.dial("cam1")
	p.started()
	// more than socket buffers hold
	p.send(newCamera(t).cluster(now, 40, 400<<10).endOfFragment().take())
	p.until(fmt.Sprintf("PERSISTED %d", now))
	master, _ := s.ok("/getHLSStreamingSessionURL",
		`{"StreamName":"cam1","PlaybackMode":"LIVE"}`)["HLSStreamingSessionURL"].(string)
	media := relative(t, master, uriLine.FindString(s.get(master).body))
	viewer, err := s.client.Get(relative(t, media, uriLine.FindString(s.get(media).body)))
	must(t, err)
	defer viewer.Body.Close()

	s.end(ErrHandover)
	s.stop()
	must(t, closeStore())
	finished := make(chan struct{})
	go func() { defer close(finished); s.server.Finish(t.Context()) }()
	n, err := io.Copy(io.Discard, viewer.Body)
	if err != nil || n != viewer.ContentLength {
		t.Errorf("the viewer got %d bytes of %d: %v", n, viewer.ContentLength, err)
	}
	s.client.CloseIdleConnections()
	<-finished
}

// A stop stores what was received completely, acknowledges it, and ends the answer properly.
func TestStopEndsProducers(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t, func(o *Options) { o.DrainTimeout = time.Millisecond })
	p, silent := s.dial("cam1"), s.dial("cam1")
	p.started()
	silent.started()
	now := time.Now().Add(-3 * time.Second).UnixMilli()
	p.send(newCamera(t).cluster(now, 25, 100).cluster(now+1000, 3, 100).take())
	p.until(fmt.Sprintf("BUFFERING %d", now+1000))
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > StopTimeout/2 {
		t.Errorf("the stop took %v", took)
	}
	rest, err := io.ReadAll(p.in)
	must(t, err)
	if !strings.HasSuffix(string(rest), "\r\n0\r\n\r\n") {
		t.Errorf("the answer ended with %q", rest)
	}
	stream, err := s.store.Stream(t.Context(), "cam1")
	must(t, err)
	list, err := s.store.List(t.Context(), stream.ID, storeQueryAll)
	must(t, err)
	if len(list) == 0 || list[0].ProducerTimestamp != now || list[0].Partial {
		t.Errorf("stored after the stop: %+v", list)
	}
	if _, err := net.DialTimeout("tcp", s.address, time.Second); err == nil {
		t.Error("connections are still taken")
	}
}
