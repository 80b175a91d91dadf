package playback

import (
	"encoding/binary"
	"errors"

	"weir/internal/media"
	"weir/internal/store"
)

// What a session's row holds is a version byte and then varints (encoding/binary): unsigned ones marked u, zigzag ones s.
//
//	parameters  2 | u format  u mode  u selector  u discontinuity  u timestamps  u switching  u max  s start  s end  u last  s origin
//	                u first  u track set  u frame rate  u bandwidth  u average  u I-frames  u advance  u tracks  tracks·( u number  u kind  u timescale )
//	checkpoint  4 | u tracks  u cursor  u greatest  s server time  u target  u count  s epoch  s due  s dated  u ended  u changes  u generation
//	                tracks·( u known·2+dependent  s end  u listed  u mapped  u dropped )
//	                u generations  generations·( u track set  u silent  tracks·u timescale )
//	                u entries  entries·( s number-Δ  s timestamp-Δ  s server-Δ  s due-Δ  u part-from  u part-until  u discontinuity-Δ  s generation-Δ
//	                                     s date-timestamp  s silence-from  u silence  u I-frame
//	                                     tracks·( u duration+1  u tags·8+skips·4+change·2+independent ) )
//	checkpoint  3 | the same, without dated, silent, date and silence, and with u tags·4+change·2+independent; it is read, not written
//
// Δ is the difference from the entry before (from 0 for the first), for server times from the timestamp of the same entry, for
// due times from the end of the entry before (from its due time as long as its longest run).
const (
	parametersVersion = 2
	checkpointVersion = 4
	checkpointBefore  = 3 // of sessions that an earlier version opened
)

// format is what a session's URLs deliver.
type format uint8

const (
	hlsFragmentedMP4 format = 1
	hlsMPEGTS        format = 2
)

// mode is the playback mode of a session.
type mode uint8

const (
	live       mode = 1
	onDemand   mode = 2
	liveReplay mode = 3
)

// discontinuityMode says where discontinuities are marked.
type discontinuityMode uint8

const (
	discontinuityAlways discontinuityMode = 1
	discontinuityNever  discontinuityMode = 2
	discontinuityOnGap  discontinuityMode = 3
)

// parameters is everything about a session that never changes.
type parameters struct {
	format        format
	mode          mode
	selector      store.TimestampKind
	discontinuity discontinuityMode
	timestamps    bool         // EXT-X-PROGRAM-DATE-TIME before every segment
	switching     bool         // a change of codec private data begins a generation; otherwise such fragments are left out
	max           int          // MaxMediaPlaylistFragmentResults
	start, end    int64        // ON_DEMAND, LIVE_REPLAY: the range, milliseconds, both included
	last          int64        // LIVE_REPLAY: the last commit that belongs to the session; 0: no bound
	origin        int64        // T0, milliseconds
	first         store.Number // LIVE: the smallest number that the token opens
	trackSet      int64        // the reference fragment's
	frameRate     int64        // hundredths of a frame per second; 0: no video
	bandwidth     int64        // peak bits per second
	average       int64        // bits per second over everything
	iframes       int64        // peak bits per second of the I-frame playlist; 0: there is none
	advance       int64        // MPEG_TS: ticks by which decode times are moved ahead
	tracks        []packagedTrack
}

func (p *parameters) rules() *rules {
	return &rules{mode: p.mode, selector: p.selector, discontinuity: p.discontinuity, max: p.max, muxed: p.format == hlsMPEGTS,
		from: p.start, until: p.end, last: p.last, origin: p.origin, tracks: p.tracks}
}

// track is the index of the packaged track with the given number, or -1.
func (p *parameters) track(number int) int {
	for i := range p.tracks {
		if p.tracks[i].number == number {
			return i
		}
	}
	return -1
}

// lists reports whether the session has a media playlist of the track with the given number: in a transport stream all tracks are in
// the first one's.
func (p *parameters) lists(number int) bool {
	i := p.track(number)
	return i == 0 || i > 0 && p.format != hlsMPEGTS
}

func (p *parameters) encode() []byte {
	b := []byte{parametersVersion}
	u := func(v int64) { b = binary.AppendUvarint(b, uint64(v)) }
	s := func(v int64) { b = binary.AppendVarint(b, v) }
	u(int64(p.format))
	u(int64(p.mode))
	u(int64(p.selector))
	u(int64(p.discontinuity))
	u(bit(p.timestamps))
	u(bit(p.switching))
	u(int64(p.max))
	s(p.start)
	s(p.end)
	u(p.last)
	s(p.origin)
	u(int64(p.first))
	u(p.trackSet)
	u(p.frameRate)
	u(p.bandwidth)
	u(p.average)
	u(p.iframes)
	u(p.advance)
	u(int64(len(p.tracks)))
	for _, t := range p.tracks {
		u(int64(t.number))
		u(int64(t.kind))
		u(t.timescale)
	}
	return b
}

// errEncoding says that a session's row holds what this version of the program did not write.
var errEncoding = errors.New("session data of an unknown form")

func decodeParameters(data []byte) (*parameters, error) {
	r := reader{data: data}
	if r.byte() != parametersVersion {
		return nil, errEncoding
	}
	p := &parameters{
		format:        format(r.unsigned()),
		mode:          mode(r.unsigned()),
		selector:      store.TimestampKind(r.unsigned()),
		discontinuity: discontinuityMode(r.unsigned()),
		timestamps:    r.unsigned() != 0,
		switching:     r.unsigned() != 0,
		max:           int(r.unsigned()),
		start:         r.signed(),
		end:           r.signed(),
		last:          r.unsigned(),
		origin:        r.signed(),
		first:         store.Number(r.unsigned()),
		trackSet:      r.unsigned(),
		frameRate:     r.unsigned(),
		bandwidth:     r.unsigned(),
		average:       r.unsigned(),
		iframes:       r.unsigned(),
		advance:       r.unsigned(),
	}
	n := r.unsigned()
	if n < 1 || n > maxTracks {
		return nil, errEncoding
	}
	for range n {
		p.tracks = append(p.tracks, packagedTrack{number: int(r.unsigned()), kind: media.Kind(r.unsigned()), timescale: r.unsigned()})
	}
	for _, t := range p.tracks {
		if t.timescale < 1 {
			return nil, errEncoding
		}
	}
	if r.bad || len(r.data) != 0 || p.format < hlsFragmentedMP4 || p.format > hlsMPEGTS || p.mode < live || p.mode > liveReplay || p.max < 1 {
		return nil, errEncoding
	}
	return p, nil
}

// encode gives the checkpoint of the state. n is the number of the session's tracks.
func (t *timeline) encode(n int) []byte {
	b := make([]byte, 1, 64+24*len(t.entries))
	b[0] = checkpointVersion
	u := func(v int64) { b = binary.AppendUvarint(b, uint64(v)) }
	s := func(v int64) { b = binary.AppendVarint(b, v) }
	u(int64(n))
	u(t.cursor)
	u(int64(t.greatest))
	s(t.serverTime)
	u(t.target)
	u(t.count)
	s(t.epoch)
	s(t.due)
	s(t.dated)
	u(bit(t.ended))
	u(t.changes)
	u(int64(t.generation))
	for i := range n {
		u(bit(t.known[i])<<1 | bit(t.dependent[i]))
		s(t.end[i])
		u(t.listed[i])
		u(int64(t.mapped[i]))
		u(t.dropped[i])
	}
	u(int64(len(t.generations)))
	for i := range t.generations {
		u(t.generations[i].set)
		u(bit(t.generations[i].silent))
		for j := range n {
			u(t.generations[i].scales[j])
		}
	}
	u(int64(len(t.entries)))
	var last entry
	for i := range t.entries {
		e := &t.entries[i]
		s(int64(e.number - last.number))
		s(e.timestamp - last.timestamp)
		s(e.server - e.timestamp)
		s(e.due - last.due - last.length())
		u(e.part.from)
		u(e.part.until)
		u(e.discontinuity - last.discontinuity)
		s(int64(e.generation - last.generation))
		s(e.date - e.timestamp)
		s(e.silence.from)
		u(e.silence.until - e.silence.from)
		u(e.iframe)
		for j := range n {
			u(e.duration[j] + 1)
			u(e.tags[j]<<3 | bit(e.skips[j])<<2 | bit(e.change[j])<<1 | bit(e.independent[j]))
		}
		last = *e
	}
	return b
}

// checkpointHead reads the commit sequence and the greatest server timestamp of a checkpoint without its entries.
func checkpointHead(data []byte) (cursor, serverTime int64, err error) {
	r := reader{data: data}
	if v := r.byte(); v != checkpointVersion && v != checkpointBefore {
		return 0, 0, errEncoding
	}
	r.unsigned() // tracks
	cursor = r.unsigned()
	r.unsigned() // greatest
	serverTime = r.signed()
	if r.bad {
		return 0, 0, errEncoding
	}
	return cursor, serverTime, nil
}

// decodeTimeline reads a checkpoint of a session with n tracks.
func decodeTimeline(data []byte, n int) (*timeline, error) {
	r := reader{data: data}
	version := r.byte()
	if version != checkpointVersion && version != checkpointBefore || r.unsigned() != int64(n) {
		return nil, errEncoding
	}
	t := &timeline{
		cursor:     r.unsigned(),
		greatest:   store.Number(r.unsigned()),
		serverTime: r.signed(),
		target:     r.unsigned(),
		count:      r.unsigned(),
		epoch:      r.signed(),
		due:        r.signed(),
	}
	before := version == checkpointBefore
	if !before {
		t.dated = r.signed()
	}
	t.ended, t.changes, t.generation = r.unsigned() != 0, r.unsigned(), int(r.unsigned())
	for i := range n {
		v := r.unsigned()
		t.known[i], t.dependent[i] = v&2 != 0, v&1 != 0
		t.end[i] = r.signed()
		t.listed[i] = r.unsigned()
		t.mapped[i] = int(r.unsigned())
		t.dropped[i] = r.unsigned()
	}
	generations := r.unsigned()
	if r.bad || generations > int64(len(r.data))/int64(1+n) { // none is shorter, so the length bounds the allocation
		return nil, errEncoding
	}
	t.generations = make([]generation, generations)
	for i := range t.generations {
		t.generations[i].set = r.unsigned()
		t.generations[i].silent = !before && r.unsigned() != 0
		for j := range n {
			if t.generations[i].scales[j] = r.unsigned(); t.generations[i].scales[j] < 1 {
				return nil, errEncoding
			}
		}
	}
	count := r.unsigned()
	if r.bad || count > int64(len(r.data))/int64(9+2*n) { // likewise
		return nil, errEncoding
	}
	t.entries = make([]entry, count)
	var last entry
	for i := range t.entries {
		e := &t.entries[i]
		e.number = last.number + store.Number(r.signed())
		e.timestamp = last.timestamp + r.signed()
		e.server = e.timestamp + r.signed()
		e.due = last.due + last.length() + r.signed()
		e.part = part{from: r.unsigned(), until: r.unsigned()}
		if e.part.from > 0 {
			t.later++
		}
		e.discontinuity = last.discontinuity + r.unsigned()
		e.generation = last.generation + int(r.signed())
		if e.date = e.timestamp + e.part.from; !before {
			e.date = e.timestamp + r.signed()
			e.silence.from = r.signed()
			e.silence.until = e.silence.from + r.unsigned()
		}
		e.iframe = r.unsigned()
		if e.generation < 0 || e.generation >= len(t.generations) {
			return nil, errEncoding
		}
		for j := range n {
			e.duration[j] = r.unsigned() - 1
			v := r.unsigned()
			e.change[j], e.independent[j] = v&2 != 0, v&1 != 0
			if v >>= 2; !before {
				e.skips[j] = v&1 != 0
				v >>= 1
			}
			e.tags[j] = v
		}
		last = *e
	}
	if r.bad || len(r.data) != 0 {
		return nil, errEncoding
	}
	return t, nil
}

// reader takes varints from the front of data. After an error bad is set and everything reads as 0.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.bad = true
		return 0
	}
	v := r.data[0]
	r.data = r.data[1:]
	return v
}

func (r *reader) unsigned() int64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 || int64(v) < 0 {
		r.bad, r.data = true, nil
		return 0
	}
	r.data = r.data[n:]
	return int64(v)
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.bad, r.data = true, nil
		return 0
	}
	r.data = r.data[n:]
	return v
}

func bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}
