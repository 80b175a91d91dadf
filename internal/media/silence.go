package media

import "bytes"

// aacElements has the syntactic elements of each channelConfiguration (ISO/IEC 14496-3 table 1.19):
// s for a single channel, c for a pair, l for low frequencies. It has none if a program config
// element decides.
var aacElements = [16]string{1: "s", 2: "c", 3: "sc", 4: "scs", 5: "scc", 6: "sccl", 7: "scccl",
	11: "sccsl", 12: "scccl"}

// Silence is a silent frame.
type Silence struct {
	Frame    []byte // AAC: a raw_data_block; G.711: 20 ms of samples
	Duration int64  // ticks of the track's timescale that it lasts
}

// SilenceOf makes a silent frame of a track's own configuration: a raw_data_block (14496-3 clause
// 4.4.2.1) whose channels have no scale factor bands, and so no spectrum. If SBR or PS are
// signalled, the decoder finds none in the frame and brings the core coder's silence to the output
// rate (clause 4.6.18.2.6). For G.711 it repeats the byte for silence. It returns nil if the track
// is neither, if a program config element has AAC's channels, or if a frame is not a whole number
// of ticks.
func SilenceOf(t *Track) *Silence {
	if t.CodecID == CodecACM {
		return lawSilence(t)
	}
	c, err := AACOf(t)
	if t.CodecID != CodecAAC || err != nil || c.ChannelConfig >= len(aacElements) ||
		aacElements[c.ChannelConfig] == "" {
		return nil
	}
	length := int64(c.FrameLength) * int64(t.Timescale)
	if length == 0 || length%int64(c.SampleRate) != 0 || c.CoreObjectType == aotSSR {
		return nil
	}
	var w silenceWriter
	var tags [4]uint32 // the next element_instance_tag of each kind
	for _, kind := range aacElements[c.ChannelConfig] {
		id, channels := uint32(0), 1 // ID_SCE
		switch kind {
		case 'c':
			id, channels = 1, 2 // ID_CPE
		case 'l':
			id = 3 // ID_LFE
		}
		w.put(id, 3)
		w.put(tags[id], 4)
		tags[id]++
		if channels == 2 {
			w.put(1, 1) // common_window
			w.icsInfo()
			w.put(0, 2) // ms_mask_present
		}
		for range channels { // individual_channel_stream
			w.put(100, 8) // global_gain
			if channels == 1 {
				w.icsInfo()
			}
			w.put(0, 3) // no pulse data, no TNS data, no gain control data
		}
	}
	w.put(7, 3) // ID_END
	return &Silence{Frame: w.data, Duration: length / int64(c.SampleRate)}
}

func lawSilence(t *Track) *Silence {
	const perSecond = 50
	c, err := G711Of(t)
	if err != nil || t.Timescale == 0 || t.Timescale%perSecond != 0 || c.SampleRate%perSecond != 0 {
		return nil
	}
	return &Silence{Frame: bytes.Repeat([]byte{c.Silence()}, c.SampleRate/perSecond*c.Channels),
		Duration: int64(t.Timescale / perSecond)}
}

// silenceWriter writes bits, most significant first; the last byte is filled with zeros.
type silenceWriter struct {
	data []byte
	bits int
}

func (w *silenceWriter) put(v uint32, n int) {
	for n--; n >= 0; n-- {
		if w.bits%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.bits/8] |= byte(v>>n&1) << (7 - w.bits%8)
		w.bits++
	}
}

// icsInfo writes an ics_info of one long sine window without scale factor bands.
func (w *silenceWriter) icsInfo() {
	w.put(0, 1) // ics_reserved_bit
	w.put(0, 2) // window_sequence: ONLY_LONG_SEQUENCE
	w.put(0, 1) // window_shape
	w.put(0, 6) // max_sfb
	w.put(0, 1) // predictor_data_present
}
