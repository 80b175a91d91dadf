package ingest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
)

// document is what one EBML document of the body declares. It does not change once its first
// cluster has begun, and its fragments share it.
type document struct {
	tracks   []media.Track
	scanners []media.NALScanner // of tracks; zero if they have no NAL units that can be read
	scale    int64              // nanoseconds per unit of timecodes
	header   []byte
	size     int64  // bytes that fragments keep of it while they are in flight
	uid      string // SegmentUID

	// resends: the producer SDK wrote the document. It marks the end of a finished fragment with
	// END_OF_FRAGMENT, and resends one that was cut. The embedded SDK cannot be mistaken for it:
	// its application name has 16 bytes, this one 17.
	resends bool
	// file: a muxer of files (ffmpeg) wrote the document, whose Tags before the clusters are about
	// the file. The SDKs write no SeekHead (docs/reference/producers.md, "Other muxers").
	file bool
}

var (
	sdkName  = []byte("Kinesis Video SDK")
	seekHead = []byte{0x11, 0x4D, 0x9B, 0x74}
)

// newDocument makes a document with these tracks. settle completes it.
func newDocument(tracks []media.Track) *document {
	d := &document{tracks: slices.Clone(tracks), scanners: make([]media.NALScanner, len(tracks))}
	for i := range d.tracks {
		t := &d.tracks[i]
		if t.Timescale == 0 {
			t.Timescale = media.Timescale(t)
		}
		if scanner, err := media.NewNALScanner(t); err == nil {
			d.scanners[i] = scanner
		}
	}
	return d
}

// settle fills in what may change until the first cluster.
func (d *document) settle(r *mkv.Reader) {
	if d.scale != 0 {
		return
	}
	d.scale = r.TimestampScale()
	d.header = r.Header()
	d.size = int64(len(d.header))
	for i := range d.tracks {
		d.size += int64(len(d.tracks[i].CodecPrivate))
	}
	d.uid = string(r.SegmentUID())
	d.resends = bytes.Contains(d.header, sdkName)
	d.file = bytes.Contains(d.header, seekHead)
}

// find returns the index of a track, or -1.
func (d *document) find(number int) int {
	return slices.IndexFunc(d.tracks, func(t media.Track) bool { return t.Number == number })
}

// fragment is one cluster until it is stored.
type fragment struct {
	doc      *document
	number   store.Number
	numbered func()    // takes the number out of Numbers
	timecode int64     // raw Cluster Timestamp
	base     int64     // Unix nanoseconds of timecode 0
	producer int64     // producer timestamp, milliseconds
	arrived  time.Time // first byte
	received time.Time // last byte
	tags     []media.Tag
	wants    Wants
	tracks   []samples // as doc.tracks
	live     *live.Fragment
	complete bool // the cluster has ended; tags may still follow

	frames      int
	bytes       int64 // payload
	buffers     int64 // capacity of what holds it
	taken       int64 // of Memory
	first, last int64 // nanoseconds of the earliest and latest frame
}

// samples are the frames of one track of a fragment.
type samples struct {
	table   []media.Sample
	payload []byte
}

// farFromStart bounds a frame's distance from the cluster's timestamp. It is longer than any
// fragment, and keeps times from overflowing.
const farFromStart = int64(time.Hour)

// frameCost is how many bytes a frame takes besides its payload: its rows in the tables of samples
// and frames.
const frameCost = 64

// maxHint bounds the buffers that a fragment begins with. They are as large as those of the
// fragment before, and are made before Memory is asked.
const maxHint = memoryStep

// add reads one frame into the fragment.
func (f *fragment) add(ctx context.Context, c *Connection, ev *mkv.Event) error {
	i := f.doc.find(ev.Track)
	if i < 0 {
		return failf(f, api.AckTrackNumberMismatch, "frame of track %d, which was not declared",
			ev.Track)
	}
	limits := &c.o.Limits
	size := int64(ev.Size)
	if f.bytes+size > int64(limits.FragmentBytes) {
		return failf(f, api.AckMaxFragmentSize, "more than %d bytes", limits.FragmentBytes)
	}
	if f.frames >= limits.FragmentFrames {
		return failf(f, api.AckMaxFragmentSize, "more than %d frames", limits.FragmentFrames)
	}
	at := int64(media.NoTime)
	first, last := f.first, f.last
	if !ev.Laced || ev.Timecode != -1 {
		// Neither the products nor their difference overflow.
		from := ev.Timecode*f.doc.scale - f.timecode*f.doc.scale
		if from > farFromStart || from < -farFromStart {
			return failf(f, api.AckMaxFragmentDuration, "frame %v from the start of its cluster",
				time.Duration(from))
		}
		at = f.base + f.timecode*f.doc.scale + from
		if f.frames == 0 {
			first, last = at, at
		}
		first, last = min(first, at), max(last, at)
		if last-first > int64(limits.FragmentDuration) {
			return failf(f, api.AckMaxFragmentDuration, "longer than %v", limits.FragmentDuration)
		}
	}
	t := &f.tracks[i]
	if t.payload == nil {
		hint := c.hints[ev.Track]
		t.payload = c.o.Memory.buffer(min(hint.bytes, maxHint))
		f.buffers += int64(cap(t.payload))
		t.table = make([]media.Sample, 0, min(hint.frames, maxHint/frameCost))
	}
	start := len(t.payload)
	payload, err := f.read(ctx, c, i, ev.Size)
	if err != nil {
		return err
	}
	t.payload = payload
	scanner := &f.doc.scanners[i]
	c.lookAtFrame(i, payload[start:])
	t.table = append(t.table, media.Sample{
		Time: at, Size: uint32(size), Key: ev.Key && (!ev.KeyUnknown || scanner.Zero()),
		Content: scanner.Scan(payload[start:]),
	})
	f.frames++
	f.bytes += size
	f.first, f.last = first, last
	f.live.Add(i, t.table, t.payload, time.Unix(0, c.source.last.Load()))
	return nil
}

// read appends the payload of the current frame to that of a track, an index into f.tracks, whose
// buffer it may replace. It takes Memory for the buffer as bytes arrive.
func (f *fragment) read(ctx context.Context, c *Connection, track, size int) ([]byte, error) {
	t := &f.tracks[track]
	payload, start := t.payload, len(t.payload)
	for {
		step := min(start+size-len(payload), memoryStep)
		room := f.room(c, track, payload, step)
		growth := int64(roomSize(payload, room) - cap(payload))
		need := f.doc.size + f.buffers + growth + int64(f.frames+1)*frameCost
		if need > f.taken {
			n := max(need-f.taken, memoryStep)
			if err := c.takeMemory(ctx, n); err != nil {
				return nil, err
			}
			f.taken += n
		}
		if step == 0 {
			return payload, nil
		}
		if growth > 0 {
			old := payload
			payload = c.o.Memory.grown(old, room)
			if f.live.Move(track, payload) {
				c.o.Memory.recycle(old)
			}
		}
		t.payload = payload[:start]
		f.buffers += growth
		var err error
		if payload, err = c.reader.AppendSome(payload, step); err != nil {
			return nil, err
		}
	}
}

// room returns how many more bytes a track's buffer should have room for, when step more are about
// to come. A buffer that somebody reads is lost when it grows, so it grows at once to the size that
// the fragment before took.
func (f *fragment) room(c *Connection, track int, payload []byte, step int) int {
	if len(payload)+step <= cap(payload) || !f.live.Held() {
		return step
	}
	before := c.hints[f.doc.tracks[track].Number].bytes
	return max(step, min(before, maxPooled)-len(payload))
}

// record makes the record to be stored. next is the start of the next cluster in Unix nanoseconds,
// or media.NoTime.
func (f *fragment) record(
	clocks map[int]*trackClock, next int64, partial bool,
) (*store.Record, error) {
	rec := &store.Record{Number: f.number, Fragment: media.Fragment{
		ProducerTimestamp: f.producer,
		ServerTimestamp:   f.arrived.UnixMilli(),
		Timecode:          f.timecode,
		Tracks:            f.doc.tracks,
		Tags:              f.tags,
		Header:            f.doc.header,
		Partial:           partial,
	}}
	for i := range f.tracks {
		t := &f.tracks[i]
		if len(t.table) == 0 {
			continue
		}
		run, err := clocks[f.doc.tracks[i].Number].Run(t.table, next)
		if err != nil {
			return nil, err
		}
		rec.Runs = append(rec.Runs, run)
		rec.Payload = append(rec.Payload, t.payload)
	}
	return rec, nil
}

// release ends the fragment's time in flight and gives the memory back; the payload must not be
// used any more. Followers of the live edge may still read it, and then give the buffers back.
func (f *fragment) release(m *Memory, o owner) {
	f.numbered()
	f.live.BrokenOff() // unless it was stored
	tracks := f.tracks
	f.tracks = nil
	f.live.Release(f.buffers, func() {
		for i := range tracks {
			m.recycle(tracks[i].payload)
		}
	})
	m.give(o, f.taken)
	f.taken = 0
}

// trackClock is the clock of a track number. It is kept across clusters and documents for as long
// as the track is declared alike.
type trackClock struct {
	media.Clock
	track media.Track
}

// same reports whether two declarations mean the same elementary stream.
func same(a, b *media.Track) bool {
	return a.Number == b.Number && a.Kind == b.Kind && a.CodecID == b.CodecID &&
		a.Timescale == b.Timescale && a.DefaultDuration == b.DefaultDuration &&
		bytes.Equal(a.CodecPrivate, b.CodecPrivate)
}

// reservedPrefix begins the names of tags that mean something to the service
// (docs/reference/service.md, "Tags of fragments").
const (
	reservedPrefix  = "AWS_KINESISVIDEO_"
	endOfFragment   = "AWS_KINESISVIDEO_END_OF_FRAGMENT"
	notification    = "AWS_KINESISVIDEO_NOTIFICATION"
	imageGeneration = "AWS_KINESISVIDEO_IMAGE_GENERATION"
	imagePrefix     = "AWS_KINESISVIDEO_IMAGE_PREFIX"
)

// Wants is what the producer asks for, by reserved tags, when a fragment is stored.
type Wants struct {
	Notification bool
	Images       bool
	ImagePrefix  string // of the images' names; at most MaxFragmentTagValue bytes
}

// add adds what o asks for.
func (w *Wants) add(o Wants) {
	w.Notification, w.Images = w.Notification || o.Notification, w.Images || o.Images
	if o.ImagePrefix != "" {
		w.ImagePrefix = o.ImagePrefix
	}
}

// wanted returns what a reserved tag asks for. Most ask for nothing.
func wanted(t media.Tag) Wants {
	switch t.Name {
	case notification:
		return Wants{Notification: true}
	case imageGeneration:
		return Wants{Images: true}
	case imagePrefix:
		return Wants{ImagePrefix: clip(t.Value, api.MaxFragmentTagValue)}
	}
	return Wants{}
}

// addTag adds a tag to those of a fragment, unless it is there already: the SDK repeats persistent
// tags, so one may come both before a cluster and after it. The error says which limit of the
// service is exceeded.
func addTag(tags []media.Tag, t media.Tag) ([]media.Tag, error) {
	switch {
	case slices.Contains(tags, t):
		return tags, nil
	case len(tags) >= api.MaxFragmentTags:
		return tags, fmt.Errorf("more than %d tags", api.MaxFragmentTags)
	}
	return append(tags, t), nil
}

// checkTag checks a tag against the limits of the service.
func checkTag(t media.Tag) error {
	switch {
	case t.Name == "":
		return fmt.Errorf("tag without a name")
	case len(t.Name) > api.MaxFragmentTagName:
		return fmt.Errorf("tag name of %d bytes, more than %d", len(t.Name), api.MaxFragmentTagName)
	case len(t.Value) > api.MaxFragmentTagValue:
		return fmt.Errorf("tag value of %d bytes, more than %d", len(t.Value),
			api.MaxFragmentTagValue)
	case len(t.Name) >= 3 && t.Name[:3] == "AWS":
		return fmt.Errorf("tag name %q begins with AWS", t.Name)
	}
	return nil
}
