package fmp4

import (
	"math"

	"weir/internal/media"
)

// trackID is the track_ID of the only track.
const trackID = 1

// InitSegment returns the initialization segment of one track:
//
//	ftyp                      brands iso6, cmf2
//	moov
//	├ mvhd                    timescale; duration 0, it is in the fragments
//	├ trak
//	│ ├ tkhd                  display size: cropped, sample aspect ratio applied
//	│ └ mdia
//	│   ├ mdhd                timescale of the track, language und
//	│   ├ hdlr                vide or soun
//	│   └ minf
//	│     ├ vmhd | smhd
//	│     ├ dinf / dref / url   the media is in this file
//	│     └ stbl
//	│       ├ stsd            avc1 + avcC | hvc1 + hvcC | mp4a + esds | alaw | ulaw
//	│       └ stts stsc stsz stco   empty
//	└ mvex
//	  └ trex                  no defaults: each fragment has its own
//
// The timescale is t.Timescale, or media.Timescale of the track if that is zero. It must be that of
// the track's runs. Errors are those of media.CodecString: ErrMissingCodecPrivate,
// ErrInvalidCodecPrivate, ErrUnsupportedCodec.
func InitSegment(t *media.Track) ([]byte, error) {
	e, err := newEntry(t)
	if err != nil {
		return nil, err
	}
	scale := t.Timescale
	if scale == 0 {
		scale = media.Timescale(t)
	}
	w := &builder{b: make([]byte, 0, 640+len(t.CodecPrivate))}
	w.box("ftyp", func() {
		w.text("iso6")
		w.u32(0)
		w.text("iso6cmf2")
	})
	w.box("moov", func() {
		w.full("mvhd", 0, 0, func() {
			w.zero(8) // creation, modification
			w.u32(scale)
			w.u32(0)          // duration
			w.u32(0x00010000) // rate 1.0
			w.u16(0x0100)     // volume 1.0
			w.zero(10)
			w.matrix()
			w.zero(24)
			w.u32(trackID + 1) // next_track_ID
		})
		w.box("trak", func() {
			w.tkhd(e, trackID, 0)
			w.box("mdia", func() {
				w.mdia(e, scale, 0, func() {
					w.full("stts", 0, 0, func() { w.u32(0) })
					w.full("stsc", 0, 0, func() { w.u32(0) })
					w.full("stsz", 0, 0, func() { w.zero(8) })
					w.full("stco", 0, 0, func() { w.u32(0) })
				})
			})
		})
		w.box("mvex", func() {
			w.full("trex", 0, 0, func() {
				w.u32(trackID)
				w.u32(1) // default_sample_description_index
				w.zero(12)
			})
		})
	})
	return w.b, nil
}

// matrix writes the identity matrix.
func (w *builder) matrix() {
	for _, v := range [9]uint32{0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000} {
		w.u32(v)
	}
}

// versionFor returns the version of a box with such a time or duration: version 1 has 64 bits for
// it.
func versionFor(v uint64) uint8 {
	if v > math.MaxUint32 {
		return 1
	}
	return 0
}

// time writes a time or duration.
func (w *builder) time(version uint8, v uint64) {
	if version == 0 {
		w.u32(uint32(v))
	} else {
		w.u64(v)
	}
}

// tkhd writes the header of a track; duration is in ticks of the movie.
func (w *builder) tkhd(e *entry, id uint32, duration uint64) {
	version := versionFor(duration)
	w.full("tkhd", version, 3, func() { // enabled, in movie
		w.time(version, 0) // creation
		w.time(version, 0) // modification
		w.u32(id)
		w.zero(4)
		w.time(version, duration)
		w.zero(8)
		w.zero(2 + 2) // layer, alternate group
		if e.sps == nil {
			w.u16(0x0100) // volume 1.0
		} else {
			w.u16(0)
		}
		w.u16(0)
		w.matrix()
		width, height := e.display()
		w.u32(width)
		w.u32(height)
	})
}

// display returns the size to show the picture at, in 16.16 fixed point. The width is stretched by
// the sample aspect ratio, unless the field cannot hold the result.
func (e *entry) display() (width, height uint32) {
	if e.sps == nil {
		return 0, 0
	}
	wide := uint64(e.sps.Width) << 16
	if e.sps.SARWidth > 0 && e.sps.SARHeight > 0 {
		sw, sh := uint64(e.sps.SARWidth), uint64(e.sps.SARHeight)
		if v := (wide*sw + sh/2) / sh; v > 0 && v <= math.MaxUint32 {
			wide = v
		}
	}
	return uint32(wide), uint32(e.sps.Height) << 16
}

// mdia writes the media of a track. duration is in ticks of the track. tables writes what follows
// the sample entry in stbl.
func (w *builder) mdia(e *entry, scale uint32, duration uint64, tables func()) {
	version := versionFor(duration)
	w.full("mdhd", version, 0, func() {
		w.time(version, 0) // creation
		w.time(version, 0) // modification
		w.u32(scale)
		w.time(version, duration)
		w.u16(0x55c4) // und
		w.u16(0)
	})
	w.full("hdlr", 0, 0, func() {
		w.u32(0)
		if e.sps != nil {
			w.text("vide")
		} else {
			w.text("soun")
		}
		w.zero(12)
		w.text("Weir\x00")
	})
	w.box("minf", func() {
		if e.sps != nil {
			w.full("vmhd", 0, 1, func() { w.zero(8) })
		} else {
			w.full("smhd", 0, 0, func() { w.zero(4) })
		}
		w.box("dinf", func() {
			w.full("dref", 0, 0, func() {
				w.u32(1)
				w.full("url ", 0, 1, func() {}) // media is in the same file
			})
		})
		w.box("stbl", func() {
			w.full("stsd", 0, 0, func() {
				w.u32(1)
				w.entry(e)
			})
			tables()
		})
	})
}
