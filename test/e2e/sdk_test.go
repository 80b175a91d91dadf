package e2e_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// sdkProducer acts like the state machine of the producer SDK in C (kvssink, the samples), as
// observed from outside: what it does when a connection breaks, is refused, or is told of an
// error. It runs faster than real time.
type sdkProducer struct {
	s         *server
	stream    string
	timecodes string     // ABSOLUTE or RELATIVE
	frames    []sdkFrame // of the source
	header    []byte     // EBML header to Tracks
	renew     int        // fragment from which on a new token, and so a new connection, is used

	next      int          // frame to send
	fresh     bool         // the next body begins with a header
	rollback  bool         // the next body begins with a header and what is not persisted
	origin    int64        // what RELATIVE timecodes count from
	spare     *sdkBody     // opened before the last one is closed
	persisted map[int]bool // fragments
	acked     chan sdkAck  // from the bodies' readers

	refused  int // connections
	headless int // bodies that began inside a document
	full     int // bodies that ended with 5001
	skipped  int // fragments
}

// sdkFrame is one coded picture.
type sdkFrame struct {
	data     []byte
	at       int64 // milliseconds since the epoch
	key      bool
	fragment int
}

// sdkBody is one PutMedia call.
type sdkBody struct {
	*putMedia
	origin int64
	ended  chan struct{} // closed when the answer has ended
	failed *ack          // the ERROR acknowledgement, once ended is closed
}

type sdkAck struct {
	ack
	origin int64
}

const (
	sdkSpeed  = 10 // times real time
	sdkMillis = 40 // a frame
	sdkRetry  = 13 * time.Millisecond
	sdkWait   = 30 * time.Second // for anything
	// How long it waits for an acknowledgement before it gives up the connection (kvssink's
	// connection-staleness, 60 s). A body that begins after all frames have been sent is
	// END_OF_FRAGMENT alone. The server cannot tell it from one left over, and does not answer it.
	sdkStale = 60 * time.Second / sdkSpeed
)

// sdkSource encodes so many frames in groups, and returns them as the SDK has them: access units
// with delimiter and parameter sets, each NAL unit after its length.
func sdkSource(t *testing.T, frames, group int) (path string, header []byte, units [][]byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "source.h264")
	program(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25",
		"-frames:v", strconv.Itoa(frames),
		"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", strconv.Itoa(group),
		"-sc_threshold", "0",
		"-x264-params", "aud=1:repeat-headers=1:threads=1", "-f", "h264", path)
	stream, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sps, pps []byte
	for nal := range bytes.SplitSeq(bytes.ReplaceAll(stream, []byte{0, 0, 0, 1}, []byte{0, 0, 1}),
		[]byte{0, 0, 1}) {
		if len(nal) == 0 {
			continue
		}
		switch nal[0] & 31 {
		case 9:
			units = append(units, nil)
		case 7:
			sps = nal
		case 8:
			pps = nal
		}
		last := len(units) - 1
		units[last] = append(binary.BigEndian.AppendUint32(units[last], uint32(len(nal))), nal...)
	}
	private := append([]byte{1, sps[1], sps[2], sps[3], 0xFF, 0xE1, 0, byte(len(sps))}, sps...)
	private = append(append(private, 1, 0, byte(len(pps))), pps...)
	header = bytes.Join([][]byte{
		element(0x1A45DFA3, unsigned(0x4286, 1), unsigned(0x42F7, 1), unsigned(0x42F2, 4),
			unsigned(0x42F3, 8),
			element(0x4282, []byte("matroska")), unsigned(0x4287, 2), unsigned(0x4285, 2)),
		{0x18, 0x53, 0x80, 0x67, 0xFF},
		element(0x1549A966, element(0x73A4, []byte("0123456789abcdef")),
			unsigned(0x2AD7B1, 1000000),
			element(0x7BA9, []byte("Kinesis Video SDK")),
			element(0x4D80, []byte("Kinesis Video SDK 1.1.0")),
			element(0x5741, []byte("Kinesis Video SDK 1.1.0"))),
		element(0x1654AE6B, element(0xAE, unsigned(0xD7, 1), unsigned(0x73C5, 1), unsigned(0x83, 1),
			element(0x86, []byte("V_MPEG4/ISO/AVC")), element(0x63A2, private),
			element(0xE0, unsigned(0xB0, 160), unsigned(0xBA, 96)))),
	}, nil)
	if len(units) != frames {
		t.Fatalf("%d access units of %d frames", len(units), frames)
	}
	return path, header, units
}

func newSDKProducer(s *server, stream, timecodes string, header []byte, units [][]byte,
	group int) *sdkProducer {
	p := &sdkProducer{
		s: s, stream: stream, timecodes: timecodes, header: header, renew: len(units) / group / 2,
		fresh:     true,
		persisted: map[int]bool{}, acked: make(chan sdkAck, 1000),
	}
	base := time.Now().Add(-time.Hour).UnixMilli()
	for i, unit := range units {
		p.frames = append(p.frames,
			sdkFrame{unit, base + int64(i)*sdkMillis, i%group == 0, i / group})
	}
	if timecodes == "RELATIVE" {
		p.origin = base
	}
	return p
}

// run sends all frames, at their time, and returns when the last one is persisted.
func (p *sdkProducer) run() error {
	began := time.Now()
	for time.Now().Before(p.patience(began)) {
		body := p.spare
		p.spare = nil
		if body == nil {
			if body = p.open(); body == nil {
				time.Sleep(sdkRetry) // the SDK has no other pace
				continue
			}
		}
		done, err := p.send(body, began)
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: stuck at frame %d of %d", p.stream, p.next, len(p.frames))
}

// patience is when all frames that are sent from a time on must be persisted.
func (p *sdkProducer) patience(began time.Time) time.Time {
	return began.Add(p.due(len(p.frames)) + 2*sdkWait)
}

// due is how long after the first frame a frame is sent.
func (p *sdkProducer) due(frame int) time.Duration {
	return time.Duration(frame) * sdkMillis * time.Millisecond / sdkSpeed
}

// open begins a PutMedia call. After a refusal, nothing is rolled back any more.
func (p *sdkProducer) open() *sdkBody {
	conn, err := connectAs(p.s, p.stream, p.timecodes)
	if err != nil {
		p.refused++
		p.rollback = false
		return nil
	}
	body := &sdkBody{putMedia: conn, origin: p.origin, ended: make(chan struct{})}
	return body
}

// listen reads the acknowledgements until the answer ends.
func (p *sdkProducer) listen(body *sdkBody) {
	defer close(body.ended)
	for {
		a, err := body.putMedia.next()
		if err != nil {
			return
		}
		if a.EventType == "ERROR" {
			body.failed = &a
			return
		}
		if a.EventType == "PERSISTED" {
			p.acked <- sdkAck{a, body.origin}
		}
	}
}

// send is one body. done says that all is persisted.
func (p *sdkProducer) send(body *sdkBody, began time.Time) (done bool, err error) {
	if err := body.conn.SetDeadline(p.patience(began)); err != nil {
		return false, err
	}
	p.begin(body)
	go p.listen(body)
	defer func() {
		body.conn.Close()
		<-body.ended
	}()
	for p.next < len(p.frames) {
		f := &p.frames[p.next]
		due := time.NewTimer(time.Until(began.Add(p.due(p.next))))
		for waiting := true; waiting; {
			select {
			case a := <-p.acked:
				p.take(a)
			case <-body.ended:
				return false, p.broken(body)
			case <-due.C:
				waiting = false
			}
		}
		if f.key && f.fragment == p.renew-1 && p.spare == nil {
			p.spare = p.spareBody()
		}
		if f.key && f.fragment == p.renew && p.spare != nil {
			p.renew = -1
			if !p.finish(body, f.fragment-1) {
				return false, p.broken(body)
			}
			p.fresh, p.spare.origin = true, 0
			if p.timecodes == "RELATIVE" {
				p.origin = f.at // timecodes begin again with the token
				p.spare.origin = f.at
			}
			return false, nil
		}
		if _, err := body.body.Write(p.block(f)); err != nil {
			<-body.ended
			return false, p.broken(body)
		}
		p.next++
	}
	if !p.finish(body, p.frames[len(p.frames)-1].fragment) {
		return false, p.broken(body)
	}
	return true, nil
}

// spareBody opens the connection of the next token. If it is refused, nothing changes for the
// connection that sends.
func (p *sdkProducer) spareBody() *sdkBody {
	rollback := p.rollback
	body := p.open()
	p.rollback = rollback
	return body
}

// begin decides what the body begins with.
func (p *sdkProducer) begin(body *sdkBody) {
	for more := true; more; { // what the last body's reader has left
		select {
		case a := <-p.acked:
			p.take(a)
		default:
			more = false
		}
	}
	if p.rollback {
		for p.next = 0; p.next < len(p.frames)-1 &&
			p.persisted[p.frames[p.next].fragment]; p.next++ {
		}
		for !p.frames[p.next].key {
			p.next--
		}
		p.fresh = true
	}
	body.origin = p.origin
	if p.fresh {
		body.body.Write(p.header) // a failure shows at the next write
	} else {
		p.headless++
	}
	p.fresh, p.rollback = false, false
}

// block is a frame as Matroska, with the head of the cluster that it begins.
func (p *sdkProducer) block(f *sdkFrame) []byte {
	start := p.next
	for !p.frames[start].key {
		start--
	}
	var head []byte
	if f.key {
		head = clusterHead(f.at - p.origin)
	}
	return append(head, simpleBlock(1, f.at-p.frames[start].at, f.key, f.data)...)
}

// finish marks the end of a fragment, waits until it is persisted, and ends the body.
func (p *sdkProducer) finish(body *sdkBody, fragment int) bool {
	if _, err := body.body.Write(endOfFragment()); err != nil {
		return false
	}
	late := time.After(sdkStale)
	for !p.persisted[fragment] {
		select {
		case a := <-p.acked:
			p.take(a)
		case <-body.ended:
			return false
		case <-late:
			return false
		}
	}
	body.body.Close()
	body.conn.Write([]byte("\r\n"))
	return true
}

func (p *sdkProducer) take(a sdkAck) {
	i := (a.FragmentTimecode + a.origin - p.frames[0].at) / sdkMillis
	if i >= 0 && int(i) < len(p.frames) {
		p.persisted[p.frames[i].fragment] = true
	}
}

// broken decides how to go on after a body that ended early.
func (p *sdkProducer) broken(body *sdkBody) error {
	body.conn.Close()
	<-body.ended
	p.rollback = true
	if body.failed == nil {
		return nil
	}
	switch body.failed.ErrorId {
	case 5001:
		p.full++
		return nil
	case 4000, 4003, 5000:
		return nil
	case 4001, 4002, 4004, 4006, 4009, 4011: // skips the rest of the fragment
		p.rollback, p.fresh = false, true
		p.skipped++
		for p.next++; p.next < len(p.frames) && !p.frames[p.next].key; p.next++ {
		}
		return nil
	}
	return fmt.Errorf("%s: fatal: %+v", p.stream, *body.failed)
}
