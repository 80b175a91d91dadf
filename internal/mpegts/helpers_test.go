package mpegts

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/media"
)

var update = flag.Bool("update", false, "write the golden files")

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func video(codec string, private []byte) *media.Track {
	return &media.Track{Number: 1, Kind: media.Video, CodecID: codec, CodecPrivate: private,
		Timescale: media.VideoTimescale}
}

func audio(private []byte, rate uint32) *media.Track {
	return &media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC,
		CodecPrivate: private, Timescale: rate}
}

// nals puts NAL units after lengths of the given size.
func nals(size int, units ...[]byte) (out []byte) {
	for _, u := range units {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(u)))
		out = append(append(out, n[4-size:]...), u...)
	}
	return out
}

// annexB makes a byte stream of the units.
func annexB(units ...[]byte) (out []byte) {
	for _, u := range units {
		out = append(append(out, 0, 0, 0, 1), u...)
	}
	return out
}

// input makes a run of the frames, each of that duration, the first a key frame.
func input(t *media.Track, at int64, duration uint32, frames ...[]byte) Input {
	run := &media.Run{Track: t.Number}
	for i, f := range frames {
		run.Frames = append(run.Frames, media.Frame{Duration: duration, Size: uint32(len(f)),
			Key: i == 0 || t.Kind == media.Audio})
	}
	return Input{Track: t, Run: run, DecodeTime: at,
		Payload: bytes.NewReader(bytes.Join(frames, nil))}
}

func write(t testing.TB, o Options, inputs ...Input) []byte {
	t.Helper()
	s, err := NewSegment(inputs, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(data)) != s.Size() {
		t.Fatalf("%d bytes, %d were promised", len(data), s.Size())
	}
	return data
}

// pes is a PES packet as a reader of the stream finds it.
type pes struct {
	pid      uint16
	pts, dts int64
	data     []byte
	at, end  int // bytes of the segment
	entry    bool
}

// read parses a segment and checks every packet.
func read(t testing.TB, data []byte) (found []pes) {
	t.Helper()
	if len(data)%packetSize != 0 {
		t.Fatalf("%d bytes", len(data))
	}
	counters, packets := map[uint16]byte{}, map[uint16]int{}
	open := map[uint16]int{}
	length := map[uint16]int{}
	clock := int64(-1)
	for at := 0; at < len(data); at += packetSize {
		p := data[at : at+packetSize]
		pid := binary.BigEndian.Uint16(p[1:]) & 0x1fff
		body := p[4:]
		var entry bool
		if p[3]&0x20 != 0 {
			n := int(p[4])
			if n > 0 && p[5]&flagPCR != 0 {
				pcr := int64(binary.BigEndian.Uint32(p[6:]))<<1 | int64(p[10]>>7)
				if clock >= 0 && ((pcr-clock)&timeMask) > 9000 {
					t.Errorf("byte %d: clock goes from %d to %d", at, clock, pcr)
				}
				clock = pcr
			}
			entry = n > 0 && p[5]&flagRandomAccess != 0
			body = p[5+n:]
		}
		has := p[3]&0x10 != 0
		if has == (len(body) == 0) {
			t.Fatalf("byte %d: payload flag %v with %d bytes", at, has, len(body))
		}
		if last, ok := counters[pid]; ok && has && p[3]&15 != (last+1)&15 || ok && !has &&
			p[3]&15 != last {
			t.Fatalf("byte %d: pid %d: counter %d after %d", at, pid, p[3]&15, last)
		} else if !ok && pid >= pidVideo && pid <= pidAudio && p[3]&15 != 0 {
			t.Fatalf("byte %d: pid %d begins with counter %d", at, pid, p[3]&15)
		}
		counters[pid] = p[3] & 15
		if !has {
			continue
		}
		packets[pid]++
		if pid != pidVideo && pid != pidAudio {
			if crcMPEG(body[1:4+int(binary.BigEndian.Uint16(body[2:])&0xfff)]) != 0 {
				t.Errorf("byte %d: CRC", at)
			}
			continue
		}
		if p[1]&0x40 != 0 {
			if i, ok := open[pid]; ok && length[pid] > 0 && len(found[i].data) != length[pid] {
				t.Fatalf("PES of %d bytes, length says %d", len(found[i].data), length[pid])
			}
			n := 9 + int(body[8])
			u := startOfPES(t, body, at, clock)
			u.pid, u.entry = pid, entry
			length[pid] = 0
			if l := int(binary.BigEndian.Uint16(body[4:])); l > 0 {
				length[pid] = l + 6 - n
			}
			open[pid] = len(found)
			found = append(found, u)
			body = body[n:]
		}
		u := &found[open[pid]]
		u.data = append(u.data, body...)
		u.end = at + packetSize
	}
	for _, pid := range []uint16{pidVideo, pidAudio} {
		if packets[pid]%16 != 0 {
			t.Errorf("pid %d has %d packets", pid, packets[pid])
		}
	}
	return found
}

// startOfPES reads the times of a PES packet from the header at the start of body.
func startOfPES(t testing.TB, body []byte, at int, clock int64) pes {
	t.Helper()
	u := pes{at: at, pts: pesTime(body[9:])}
	u.dts = u.pts
	if body[7]&0x40 != 0 {
		u.dts = pesTime(body[14:])
		if u.dts == u.pts {
			t.Errorf("byte %d: decode time without need", at)
		}
	}
	if lead := (u.dts - clock) & timeMask; lead > 20*90000 {
		t.Errorf("byte %d: clock %d, decode time %d", at, clock, u.dts)
	}
	return u
}

func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	var out strings.Builder
	if err := Dump(&out, data); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, &out, want)
	}
}

func filled(first byte, n int) []byte {
	b := bytes.Repeat([]byte{0xab}, n)
	b[0] = first
	return b
}

// shortReader returns up to limit bytes from each Read.
type shortReader struct {
	r      io.Reader
	random *rand.Rand
	limit  int
}

func (s shortReader) Read(p []byte) (int, error) {
	return s.r.Read(p[:min(len(p), 1+s.random.IntN(s.limit))])
}
