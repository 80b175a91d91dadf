package fmp4

import "weir/internal/media"

// entry is what a sample entry is made from.
type entry struct {
	codec   string           // CodecID
	private []byte           // written verbatim
	sps     *media.SPS       // video
	aac     *media.AACConfig // audio
	g711    *media.G711Config
}

func newEntry(t *media.Track) (*entry, error) {
	e := &entry{codec: t.CodecID, private: t.CodecPrivate}
	var err error
	switch {
	case t.CodecID == media.CodecACM:
		e.g711, err = media.G711Of(t)
	case t.Kind == media.Video:
		e.sps, err = media.SPSOf(t)
	default:
		e.aac, err = media.AACOf(t)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// entry writes the sample entry: VisualSampleEntry (ISO/IEC 14496-12 clause 12.1.3) or
// AudioSampleEntry (12.2.3).
func (w *builder) entry(e *entry) {
	if e.aac != nil {
		w.mp4a(e)
		return
	}
	if e.g711 != nil {
		w.law(e.g711)
		return
	}
	name, config := "avc1", "avcC"
	if e.codec == media.CodecHEVC {
		name, config = "hvc1", "hvcC"
	}
	w.box(name, func() {
		w.zero(6)
		w.u16(1) // data_reference_index
		w.zero(16)
		w.u16(uint16(e.sps.Width))
		w.u16(uint16(e.sps.Height))
		w.u32(0x00480000) // 72 dpi
		w.u32(0x00480000)
		w.u32(0)
		w.u16(1)   // frame_count
		w.zero(32) // compressorname
		w.u16(0x18)
		w.u16(0xffff)
		w.box(config, func() { w.bytes(e.private) })
		if e.sps.SARWidth > 0 && e.sps.SARHeight > 0 {
			w.box("pasp", func() {
				w.u32(uint32(e.sps.SARWidth))
				w.u32(uint32(e.sps.SARHeight))
			})
		}
	})
}

// mp4a writes the sample entry of AAC (ISO/IEC 14496-14 clause 6.7). Players take rate and channels
// from the AudioSpecificConfig; a rate beyond 16 bits is written as 0.
func (w *builder) mp4a(e *entry) {
	channels := e.aac.Channels
	if e.aac.PS && channels == 1 {
		channels = 2
	}
	rate := uint32(0)
	if e.aac.SampleRate <= 65535 {
		rate = uint32(e.aac.SampleRate) << 16
	}
	w.box("mp4a", func() {
		w.soundEntry(channels, rate)
		w.full("esds", 0, 0, func() { w.bytes(esDescriptor(e.private)) })
	})
}

// soundEntry writes the fields of an AudioSampleEntry; rate is 16.16 fixed point.
func (w *builder) soundEntry(channels int, rate uint32) {
	w.zero(6)
	w.u16(1) // data_reference_index
	w.zero(8)
	w.u16(uint16(channels))
	w.u16(16) // samplesize
	w.u32(0)
	w.u32(rate)
}

// law writes the sample entry of G.711: alaw or ulaw, which the registry of MP4RA has for QuickTime
// (QuickTime File Format, "Sound sample descriptions", version 0). Its sample size is that of
// decoded audio.
func (w *builder) law(c *media.G711Config) {
	w.box(c.CodecString(), func() { w.soundEntry(c.Channels, uint32(c.SampleRate)<<16) })
}

// esDescriptor makes an ES_Descriptor for AAC (ISO/IEC 14496-1 clause 7.2.6.5).
func esDescriptor(asc []byte) []byte {
	const esTag, configTag, specificTag, syncTag = 3, 4, 5, 6
	config := []byte{
		0x40,     // objectTypeIndication: MPEG-4 audio
		5<<2 | 1, // streamType audio, upStream 0, reserved 1
		0, 0, 0,  // bufferSizeDB
		0, 0, 0, 0, 0, 0, 0, 0, // maximum and average bit rate: unknown
	}
	config = append(config, descriptor(specificTag, asc)...)
	es := []byte{0, 0, 0} // ES_ID, no flags: in files both are 0
	es = append(es, descriptor(configTag, config)...)
	es = append(es, descriptor(syncTag, []byte{2})...) // predefined: MP4
	return descriptor(esTag, es)
}

// descriptor puts a tag and an expandable size (ISO/IEC 14496-1 clause 8.3.3) before body.
func descriptor(tag byte, body []byte) []byte {
	size := []byte{byte(len(body) & 0x7f)}
	for n := len(body) >> 7; n > 0; n >>= 7 {
		size = append([]byte{byte(n&0x7f) | 0x80}, size...)
	}
	return append(append([]byte{tag}, size...), body...)
}
