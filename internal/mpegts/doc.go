// Package mpegts writes HLS media segments as MPEG-2 transport streams (ISO/IEC 13818-1), one
// fragment each: H.264 (ISO/IEC 14496-10, stream type 0x1B), H.265 (0x24) and AAC in ADTS (0x0F),
// all tracks in one. Its only I/O is reading the frames that it is given.
//
//	segment.go    what goes where: the plan of a segment, its length, its bytes
//	unit.go       one PES packet of that plan
//	elementary.go turns frames of Matroska and MP4 into what a transport stream carries
//	packet.go     packets, tables, PES headers
//	dump.go       a transport stream as text
//
// # The same bytes every time
//
// A segment depends only on its fragment and the session's constants; it knows nothing of its
// neighbours. But a player that appends one segment to another must not see lost packets (13818-1
// clause 2.4.3.3: the continuity counter grows by one with each packet of a PID that has payload).
// So each segment has a multiple of sixteen packets with payload on its audio PID and on its video
// PID, and each PID begins with counter 0. To get there, the last PES packet is spread over up to
// fifteen more packets, filled with stuffing: 1.4 kB per track and segment on average. PAT and PMT
// are one packet each, and sixteen of them would be too many. The caller passes their counter,
// which grows from fragment to fragment and has no other effect. All segments of one fragment have
// the same counter; the later ones set the discontinuity indicator of these two packets.
//
// # Time
//
// All times are on one 90 kHz clock that runs modulo 2^33: a track's decode time in the session,
// plus ten seconds so that no time is negative. When pictures are reordered, MP4 presents a frame
// before its decode time (a negative composition offset). A transport stream cannot, so all decode
// times are earlier by a constant of the session. A frame that would still be presented too early
// also moves its own decode time, and those before it. Presentation times are the same as in MP4.
// The clock reference is half a second before the decode time of the first byte, and comes at least
// every 90 ms (clause 2.7.2 demands 100 ms).
package mpegts
