package media

import (
	"errors"
	"strings"
	"testing"
)

func TestAACConfig(t *testing.T) {
	bits := func() *bitWriter { return new(bitWriter) }
	lc := AACConfig{ObjectType: 2, CoreObjectType: 2, SampleRate: 48000, OutputRate: 48000,
		Channels: 2, ChannelConfig: 2, FrameLength: 1024}
	for _, c := range []struct {
		name  string
		asc   []byte
		want  AACConfig
		codec string
	}{
		{"LC", []byte{0x11, 0x90}, lc, "mp4a.40.2"},
		{"LC, sync extension without SBR", unhex(aacSyncNone),
			AACConfig{ObjectType: 2, CoreObjectType: 2, SampleRate: 44100, OutputRate: 44100,
				Channels: 2, ChannelConfig: 2, FrameLength: 1024}, "mp4a.40.2"},
		{"LC, padded with zeros", []byte{0x11, 0x90, 0, 0, 0, 0}, lc, "mp4a.40.2"},
		{"SBR, hierarchical", bits().u(5, 5).u(4, 6).u(4, 2).u(4, 3).u(5, 2).u(3, 0).b,
			AACConfig{ObjectType: 5, CoreObjectType: 2, SampleRate: 24000, OutputRate: 48000,
				Channels: 2, ChannelConfig: 2, FrameLength: 1024, SBR: true}, "mp4a.40.5"},
		{"PS, hierarchical", bits().u(5, 29).u(4, 7).u(4, 1).u(4, 4).u(5, 2).u(3, 0).b,
			AACConfig{ObjectType: 29, CoreObjectType: 2, SampleRate: 22050, OutputRate: 44100,
				Channels: 1, ChannelConfig: 1, FrameLength: 1024, SBR: true, PS: true},
			"mp4a.40.29"},
		{"SBR, backward compatible", bits().u(5, 2).u(4, 6).u(4, 2).u(3, 0).u(11, 0x2b7).u(5,
			5).u(1, 1).u(4, 3).b,
			AACConfig{ObjectType: 5, CoreObjectType: 2, SampleRate: 24000, OutputRate: 48000,
				Channels: 2, ChannelConfig: 2, FrameLength: 1024, SBR: true}, "mp4a.40.5"},
		{"PS, backward compatible", bits().u(5, 2).u(4, 6).u(4, 1).u(3, 0).u(11, 0x2b7).u(5, 5).u(1,
			1).u(4, 3).u(11, 0x548).u(1, 1).b,
			AACConfig{ObjectType: 29, CoreObjectType: 2, SampleRate: 24000, OutputRate: 48000,
				Channels: 1, ChannelConfig: 1, FrameLength: 1024, SBR: true, PS: true},
			"mp4a.40.29"},
		{"960 samples", bits().u(5, 2).u(4, 3).u(4, 2).u(3, 4).b,
			AACConfig{ObjectType: 2, CoreObjectType: 2, SampleRate: 48000, OutputRate: 48000,
				Channels: 2, ChannelConfig: 2, FrameLength: 960}, "mp4a.40.2"},
		{"rate escape", bits().u(5, 2).u(4, 15).u(24, 44056).u(4, 1).u(3, 0).b,
			AACConfig{ObjectType: 2, CoreObjectType: 2, SampleRate: 44056, OutputRate: 44056,
				Channels: 1, ChannelConfig: 1, FrameLength: 1024}, "mp4a.40.2"},
		{"7.1", bits().u(5, 2).u(4, 3).u(4, 7).u(3, 0).b,
			AACConfig{ObjectType: 2, CoreObjectType: 2, SampleRate: 48000, OutputRate: 48000,
				Channels: 8, ChannelConfig: 7, FrameLength: 1024}, "mp4a.40.2"},
		{"program config element: 3 front, 2 back, 1 low", bits().u(5, 2).u(4, 3).u(4, 0).u(3, 0).
			u(4, 0).u(2, 1).u(4, 3).u(4, 2).u(4, 0).u(4, 1).u(2, 1).u(3, 0).u(4, 0).u(3, 0).u(5,
			0).u(5, 16).u(5, 16).u(4, 0).
			u(7, 0).u(8, 0).b,
			AACConfig{ObjectType: 2, CoreObjectType: 2, SampleRate: 48000, OutputRate: 48000,
				Channels: 6, FrameLength: 1024}, "mp4a.40.2"},
	} {
		tr := &Track{Number: 2, Kind: Audio, CodecID: CodecAAC, CodecPrivate: c.asc}
		got, err := AACOf(tr)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if *got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, *got, c.want)
		}
		if name, err := CodecString(tr); name != c.codec || err != nil {
			t.Errorf("%s: %s, %v", c.name, name, err)
		}
	}
}

func TestAACConfigErrors(t *testing.T) {
	bits := func() *bitWriter { return new(bitWriter) }
	for _, c := range []struct {
		name string
		asc  []byte
		want error
	}{
		{"missing", nil, ErrMissingCodecPrivate},
		{"one byte", []byte{0x11}, ErrInvalidCodecPrivate},
		{"reserved rate index", bits().u(5, 2).u(4, 13).u(4, 2).u(3, 0).b, ErrInvalidCodecPrivate},
		{"reserved channel configuration", bits().u(5, 2).u(4, 3).u(4, 15).u(3, 0).b,
			ErrInvalidCodecPrivate},
		{"rate of 0", bits().u(5, 2).u(4, 15).u(24, 0).u(4, 2).u(3, 0).b, ErrInvalidCodecPrivate},
		{"program config element cut", bits().u(5, 2).u(4, 3).u(4, 0).u(3, 0).u(4, 0).b,
			ErrInvalidCodecPrivate},
		{"USAC, escape", bits().u(5, 31).u(6, 10).u(4, 3).u(4, 2).u(8, 0).b, ErrUnsupportedCodec},
		{"low delay", bits().u(5, 23).u(4, 3).u(4, 2).u(8, 0).b, ErrUnsupportedCodec},
	} {
		_, err := CodecString(&Track{Number: 2, Kind: Audio, CodecID: CodecAAC,
			CodecPrivate: c.asc})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "track 2 (A_AAC)") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzParseAACConfig(f *testing.F) {
	f.Add([]byte{0x11, 0x90})
	f.Add(unhex(aacSyncNone))
	f.Add(new(bitWriter).u(5, 29).u(4, 7).u(4, 1).u(4, 4).u(5, 2).u(3, 0).b)
	f.Add(new(bitWriter).u(5, 2).u(4, 15).u(24, 44056).u(4, 0).u(3, 0).u(32, 0x12345678).u(32, 0).b)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseAACConfig(b)
		if err != nil {
			if !errors.Is(err, ErrInvalidCodecPrivate) && !errors.Is(err, ErrUnsupportedCodec) {
				t.Fatal(err)
			}
			return
		}
		if c.SampleRate < 1 || c.OutputRate < 1 || c.Channels < 1 || c.Channels > 93 ||
			(c.FrameLength != 960 && c.FrameLength != 1024) {
			t.Fatalf("%+v", c)
		}
	})
}
