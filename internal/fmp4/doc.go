// Package fmp4 writes MP4 (ISO/IEC 14496-12): fragmented, within CMAF (ISO/IEC 23000-19), for HLS
// and DASH, and progressive, for clips (Movie). For fragmented MP4 it makes an initialization
// segment for each track (InitSegment) and, for each run of frames, the bytes before its payload
// (AppendMediaHeader). It never touches the payload: a stored run is already the body of an mdat
// box, or a chunk in one. So a media segment is one small header and one file range. Dump prints
// boxes as text, for tests and for people.
//
// # Form
//
// A file has one track, always with track ID 1, so that an init segment stays valid while the
// producer keeps its codec configuration. The files carry the brands iso6 (movie fragments with
// default-base-is-moof, 64-bit tfdt, signed composition offsets) and cmf2 (CMAF with signed offsets
// instead of edit lists, sample defaults in the fragment and not in trex).
//
// Signed offsets keep presentation at tfdt, by which players that use Media Source Extensions place
// a segment. The alternative is to raise offsets until none is negative, and to subtract that again
// in an edit list (brand cmfc). It fails: hls.js places tfdt at zero, the edit list then gives the
// first pictures negative decode times, and Chromium drops them up to the second key frame. Raised
// offsets without an edit list leave a hole at the start. The price of signed offsets is that
// FFmpeg shows the pictures of such tracks late by the reordering, 80 ms at 25 pictures a second.
// With transport streams it does not.
//
//	init.go     ftyp, moov       what a player must know before the first frame
//	media.go    moof, mdat       when and how large each frame is
//	entry.go    stsd             how the codec is configured
//	movie.go    ftyp, moov       of a progressive file; movietrack.go has its tables, edits.go its
//	                             edit lists, column.go tables that grow beyond memory
//	box.go      box framing
//	dump.go     text
//
// # hvc1, not hev1; avc1, not avc3
//
// Producers put parameter sets in the codec private data, and many also before each key frame. The
// names that formally allow the latter are hev1 and avc3. Weir still writes hvc1 and avc1: the
// complete sets are in the sample entry, as those names demand; Apple's players accept HEVC in HLS
// as hvc1 only; and players ignore repeated identical sets. When the sets change, the codec private
// data does too, and playback begins a new init segment.
package fmp4
