package conformance

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
)

var hashSeed = maphash.MakeSeed()

// Init is a media initialization section of one track.
type Init struct {
	Brands        []string // major brand first
	Track         uint32
	Timescale     uint32
	Handler       string // vide or soun
	Codec         string // RFC 6381
	Width, Height int    // of the visual sample entry
	LengthSize    int    // of NAL unit lengths, bytes

	family                                     string
	defaultDuration, defaultSize, defaultFlags uint32 // trex
}

// Timing is what a segment has of one track.
type Timing struct {
	Scale    int64 // ticks per second
	Start    int64 // decode time of the first frame, ticks
	Duration int64 // ticks
	Present  int64 // smallest presentation time, ticks
	Frames   int
	Key      bool // the first frame is a random access point
	Numbered bool // Sequence is that of an mfhd
	Sequence uint32
	Bytes    int64

	firstSize int // bytes of the first sample
	samples   []sample
}

// sample is what a packager must not change of a sample.
type sample struct {
	decode, duration, offset int64 // ticks
	sync                     bool
	hash                     uint64 // of its bytes
}

// Seconds returns the segment's duration.
func (t *Timing) Seconds() float64 { return float64(t.Duration) / float64(t.Scale) }

// ParseInit reads an initialization section and holds it to RFC 8216 section 3.3 and to what the
// boxes demand.
func ParseInit(data []byte) (*Init, Findings) {
	const where = "init"
	var f Findings
	in := &Init{}
	top := boxes(&f, where, data)
	if len(top) == 0 || top[0].kind != "ftyp" {
		f.add(InitOrder, where, "begins with %q, not with ftyp", kinds(top))
		return in, f
	}
	for _, b := range top {
		if b.kind == "moof" || b.kind == "mdat" {
			f.add(InitOrder, where, "%s in an initialization section", b.kind)
		}
	}
	ftyp := top[0].body
	for i := 0; i+4 <= len(ftyp); i += 4 {
		if i != 4 { // minor version
			in.Brands = append(in.Brands, string(ftyp[i:i+4]))
		}
	}
	if !slices.ContainsFunc(in.Brands, func(b string) bool {
		return b >= "iso6" && b <= "iso9" || b >= "isoa" && b <= "isol" || b == "cmfc" ||
			b == "cmf2"
	}) {
		f.add(Brand, where, "%q has none compatible with iso6", in.Brands)
	}
	moov := child(&f, where, top, "moov")
	inMoov := boxes(&f, where, moov)
	mvhd := child(&f, where, inMoov, "mvhd")
	trak := child(&f, where, inMoov, "trak")
	if field(mvhd, 16, 4) != 0 && len(mvhd) > 0 && mvhd[0] == 0 {
		f.add(InitDuration, where, "mvhd says %d ticks, and the media are elsewhere",
			field(mvhd, 16, 4))
	}
	in.track(&f, where, trak)
	if mvex := child(&f, where, inMoov, "mvex"); mvex != nil {
		trex := descend(&f, where, mvex, "trex")
		if id := uint32(field(trex, 4, 4)); id != in.Track {
			f.add(TrackID, where, "trex of track %d, tkhd of track %d", id, in.Track)
		}
		in.defaultDuration, in.defaultSize, in.defaultFlags = uint32(field(trex, 12, 4)),
			uint32(field(trex, 16, 4)), uint32(field(trex, 20, 4))
	}
	return in, f
}

func (in *Init) track(f *Findings, where string, trak []byte) {
	inTrak := boxes(f, where, trak)
	tkhd := child(f, where, inTrak, "tkhd")
	at := 12
	if len(tkhd) > 0 && tkhd[0] == 1 {
		at = 20
	}
	if in.Track = uint32(field(tkhd, at, 4)); in.Track == 0 {
		f.add(TrackID, where, "track_ID 0")
	}
	mdia := child(f, where, inTrak, "mdia")
	inMdia := boxes(f, where, mdia)
	mdhd := child(f, where, inMdia, "mdhd")
	if at = 12; len(mdhd) > 0 && mdhd[0] == 1 {
		at = 20
	}
	if in.Timescale = uint32(field(mdhd, at, 4)); in.Timescale == 0 {
		f.add(Timescale, where, "timescale 0")
	}
	hdlr := child(f, where, inMdia, "hdlr")
	if len(hdlr) >= 12 {
		in.Handler = string(hdlr[8:12])
	}
	minf := child(f, where, inMdia, "minf")
	inMinf := boxes(f, where, minf)
	descend(f, where, minf, "dinf", "dref")
	header := map[string]string{"vide": "vmhd", "soun": "smhd"}[in.Handler]
	if header == "" {
		f.add(BoxMissing, where, "handler %q", in.Handler)
	} else {
		child(f, where, inMinf, header)
	}
	inStbl := boxes(f, where, child(f, where, inMinf, "stbl"))
	for _, table := range []struct {
		kind string
		at   int
	}{{"stts", 4}, {"stsc", 4}, {"stco", 4}, {"stsz", 8}} {
		if body := child(f, where, inStbl, table.kind); field(body, table.at, 4) != 0 {
			f.add(InitSamples, where, "%s has %d entries", table.kind, field(body, table.at, 4))
		}
	}
	in.entry(f, where, child(f, where, inStbl, "stsd"))
}

// entry reads the only sample entry of stsd.
func (in *Init) entry(f *Findings, where string, stsd []byte) {
	if len(stsd) < 8 {
		f.add(BoxSize, where, "stsd of %d bytes", len(stsd))
		return
	}
	entries := boxes(f, where, stsd[8:])
	if len(entries) != 1 || field(stsd, 4, 4) != 1 {
		f.add(SampleEntry, where, "stsd has %d entries, counts %d", len(entries), field(stsd, 4, 4))
		return
	}
	e := entries[0]
	head := map[string]int{"avc1": 78, "hvc1": 78, "mp4a": 28}[e.kind]
	if head == 0 || len(e.body) < head {
		f.add(SampleEntry, where, "%q of %d bytes", e.kind, len(e.body))
		return
	}
	inner := boxes(f, where, e.body[head:])
	if (e.kind == "mp4a") != (in.Handler == "soun") {
		f.add(SampleEntry, where, "%s in a track of %s", e.kind, in.Handler)
	}
	switch e.kind {
	case "avc1":
		c := child(f, where, inner, "avcC")
		if len(c) < 7 || c[0] != 1 {
			f.add(SampleEntry, where, "avcC % x", c)
			return
		}
		in.family, in.LengthSize, in.Codec = avc, int(c[4]&3)+1, avcCodec(c[1], c[2], c[3])
	case "hvc1":
		c := child(f, where, inner, "hvcC")
		if len(c) < 23 || c[0] != 1 {
			f.add(SampleEntry, where, "hvcC % x", c)
			return
		}
		in.family, in.LengthSize, in.Codec = hevc, int(c[21]&3)+1, hevcCodec(c[1:13])
	case "mp4a":
		in.family = aac
		in.Codec = aacCodec(specificConfig(child(f, where, inner, "esds")))
		if in.Codec == "" {
			f.add(SampleEntry, where, "esds without an AudioSpecificConfig")
		}
	}
	if in.Handler == "vide" {
		in.Width, in.Height = int(field(e.body, 24, 2)), int(field(e.body, 26, 2))
		if in.Width == 0 || in.Height == 0 {
			f.add(SampleEntry, where, "%d x %d pixels", in.Width, in.Height)
		}
	}
}

// specificConfig finds the DecoderSpecificInfo of an esds box (ISO/IEC 14496-1 section 7.2.6): tag
// 3, in it 4, in it 5.
func specificConfig(esds []byte) []byte {
	if len(esds) < 4 {
		return nil
	}
	data := esds[4:]
	for _, level := range []struct {
		tag  byte
		skip int
	}{{3, 3}, {4, 13}, {5, 0}} {
		if len(data) < 2 || data[0] != level.tag {
			return nil
		}
		size, i := 0, 1
		for ; i < len(data) && i <= 4; i++ {
			size = size<<7 | int(data[i]&0x7F)
			if data[i]&0x80 == 0 {
				i++
				break
			}
		}
		if i+size > len(data) || level.skip > size {
			return nil
		}
		data = data[i+level.skip : i+size]
	}
	return data
}

const nonSync = 1 << 16 // sample_is_non_sync_sample

// ParseFragment reads a media segment of the track that an initialization section describes. One or
// more moof, mdat pairs, perhaps with styp, sidx and emsg before them.
func ParseFragment(in *Init, where string, data []byte) (*Timing, Findings) {
	var f Findings
	t := &Timing{Scale: int64(in.Timescale), Numbered: true, Bytes: int64(len(data))}
	top := boxes(&f, where, data)
	pairs := 0
	for i, b := range top {
		switch b.kind {
		case "styp", "sidx", "emsg", "prft":
			if pairs > 0 && b.kind == "styp" {
				f.add(SegmentOrder, where, "styp after media")
			}
		case "moof":
			if i+1 >= len(top) || top[i+1].kind != "mdat" {
				f.add(SegmentOrder, where, "no mdat follows moof: %q", kinds(top))
				return t, f
			}
			in.movieFragment(&f, where, t, data, b, top[i+1], pairs == 0)
			pairs++
		case "mdat":
			if i == 0 || top[i-1].kind != "moof" {
				f.add(SegmentOrder, where, "mdat without moof: %q", kinds(top))
			}
		default:
			f.add(SegmentOrder, where, "%s in a media segment", b.kind)
		}
	}
	if pairs == 0 {
		f.add(SegmentOrder, where, "no moof: %q", kinds(top))
	}
	return t, f
}

func (in *Init) movieFragment(f *Findings, where string, t *Timing, data []byte, moof, mdat mp4Box,
	first bool) {
	inMoof := boxes(f, where, moof.body)
	mfhd := child(f, where, inMoof, "mfhd")
	if sequence := uint32(field(mfhd, 4, 4)); first {
		t.Sequence = sequence
	}
	inTraf := boxes(f, where, child(f, where, inMoof, "traf"))
	tfhd := child(f, where, inTraf, "tfhd")
	flags := field(tfhd, 0, 4)
	if id := uint32(field(tfhd, 4, 4)); id != in.Track {
		f.add(TrackID, where, "tfhd of track %d, the init's is %d", id, in.Track)
	}
	if flags&0x1 != 0 || flags&0x020000 == 0 {
		f.add(BaseIsMoof, where, "tfhd flags %#06x: offsets must count from moof", flags)
	}
	duration, size, sampleFlags := in.defaultDuration, in.defaultSize, in.defaultFlags
	at := 8
	for _, o := range []struct {
		bit   uint64
		bytes int
		into  *uint32
	}{{0x1, 8, nil}, {0x2, 4, nil}, {0x8, 4, &duration}, {0x10, 4, &size},
		{0x20, 4, &sampleFlags}} {
		if flags&o.bit == 0 {
			continue
		}
		if o.into != nil {
			*o.into = uint32(field(tfhd, at, 4))
		}
		at += o.bytes
	}
	tfdt := child(f, where, inTraf, "tfdt")
	if tfdt == nil {
		f.add(DecodeTime, where, "traf without tfdt")
		return
	}
	start := int64(field(tfdt, 4, 4))
	if len(tfdt) > 0 && tfdt[0] == 1 {
		start = int64(field(tfdt, 4, 8))
	}
	if first {
		t.Start, t.Present = start, start
	}
	in.run(f, where, t, data, moof, mdat, child(f, where, inTraf, "trun"),
		runDefaults{start, duration, size, sampleFlags}, first)
}

type runDefaults struct {
	start                       int64
	duration, size, sampleFlags uint32
}

// run reads trun and the samples that it describes.
func (in *Init) run(f *Findings, where string, t *Timing, data []byte, moof, mdat mp4Box,
	trun []byte, d runDefaults, first bool) {
	has, count := field(trun, 0, 4)&0xFFFFFF, int(field(trun, 4, 4))
	columns := 0
	for _, bit := range []uint64{0x100, 0x200, 0x400, 0x800} {
		if has&bit != 0 {
			columns++
		}
	}
	at := 8
	dataOffset := 0
	if has&0x1 != 0 {
		dataOffset = int(int32(field(trun, at, 4)))
		at += 4
	}
	firstFlags := d.sampleFlags
	if has&0x4 != 0 {
		firstFlags = uint32(field(trun, at, 4))
		at += 4
	}
	if count == 0 || at+count*columns*4 != len(trun) {
		f.add(SampleCount, where, "trun of %d samples and %d columns in %d bytes", count, columns,
			len(trun))
		return
	}
	mdatBegin := mdat.offset + mdat.size - len(mdat.body)
	position := moof.offset + dataOffset
	if position != mdatBegin {
		f.add(DataOffset, where, "data begin at %d, mdat's at %d", position, mdatBegin)
	}
	time := d.start
	shown := map[int64]bool{}
	for i := range count {
		var v runDefaults
		var offset int64
		v, offset, at = sampleColumns(trun, at, has, d)
		if i == 0 && has&0x4 != 0 && has&0x400 == 0 {
			v.sampleFlags = firstFlags
		}
		duration, size, flags := v.duration, v.size, v.sampleFlags
		present := time + offset
		if shown[present] || present < 0 {
			f.add(PresentationTime, where,
				"sample %d is shown at tick %d, as another or before zero", i, present)
		}
		shown[present] = true
		if i == 0 && first {
			t.Present = present
		}
		t.Present = min(t.Present, present)
		if duration == 0 {
			f.add(SampleDuration, where, "sample %d lasts 0", i)
		}
		end := position + int(size)
		if size == 0 || end > mdatBegin+len(mdat.body) || position < mdatBegin {
			f.add(SampleSize, where, "sample %d: bytes %d to %d of mdat at %d to %d", i, position,
				end, mdatBegin, mdatBegin+len(mdat.body))
			return
		}
		sync := flags&nonSync == 0
		in.sample(f, where, i, data[position:end], sync)
		if t.Frames == 0 {
			t.Key, t.firstSize = sync, int(size)
		}
		t.samples = append(t.samples, sample{time, int64(duration), offset, sync,
			maphash.Bytes(hashSeed, data[position:end])})
		t.Frames++
		t.Duration += int64(duration)
		time += int64(duration)
		position = end
	}
	if position != mdatBegin+len(mdat.body) {
		f.add(SampleSize, where, "samples end at %d, mdat at %d", position,
			mdatBegin+len(mdat.body))
	}
}

// sampleColumns reads what trun says of one sample, from at on. What it does not say is the
// default.
func sampleColumns(
	trun []byte, at int, has uint64, d runDefaults,
) (_ runDefaults, offset int64, next int) {
	for _, bit := range []uint64{0x100, 0x200, 0x400, 0x800} {
		if has&bit == 0 {
			continue
		}
		v := uint32(field(trun, at, 4))
		switch at += 4; bit {
		case 0x100:
			d.duration = v
		case 0x200:
			d.size = v
		case 0x400:
			d.sampleFlags = v
		case 0x800:
			if offset = int64(v); trun[0] == 1 {
				offset = int64(int32(v))
			}
		}
	}
	return d, offset, at
}

// sample holds the bytes of a frame to the codec and to its sync flag.
func (in *Init) sample(f *Findings, where string, i int, data []byte, sync bool) {
	switch in.family {
	case aac:
		if !sync {
			f.add(SyncFlag, where, "audio sample %d is not a sync sample", i)
		}
		if len(data) > 2 && data[0] == 0xFF && data[1]&0xF6 == 0xF0 {
			f.add(NALUnits, where, "audio sample %d has an ADTS header", i)
		}
	case avc, hevc:
		nals, ok := lengthPrefixed(data, in.LengthSize)
		u := readUnit(in.family, nals)
		if !ok || u.slices == 0 {
			f.add(NALUnits, where, "sample %d: NAL unit lengths do not fill %d bytes, or no slice",
				i, len(data))
			return
		}
		if sync != u.key {
			f.add(SyncFlag, where, "sample %d: sync flag %v, random access picture %v", i, sync,
				u.key)
		}
	}
}

func (t *Timing) String() string {
	return fmt.Sprintf("%d+%d/%d, %d frames", t.Start, t.Duration, t.Scale, t.Frames)
}

// CheckIFrame holds the bytes of an I-frame's range in a media segment to RFC 8216 section 4.3.3.6:
// from moof (or what stands before it) to the end of its first sample, which is a random access
// point. Its trun may count the segment's other samples, whose bytes are not there.
func CheckIFrame(in *Init, where string, data []byte) (f Findings) {
	refuse := func(format string, args ...any) { f.add(IFrameBytes, where, format, args...) }
	for offset := 0; offset+16 <= len(data); {
		size := int(binary.BigEndian.Uint32(data[offset:]))
		kind := string(data[offset+4 : offset+8])
		if kind != "mdat" {
			if size < 8 || offset+size > len(data) {
				refuse("%s of %d bytes in %d", kind, size, len(data)-offset)
				return f
			}
			offset += size
			continue
		}
		// The whole segment as its tables describe it, cut after the first sample.
		whole := data
		if missing := offset + size - len(data); missing > 0 && size > 8 {
			whole = append(slices.Clone(data), make([]byte, missing)...)
		}
		t, err := ParseFragment(in, where, whole)
		err = slices.DeleteFunc(err, func(x Finding) bool {
			return x.Rule == NALUnits || x.Rule == SyncFlag
		})
		f = append(f, err...)
		if first := offset + 8 + t.firstSize; len(data) != first || !t.Key {
			refuse("%d bytes; the first sample (random access: %v) ends at %d", len(data), t.Key,
				first)
		} else if nals, ok := lengthPrefixed(data[offset+8:],
			in.LengthSize); !ok || !readUnit(in.family, nals).key {
			refuse("the sample is no I-frame")
		}
		return f
	}
	refuse("no mdat in %d bytes", len(data))
	return f
}
