package e2e_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// soundCamera sends pictures and sound in real time as the SDK does, and changes its connection at
// some fragments. A frame of its sound lasts 32 ms, so that Matroska's times are exact.
type soundCamera struct {
	s       *server
	stream  string
	header  []byte
	frames  []soundFrame // in the order of sending
	began   int64        // milliseconds since the epoch
	changes map[int]connectionChange

	body *putMedia
	base int64 // timecode of the fragment that is being sent
}

// soundFrame is a picture (of track 1) or a frame of sound (of track 2).
type soundFrame struct {
	track    int
	at       int64 // milliseconds
	key      bool
	fragment int // which it is sent in
	data     []byte
}

// connectionChange says how a camera goes over to another connection.
type connectionChange struct {
	resends int           // so many fragments are sent again
	dies    int           // frames of the fragment until the old one is silent; 0: it ends properly
	closes  bool          // it breaks off instead of falling silent
	away    time.Duration // how long the camera then sends nothing
}

const (
	soundCameraRate  = 25 // pictures a second
	soundCameraHertz = 32_000
)

// newSoundCamera encodes so many seconds in groups of one second.
func newSoundCamera(t *testing.T, s *server, stream string, seconds int) *soundCamera {
	t.Helper()
	path, header, pictures := sdkSource(t, seconds*soundCameraRate, soundCameraRate)
	c := &soundCamera{s: s, stream: stream}
	aac := filepath.Join(filepath.Dir(path), "source.aac")
	program(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i",
		fmt.Sprintf("sine=frequency=440:sample_rate=%d:duration=%d", soundCameraHertz, seconds),
		"-c:a", "aac", "-f", "adts", aac)
	adts, err := os.ReadFile(aac)
	if err != nil {
		t.Fatal(err)
	}
	c.header = addSound(header, []byte{0x12, 0x88}, soundCameraHertz, 1)
	for i, data := range pictures {
		c.frames = append(c.frames, soundFrame{track: 1, at: int64(i) * 1000 / soundCameraRate,
			key: i%soundCameraRate == 0, data: data})
	}
	for i := int64(0); len(adts) > 7; i++ {
		size := int(adts[3]&3)<<11 | int(adts[4])<<3 | int(adts[5])>>5
		c.frames = append(c.frames, soundFrame{track: 2, at: i * 1024 * 1000 / soundCameraHertz,
			data: adts[7:size]})
		adts = adts[size:]
	}
	slices.SortStableFunc(c.frames, func(a, b soundFrame) int { return cmp.Compare(a.at, b.at) })
	fragment := -1
	for i := range c.frames {
		fragment += btoi(c.frames[i].key)
		c.frames[i].fragment = fragment
	}
	return c
}

// run sends all frames at their times.
func (c *soundCamera) run() error {
	if err := c.connect(); err != nil {
		return err
	}
	begin := time.Now()
	c.began = begin.UnixMilli()
	if _, err := c.body.body.Write(c.header); err != nil {
		return err
	}
	inFragment := 0
	for i := range c.frames {
		f := &c.frames[i]
		// a frame is sent when it is over
		time.Sleep(time.Until(begin.Add(time.Duration(f.at+40) * time.Millisecond)))
		if inFragment++; f.key {
			inFragment = 0
		}
		if change, ok := c.changes[f.fragment]; ok && inFragment == change.dies {
			if err := c.change(i, change); err != nil {
				return err
			}
		}
		if err := c.send(f); err != nil {
			return err
		}
	}
	_, err := c.body.body.Write(endOfFragment())
	return err
}

// change goes over to another connection before a frame is sent, and sends again from the beginning
// of a fragment.
func (c *soundCamera) change(frame int, how connectionChange) error {
	if how.dies == 0 {
		if _, err := c.body.body.Write(endOfFragment()); err != nil {
			return err
		}
	}
	if how.closes {
		c.body.conn.Close()
	}
	time.Sleep(how.away) // the network is away
	if err := c.connect(); err != nil {
		return err
	}
	if _, err := c.body.body.Write(c.header); err != nil {
		return err
	}
	first := c.frames[frame].fragment - how.resends
	for i := range c.frames[:frame] {
		if c.frames[i].fragment >= first {
			if err := c.send(&c.frames[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// connect opens a connection. The one before stays open.
func (c *soundCamera) connect() error {
	p, err := connect(c.s, c.stream)
	if err != nil {
		return err
	}
	c.s.t.Cleanup(func() { p.conn.Close() })
	go func() {
		for _, err := p.next(); err == nil; _, err = p.next() {
		}
	}()
	c.body = p
	return nil
}

func (c *soundCamera) send(f *soundFrame) error {
	var head []byte
	if f.key {
		c.base = f.at
		head = clusterHead(c.began + f.at)
	}
	_, err := c.body.body.Write(append(head, simpleBlock(f.track, f.at-c.base, f.key, f.data)...))
	return err
}

// sent returns all bytes of a track.
func (c *soundCamera) sent(track int) (all []byte) {
	for i := range c.frames {
		if c.frames[i].track == track {
			all = append(all, c.frames[i].data...)
		}
	}
	return all
}

// A producer renews its token: it ends its connection, begins another one, and resends the last
// fragment. Later a connection dies in silence in the middle of a fragment, and the producer comes
// back on another one; then one breaks off, and older fragments are resent before the one that
// broke off. Viewers of low latency see every sample of pictures and sound once, each where the one
// before ended, in parts, without gap or discontinuity. (The dead connection hid the parts of all
// that followed. Which fragment of a renewal is stored is up to the scheduler; if it was the
// resend, there was a gap.)
func TestLowLatencyAcrossConnections(t *testing.T) {
	exact(t)
	needTool(t, "ffmpeg")
	s := start(t, "")
	s.run("weir", "create-stream", "--stream-name", "renews", "--data-retention-in-hours", "1")
	const seconds = 18
	camera := newSoundCamera(t, s, "renews", seconds)
	camera.changes = map[int]connectionChange{
		6:  {resends: 1},
		8:  {resends: 1},
		10: {dies: 30, away: 500 * time.Millisecond},
		13: {dies: 30, closes: true, resends: 2},
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		if err := camera.run(); err != nil {
			t.Error(err)
		}
	})
	defer sending.Wait()
	v := openParts(t, awaitLive(t, s, "renews", partsFlags...))
	opened := make([]map[int64]bool, len(v.lists)) // segments that were seen in parts
	late := time.Now().Add(time.Minute)
	var all sync.WaitGroup
	for i, p := range v.lists {
		awaitHint(t, v, p)
		opened[i] = map[int64]bool{}
		first := p.known.MediaSequence
		all.Go(func() {
			for p.known.Open.Sequence-first < seconds-1 && time.Now().Before(late) {
				if open := &p.known.Open; len(open.Parts) > 0 {
					opened[i][open.Sequence] = true
				}
				v.reload(p)
				v.media(p, p.known)
			}
		})
	}
	all.Wait()
	v.report(t)
	for i, p := range v.lists {
		t.Run(p.name, func(t *testing.T) {
			v.continues(t, p, camera.sent(i+1))
			segments := p.known.Segments
			for _, segment := range segments[len(segments)-4:] {
				if !opened[i][segment.Sequence] {
					t.Errorf("segment %d was not listed in parts", segment.Sequence)
				}
			}
		})
	}
}

// continues checks that each segment has the samples that follow those of the one before, and
// begins when that ended. sent is all that the camera sends of the track.
func (v *partsViewer) continues(t *testing.T, p *partsList, sent []byte) {
	t.Helper()
	var end int64
	for i, s := range p.known.Segments {
		if s.Gap || s.Begins {
			t.Errorf("segment %d: gap %v, discontinuity %v", s.Sequence, s.Gap, s.Begins)
			return
		}
		_, data, _ := v.read(p.url, s.URI)
		timing, f := conformance.ParseFragment(p.inits[s.Map.URI], s.URI, data)
		if len(f) > 0 {
			t.Fatal(f)
		}
		_, samples, _ := bytes.Cut(data, []byte("mdat"))
		at := bytes.Index(sent, samples)
		if i > 0 && (at != 0 || timing.Start != end) {
			t.Errorf("segment %d begins %d ticks after the end of the one before, and %d bytes "+
				"further", s.Sequence, timing.Start-end, at)
		}
		sent, end = sent[max(at, 0)+len(samples):], timing.Start+timing.Duration
	}
	if n := len(p.known.Segments); n < 12 {
		t.Errorf("only %d segments", n)
	}
}
