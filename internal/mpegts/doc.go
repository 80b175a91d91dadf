// Package mpegts writes HLS media segments as MPEG-2 transport streams (ISO/IEC 13818-1), one
// fragment each: H.264 (ISO/IEC 14496-10, stream type 0x1B), H.265 (0x24) and AAC in ADTS (0x0F),
// all tracks in one. It does no I/O but reading the frames that it is given.
//
//	segment.go    what goes where: the plan of a segment, its length, its bytes
//	elementary.go frames of Matroska and MP4 to what a transport stream carries
//	packet.go     packets, tables, PES headers
//	dump.go       a transport stream as text
//
// # The same bytes every time
//
// A segment is a function of its fragment and the session's constants; it knows nothing of its
// neighbours. Yet a player that puts one segment behind the other must not see lost packets
// (13818-1 clause 2.4.3.3: the continuity counter grows by one with each packet of a PID that has
// payload). So the audio and the video PID of a segment have a multiple of sixteen packets with
// payload, and each begins with counter 0: the last PES packet is spread over up to fifteen packets
// more, filled with stuffing. That is 1.4 kB a track and segment on average. PAT and PMT are one
// packet each, and sixteen of them would be too many; their counter is given by the caller, who has
// a number that grows from fragment to fragment. (Nothing but that counter depends on it.) Of a
// fragment that is sent as several segments all have the same number; the later ones say so with
// the discontinuity indicator of these two packets.
//
// # Time
//
// All times are of one 90 kHz clock that runs modulo 2^33: a track's decode time in the session,
// plus ten seconds, so that nothing is negative. MP4 shows a frame before its decode time when
// pictures are reordered (a negative composition offset); here decode times are moved ahead by a
// constant of the session instead, and a frame that would still be shown earlier pulls its decode
// time, and those before it, ahead. The presentation times are the same as in MP4. The clock
// reference is half a second before the first byte's decode time, and at least every 90 ms (clause
// 2.7.2 demands 100 ms).
package mpegts
