package playback_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/ingest"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// odd is media as a producer sends it. Frames contain their name, so that each can be found again.
type odd struct {
	clusters []oddCluster
	names    map[int]int // frames named so far, by track
}

type oddCluster struct {
	at     int64 // milliseconds
	frames []oddFrame
}

type oddFrame struct {
	track int
	at    int64
	key   bool
	name  string
}

// cluster begins a cluster at a time; frame adds a frame to it.
func (o *odd) cluster(at int64) { o.clusters = append(o.clusters, oddCluster{at: at}) }

func (o *odd) frame(track int, at int64, key bool) {
	if o.names == nil {
		o.names = map[int]int{}
	}
	c := &o.clusters[len(o.clusters)-1]
	c.frames = append(c.frames,
		oddFrame{track, at, key, fmt.Sprintf("<%d:%06d>", track, o.names[track])})
	o.names[track]++
}

// picture and sound add frames that begin at from and last length together.
func (o *odd) picture(from, length, step int64) {
	for at := from; at < from+length; at += step {
		o.frame(1, at, at == from)
	}
}

func (o *odd) sound(from, length int64) {
	for k := int64(0); ; k++ {
		at := from + (k*1024*1000+22050)/44100
		if at >= from+length {
			return
		}
		o.frame(2, at, true)
	}
}

// data returns the frame's bytes: a NAL unit, or something like AAC.
func (f *oddFrame) data() []byte {
	if f.track == 2 {
		return []byte("\x21sound " + f.name)
	}
	unit := []byte("\x41\x9a picture " + f.name) // first_mb_in_slice is 0
	if f.key {
		unit[0], unit[1] = 0x65, 0x88
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(unit))), unit...)
}

type noAcks struct{}

func (noAcks) WriteAck([]byte) error { return nil }

// send is one connection.
func (o *odd) send(t *testing.T, s *server, stream store.Stream, now func() time.Time) {
	t.Helper()
	var body bytes.Buffer
	w := mkv.NewWriter(&body)
	err := w.WriteHeader(mkv.Header{Tracks: []media.Track{
		{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
			CodecPrivate: cameratest.Video().CodecPrivate},
		{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC, CodecPrivate: []byte{0x12, 0x10},
			SampleRate: 44100, Channels: 2},
	}})
	for i := range o.clusters {
		c := &o.clusters[i]
		slices.SortStableFunc(c.frames, func(a, b oddFrame) int { return int(a.at - b.at) })
		if err == nil {
			err = w.WriteCluster(c.at)
		}
		for j := range c.frames {
			if f := &c.frames[j]; err == nil {
				err = w.WriteFrame(f.track, f.at, f.key, f.data())
			}
		}
	}
	if err == nil {
		err = w.WriteTags([]media.Tag{{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}})
	}
	if err == nil {
		err = ingest.New(ingest.Options{Stream: stream, Store: s.Store,
			TimecodeType: api.TimecodeAbsolute, Clock: now,
			Limits: ingest.Limits{MaxConnection: 3 * time.Hour,
				FragmentDuration: 30 * time.Second}}).Run(t.Context(), &body, noAcks{})
	}
	if err != nil {
		t.Fatal(err)
	}
	o.clusters = nil
}
