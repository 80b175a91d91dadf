package e2e_test

import (
	"encoding/binary"
	"testing"
)

// box finds the first box at a path ("moof", "traf", "trun") and returns its payload (ISO/IEC
// 14496-12 section 4.2; all boxes here are smaller than 4 GB).
func box(t testing.TB, data []byte, path ...string) []byte {
	t.Helper()
	for len(data) >= 8 {
		size := int(binary.BigEndian.Uint32(data))
		if size < 8 || size > len(data) {
			break
		}
		if string(data[4:8]) == path[0] {
			if len(path) == 1 {
				return data[8:size]
			}
			return box(t, data[8:size], path[1:]...)
		}
		data = data[size:]
	}
	t.Fatalf("no %s box", path[0])
	return nil
}

// mdat returns the payload of a segment.
func mdat(t testing.TB, segment []byte) []byte {
	t.Helper()
	return box(t, segment, "mdat")
}

// mediaTimescale reads the timescale of an initialization section's only track, from mdhd version 0
// or 1.
func mediaTimescale(t testing.TB, init []byte) uint32 {
	t.Helper()
	mdhd := box(t, init, "moov", "trak", "mdia", "mdhd")
	if mdhd[0] == 1 {
		return binary.BigEndian.Uint32(mdhd[20:])
	}
	return binary.BigEndian.Uint32(mdhd[12:])
}

// fragmentTimes reads a segment's decode time, the sum of its sample durations in ticks, and
// whether its first sample is a sync sample (sections 8.8.7, 8.8.8 and 8.8.12).
func fragmentTimes(t testing.TB, segment []byte) (start, length uint64, key bool) {
	t.Helper()
	u32 := binary.BigEndian.Uint32
	const nonSync = 1 << 16
	tfhd := box(t, segment, "moof", "traf", "tfhd")
	var duration, flags uint32
	fields := tfhd[8:]
	// base-data-offset, description, duration, size, flags
	for _, bit := range []uint32{0x1, 0x2, 0x8, 0x10, 0x20} {
		if u32(tfhd)&bit == 0 {
			continue
		}
		switch bit {
		case 0x1:
			fields = fields[4:]
		case 0x8:
			duration = u32(fields)
		case 0x20:
			flags = u32(fields)
		}
		fields = fields[4:]
	}
	tfdt := box(t, segment, "moof", "traf", "tfdt")
	if start = uint64(u32(tfdt[4:])); tfdt[0] == 1 {
		start = binary.BigEndian.Uint64(tfdt[4:])
	}
	trun := box(t, segment, "moof", "traf", "trun")
	has, count := u32(trun), u32(trun[4:])
	fields = trun[8:]
	if has&0x1 != 0 { // data-offset
		fields = fields[4:]
	}
	if has&0x4 != 0 { // first-sample-flags
		key = u32(fields)&nonSync == 0
		fields = fields[4:]
	}
	for i := range count {
		d, f := duration, flags
		// duration, size, flags, composition offset
		for _, bit := range []uint32{0x100, 0x200, 0x400, 0x800} {
			if has&bit == 0 {
				continue
			}
			switch bit {
			case 0x100:
				d = u32(fields)
			case 0x400:
				f = u32(fields)
			}
			fields = fields[4:]
		}
		length += uint64(d)
		if i == 0 && has&0x4 == 0 {
			key = f&nonSync == 0
		}
	}
	return start, length, key
}
