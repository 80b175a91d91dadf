package media

import (
	"fmt"
	"math/bits"
	"strings"
)

// HEVCConfig is an HEVCDecoderConfigurationRecord, "hvcC" (ISO/IEC 14496-15 clause 8.3.3.1).
type HEVCConfig struct {
	ProfileSpace  byte    // 0 to 3
	Tier          byte    // 0 main, 1 high
	Profile       byte    // general_profile_idc
	Compatibility uint32  // general_profile_compatibility_flags, flag 0 is the most significant bit
	Constraints   [6]byte // general_constraint_indicator_flags
	Level         byte    // general_level_idc, thirty times the level
	LengthSize    int     // bytes of the length before each NAL unit: 1, 2 or 4
	VPS, SPS, PPS [][]byte
}

// H.265 NAL unit types of parameter sets (H.265 table 7-1).
const (
	hevcVPS = 32
	hevcSPS = 33
	hevcPPS = 34
)

// ParseHEVCConfig reads an hvcC. The lists alias the input. It skips arrays of other NAL units
// (SEI), ignores reserved bits, and reads version 0, which early muxers wrote, as 1. A record
// without any SPS is an error. All errors are ErrInvalidCodecPrivate.
func ParseHEVCConfig(hvcC []byte) (*HEVCConfig, error) {
	c, err := parseHEVCConfig(hvcC)
	if err != nil {
		return nil, fmt.Errorf("%w: hvcC: %w", ErrInvalidCodecPrivate, err)
	}
	return c, nil
}

func parseHEVCConfig(b []byte) (*HEVCConfig, error) {
	if annexB(b) {
		return nil, errAnnexB
	}
	if len(b) < 23 {
		return nil, errTruncated
	}
	if b[0] > 1 {
		return nil, fmt.Errorf("configuration version %d, want 1", b[0])
	}
	c := &HEVCConfig{
		ProfileSpace:  b[1] >> 6,
		Tier:          b[1] >> 5 & 1,
		Profile:       b[1] & 0x1f,
		Compatibility: uint32(b[2])<<24 | uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5]),
		Constraints:   [6]byte(b[6:12]),
		Level:         b[12],
		LengthSize:    int(b[21]&3) + 1,
	}
	if c.LengthSize == 3 {
		return nil, fmt.Errorf("NAL unit length of 3 bytes")
	}
	arrays := int(b[22])
	b = b[23:]
	for range arrays {
		if len(b) < 3 {
			return nil, errTruncated
		}
		typ, n := b[0]&0x3f, int(b[1])<<8|int(b[2])
		sets, rest, err := takeSets(b[3:], n)
		if err != nil {
			return nil, err
		}
		b = rest
		switch typ {
		case hevcVPS:
			c.VPS = append(c.VPS, sets...)
		case hevcSPS:
			c.SPS = append(c.SPS, sets...)
		case hevcPPS:
			c.PPS = append(c.PPS, sets...)
		}
	}
	if len(c.SPS) == 0 {
		return nil, fmt.Errorf("no sequence parameter set")
	}
	return c, nil
}

// CodecString returns the codecs parameter of ISO/IEC 14496-15 annex E.3: hvc1, profile space and
// profile, compatibility flags in reverse bit order, tier and level, then the constraint bytes
// without trailing zero bytes. Example: hvc1.1.6.L93.B0.
func (c *HEVCConfig) CodecString() string {
	var b strings.Builder
	b.WriteString("hvc1.")
	if c.ProfileSpace > 0 {
		b.WriteByte('A' + c.ProfileSpace - 1)
	}
	tier := byte('L')
	if c.Tier == 1 {
		tier = 'H'
	}
	fmt.Fprintf(&b, "%d.%X.%c%d", c.Profile, bits.Reverse32(c.Compatibility), tier, c.Level)
	last := len(c.Constraints)
	for last > 0 && c.Constraints[last-1] == 0 {
		last--
	}
	for _, v := range c.Constraints[:last] {
		fmt.Fprintf(&b, ".%X", v)
	}
	return b.String()
}

// parseHEVCSPS reads an H.265 sequence parameter set NAL unit, its two-byte header included (H.265
// clause 7.3.2.2). What follows the picture size is only needed to reach the VUI; if it is
// malformed, the VUI counts as absent. Errors before it are ErrInvalidCodecPrivate.
func parseHEVCSPS(nal []byte) (*SPS, error) {
	s, err := readHEVCSPS(nal)
	if err != nil {
		return nil, fmt.Errorf("%w: H.265 SPS: %w", ErrInvalidCodecPrivate, err)
	}
	return s, nil
}

func readHEVCSPS(nal []byte) (*SPS, error) {
	if len(nal) < 3 {
		return nil, errBits
	}
	if typ := nal[0] >> 1 & 0x3f; typ != hevcSPS {
		return nil, fmt.Errorf("NAL unit type %d, want %d", typ, hevcSPS)
	}
	r := &bitReader{data: rbsp(nal[2:])}
	s := &SPS{ReorderFrames: -1, ticksPerFrame: 1}
	r.skip(4) // sps_video_parameter_set_id
	subLayers := int(r.u(3))
	r.skip(1) // sps_temporal_id_nesting_flag
	s.readProfileTierLevel(r, subLayers)
	r.ue() // sps_seq_parameter_set_id
	s.ChromaFormat = int(r.atMost(3, "chroma_format_idc"))
	chromaArray := s.ChromaFormat
	if s.ChromaFormat == 3 && r.flag() { // separate_colour_plane_flag
		chromaArray = 0
	}
	s.Width = int(r.atMost(maxDimension, "width"))
	s.Height = int(r.atMost(maxDimension, "height"))
	if r.flag() { // conformance_window_flag
		x, y := chromaUnits(chromaArray)
		s.Width -= x * int(r.atMost(maxDimension, "window")+r.atMost(maxDimension, "window"))
		s.Height -= y * int(r.atMost(maxDimension, "window")+r.atMost(maxDimension, "window"))
	}
	s.BitDepth = 8 + int(r.atMost(8, "bit_depth_luma"))
	if err := s.check(r); err != nil {
		return nil, err
	}
	if reorder := skipHEVCToVUI(r, subLayers); r.err == nil {
		s.InOrder = reorder == 0
		s.ReorderFrames = int(min(reorder, deepestReorder))
	}
	if r.flag() { // vui_parameters_present_flag
		s.readVUI(r, func(r *bitReader) {
			skipVUIColour(r)
			// neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
			r.skip(3)
			if r.flag() { // default_display_window_flag
				for range 4 {
					r.ue()
				}
			}
		})
	}
	return s, nil
}

// readProfileTierLevel reads profile_tier_level (H.265 clause 7.3.3).
func (s *SPS) readProfileTierLevel(r *bitReader, subLayers int) {
	r.skip(3) // general_profile_space, general_tier_flag
	s.Profile = int(r.u(5))
	r.skip(32 + 48) // compatibility and constraint flags
	s.Level = int(r.u(8))
	var profile, level [8]bool
	for i := range subLayers {
		profile[i], level[i] = r.flag(), r.flag()
	}
	if subLayers > 0 {
		r.skip(2 * (8 - subLayers))
	}
	for i := range subLayers {
		if profile[i] {
			r.skip(88)
		}
		if level[i] {
			r.skip(8)
		}
	}
}

// skipHEVCToVUI skips what is between bit_depth_luma_minus8 and vui_parameters_present_flag. It
// returns sps_max_num_reorder_pics of the highest sub-layer.
func skipHEVCToVUI(r *bitReader, subLayers int) (reorder uint32) {
	r.ue() // bit_depth_chroma_minus8
	pocBits := int(r.atMost(12, "log2_max_pic_order_cnt_lsb")) + 4
	first := subLayers
	if r.flag() { // sps_sub_layer_ordering_info_present_flag
		first = 0
	}
	for i := first; i <= subLayers; i++ {
		r.ue() // max_dec_pic_buffering
		reorder = r.ue()
		r.ue() // max_latency_increase
	}
	for range 6 { // coding and transform block sizes and depths
		r.ue()
	}
	if r.flag() { // scaling_list_enabled_flag
		if r.flag() { // sps_scaling_list_data_present_flag
			skipHEVCScaling(r)
		}
	}
	r.skip(2)     // amp_enabled_flag, sample_adaptive_offset_enabled_flag
	if r.flag() { // pcm_enabled_flag
		r.skip(8)
		r.ue()
		r.ue()
		r.skip(1)
	}
	skipShortTermSets(r)
	if r.flag() { // long_term_ref_pics_present_flag
		for n := r.atMost(32, "num_long_term_ref_pics"); n > 0; n-- {
			r.skip(pocBits + 1)
		}
	}
	r.skip(2) // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
	return reorder
}

// skipHEVCScaling skips scaling_list_data (H.265 clause 7.3.4).
func skipHEVCScaling(r *bitReader) {
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3
		}
		for matrix := 0; matrix < 6; matrix += step {
			if !r.flag() { // scaling_list_pred_mode_flag
				r.ue()
				continue
			}
			if size > 1 {
				r.se()
			}
			for n := min(64, 1<<(4+size*2)); n > 0 && r.err == nil; n-- {
				r.se()
			}
		}
	}
}

// skipShortTermSets skips the st_ref_pic_set structures (H.265 clause 7.3.7). It counts pictures,
// because a predicted set has one flag more than the set before it has pictures.
func skipShortTermSets(r *bitReader) {
	pictures := 0 // NumDeltaPocs of the set before
	sets := int(r.atMost(64, "num_short_term_ref_pic_sets"))
	for i := 0; i < sets && r.err == nil; i++ {
		if i > 0 && r.flag() { // inter_ref_pic_set_prediction_flag
			r.skip(1) // delta_rps_sign
			r.ue()    // abs_delta_rps_minus1
			n := 0
			for range pictures + 1 {
				used := r.flag()      // used_by_curr_pic_flag
				if used || r.flag() { // use_delta_flag
					n++
				}
			}
			pictures = n
			continue
		}
		pictures = int(r.atMost(16, "num_negative_pics") + r.atMost(16, "num_positive_pics"))
		for range pictures {
			r.ue()
			r.skip(1)
		}
	}
}
