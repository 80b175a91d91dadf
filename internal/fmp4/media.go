package fmp4

import (
	"encoding/binary"
	"fmt"
	"math"

	"weir/internal/media"
)

// Flags of tfhd and trun (ISO/IEC 14496-12 clauses 8.8.7 and 8.8.8).
const (
	tfhdDuration   = 0x000008
	tfhdSize       = 0x000010
	tfhdFlags      = 0x000020
	tfhdBaseIsMoof = 0x020000

	trunDataOffset = 0x000001
	trunFirstFlags = 0x000004
	trunDuration   = 0x000100
	trunSize       = 0x000200
	trunFlags      = 0x000400
	trunOffset     = 0x000800
)

// Sample flags (clause 8.8.3.1).
const (
	syncSample    = 0x02000000 // depends on no other
	nonSyncSample = 0x01010000 // depends on others, not a sync sample
	// depends on no other, but not a sync sample: samples after it may depend on samples before it
	openSample = 0x02010000
	// nonSyncSample, and leading: presented before the open sample, perhaps not decodable from
	// there
	leadingSample = 0x05010000
)

// maxFrames keeps the moof box and its data offset far below 2^31 bytes.
const maxFrames = 1 << 24

// AppendMediaHeader appends what goes directly before the payload of a run:
//
//	moof
//	├ mfhd              sequence
//	└ traf
//	  ├ tfhd            offsets count from moof; durations, sizes and flags that all frames share
//	  ├ tfdt            baseDecodeTime, 64 bits
//	  └ trun            version 1 (signed composition offsets); a column only for what differs
//	mdat                header only: 8 bytes, or 16 when the payload needs 64 bits
//
// baseDecodeTime is in ticks of the track's timescale. It replaces run.BaseDecodeTime, because
// media in a session starts near zero. The run's frames are access units (media.Run.Units). Frames
// of tracks other than video are all sync samples. A run without frames or with more than 2^24, and
// a negative time, are errors; dst is then returned as it was. It does not check the codec.
func AppendMediaHeader(dst []byte, t *media.Track, run *media.Run, sequence uint32,
	baseDecodeTime int64) ([]byte, error) {
	n := len(run.Frames)
	if n == 0 || n > maxFrames {
		return dst, fmt.Errorf("run of track %d has %d frames, want 1 to %d", run.Track, n,
			maxFrames)
	}
	if baseDecodeTime < 0 {
		return dst, fmt.Errorf("run of track %d: decode time %d is negative", run.Track,
			baseDecodeTime)
	}
	l := layOut(t, run)

	moof, mdat := l.lengths()
	if cap(dst)-len(dst) < moof+mdat {
		grown := make([]byte, len(dst), len(dst)+moof+mdat)
		copy(grown, dst)
		dst = grown
	}
	be := binary.BigEndian
	dst = appendHeader(dst, moof, "moof")
	dst = appendHeader(dst, 16, "mfhd")
	dst = be.AppendUint32(dst, 0)
	dst = be.AppendUint32(dst, sequence)
	dst = appendHeader(dst, 8+l.tfhdSize+20+l.trunSize, "traf")

	dst = appendHeader(dst, l.tfhdSize, "tfhd")
	dst = be.AppendUint32(dst, l.tfhd)
	dst = be.AppendUint32(dst, trackID)
	if l.tfhd&tfhdDuration != 0 {
		dst = be.AppendUint32(dst, run.Frames[0].Duration)
	}
	if l.tfhd&tfhdSize != 0 {
		dst = be.AppendUint32(dst, run.Frames[0].Size)
	}
	if l.tfhd&tfhdFlags != 0 {
		dst = be.AppendUint32(dst, l.defaultFlags)
	}

	dst = appendHeader(dst, 20, "tfdt")
	dst = be.AppendUint32(dst, 1<<24) // version 1
	dst = be.AppendUint64(dst, uint64(baseDecodeTime))

	dst = appendHeader(dst, l.trunSize, "trun")
	dst = be.AppendUint32(dst, 1<<24|l.trun) // version 1
	dst = be.AppendUint32(dst, uint32(n))
	dst = be.AppendUint32(dst, uint32(moof+mdat)) // data_offset
	if l.trun&trunFirstFlags != 0 {
		dst = be.AppendUint32(dst, syncSample)
	}
	for i := range run.Frames {
		f := &run.Frames[i]
		if l.trun&trunDuration != 0 {
			dst = be.AppendUint32(dst, f.Duration)
		}
		if l.trun&trunSize != 0 {
			dst = be.AppendUint32(dst, f.Size)
		}
		if l.trun&trunFlags != 0 {
			dst = be.AppendUint32(dst, sampleFlags(t, f))
		}
		if l.trun&trunOffset != 0 {
			dst = be.AppendUint32(dst, uint32(f.CompositionOffset))
		}
	}

	if mdat == 8 {
		return appendHeader(dst, int(l.payload)+8, "mdat"), nil
	}
	dst = appendHeader(dst, 1, "mdat") // the size follows in 64 bits
	return be.AppendUint64(dst, uint64(l.payload)+16), nil
}

// layout says which fields the boxes of a run have.
type layout struct {
	tfhd, trun         uint32 // flags
	tfhdSize, trunSize int    // bytes
	defaultFlags       uint32
	payload            int64
}

// layOut decides which fields each frame has and which all frames share.
func layOut(t *media.Track, run *media.Run) layout {
	l := layOutTraits(t.Kind, run.Traits(), len(run.Frames), run.Size())
	l.defaultFlags = sampleFlags(t, &run.Frames[len(run.Frames)-1])
	return l
}

// layOutTraits is layOut without the frames. It leaves defaultFlags unset.
func layOutTraits(kind media.Kind, traits media.Traits, frames int, payload int64) layout {
	l := layout{tfhd: tfhdBaseIsMoof, trun: trunDataOffset, tfhdSize: 16, trunSize: 20,
		payload: payload}
	column := 0
	place := func(shared bool, inTfhd, inTrun uint32) {
		if shared {
			l.tfhd |= inTfhd
			l.tfhdSize += 4
		} else {
			l.trun |= inTrun
			column += 4
		}
	}
	place(traits&media.EqualDurations != 0, tfhdDuration, trunDuration)
	place(traits&media.EqualSizes != 0, tfhdSize, trunSize)
	switch {
	case traits&media.EqualKeys != 0 || kind != media.Video:
		place(true, tfhdFlags, trunFlags)
	case traits&media.FirstKeyOnly != 0: // the usual group of pictures: one key frame, then none
		place(true, tfhdFlags, trunFlags)
		l.trun |= trunFirstFlags
		l.trunSize += 4
	default:
		place(false, tfhdFlags, trunFlags)
	}
	if traits&media.PresentedInOrder == 0 {
		l.trun |= trunOffset
		column += 4
	}
	l.trunSize += column * frames
	return l
}

// lengths returns the length of the moof box, and mdat that of the header after it.
func (l *layout) lengths() (moof, mdat int) {
	if l.payload > math.MaxUint32-8 {
		mdat = 8
	}
	return 8 + 16 + 8 + l.tfhdSize + 20 + l.trunSize, mdat + 8
}

// MediaHeaderSize returns the length in bytes of what AppendMediaHeader writes for a run, from the
// kind of its track, the traits and number of its frames, and the bytes of its payload. So the
// place of a frame in a segment is known without the frame table.
func MediaHeaderSize(kind media.Kind, traits media.Traits, frames int, payload int64) int64 {
	l := layOutTraits(kind, traits, frames, payload)
	moof, mdat := l.lengths()
	return int64(moof + mdat)
}

func sampleFlags(t *media.Track, f *media.Frame) uint32 {
	switch {
	case f.Key || t.Kind != media.Video:
		return syncSample
	case f.Marks&media.Open != 0:
		return openSample
	case f.Marks&media.Leading != 0:
		return leadingSample
	}
	return nonSyncSample
}

func appendHeader(dst []byte, size int, typ string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	return append(dst, typ...)
}
