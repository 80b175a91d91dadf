package media

import (
	"errors"
	"fmt"
)

// AVCConfig is an AVCDecoderConfigurationRecord, "avcC" (ISO/IEC 14496-15 clause 5.3.3.1).
type AVCConfig struct {
	Profile       byte // AVCProfileIndication
	Compatibility byte // profile_compatibility: the constraint flags
	Level         byte // AVCLevelIndication, ten times the level
	LengthSize    int  // bytes of the length before each NAL unit: 1, 2 or 4
	SPS, PPS      [][]byte
}

// ParseAVCConfig reads an avcC. The lists alias the input. It ignores reserved bits, because
// producers write both 0xFF and 0x03 for the length byte, and the high-profile extension after the
// parameter sets. A record without any SPS is an error; one without PPS is not, because these may
// come in-band. All errors are ErrInvalidCodecPrivate. A start code, the usual mistake, has a text
// of its own.
func ParseAVCConfig(avcC []byte) (*AVCConfig, error) {
	c, err := parseAVCConfig(avcC)
	if err != nil {
		return nil, fmt.Errorf("%w: avcC: %w", ErrInvalidCodecPrivate, err)
	}
	return c, nil
}

func parseAVCConfig(b []byte) (*AVCConfig, error) {
	if annexB(b) {
		return nil, errAnnexB
	}
	if len(b) < 7 {
		return nil, errTruncated
	}
	if b[0] != 1 {
		return nil, fmt.Errorf("configuration version %d, want 1", b[0])
	}
	c := &AVCConfig{Profile: b[1], Compatibility: b[2], Level: b[3], LengthSize: int(b[4]&3) + 1}
	if c.LengthSize == 3 {
		return nil, errors.New("NAL unit length of 3 bytes")
	}
	sps := int(b[5] & 0x1f)
	if sps == 0 {
		return nil, errors.New("no sequence parameter set")
	}
	var err error
	if c.SPS, b, err = takeSets(b[6:], sps); err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, errTruncated
	}
	if c.PPS, _, err = takeSets(b[1:], int(b[0])); err != nil {
		return nil, err
	}
	return c, nil
}

// takeSets takes n NAL units, each after a 16-bit length, from the start of b.
func takeSets(b []byte, n int) (sets [][]byte, rest []byte, err error) {
	for range n {
		if len(b) < 2 {
			return nil, nil, errTruncated
		}
		size := int(b[0])<<8 | int(b[1])
		if b = b[2:]; len(b) < size {
			return nil, nil, errTruncated
		}
		if size == 0 {
			return nil, nil, errors.New("empty parameter set")
		}
		sets, b = append(sets, b[:size:size]), b[size:]
	}
	return sets, b, nil
}

// SPS is what Weir needs of a sequence parameter set of H.264 or H.265.
type SPS struct {
	Profile, Level      int
	ChromaFormat        int // 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4
	BitDepth            int // of luma
	Width, Height       int // luma samples after cropping
	SARWidth, SARHeight int // sample aspect ratio; 0:0 when the stream does not say
	// pictures are certainly output in the order in which they are decoded
	InOrder bool
	// the most pictures that are decoded before a picture and output after it; -1 when the stream
	// does not say (H.264 clause E.2.1, max_num_reorder_frames; H.265 clause 7.4.3.2.1,
	// sps_max_num_reorder_pics)
	ReorderFrames          int
	UnitsInTick, TimeUnits uint32 // VUI timing: num_units_in_tick and time_scale; 0 when absent
	ticksPerFrame          uint32
}

// FrameRate returns the rate that the VUI promises in frames per second, 0 when it has none.
func (s *SPS) FrameRate() float64 {
	if s.UnitsInTick == 0 || s.TimeUnits == 0 {
		return 0
	}
	return float64(s.TimeUnits) / float64(s.UnitsInTick) / float64(s.ticksPerFrame)
}

// maxDimension is the greatest width and height that a visual sample entry can hold.
const maxDimension = 65535

// ParseAVCSPS reads an H.264 sequence parameter set NAL unit, its one-byte header included (H.264
// clause 7.3.2.1.1). Some cameras send a VUI that is cut short or broken; it counts as absent.
// Errors before it are ErrInvalidCodecPrivate.
func ParseAVCSPS(nal []byte) (*SPS, error) {
	s, err := parseAVCSPS(nal)
	if err != nil {
		return nil, fmt.Errorf("%w: H.264 SPS: %w", ErrInvalidCodecPrivate, err)
	}
	return s, nil
}

func parseAVCSPS(nal []byte) (*SPS, error) {
	if len(nal) < 4 {
		return nil, errBits
	}
	if typ := nal[0] & 0x1f; typ != 7 {
		return nil, fmt.Errorf("NAL unit type %d, want 7", typ)
	}
	r := &bitReader{data: rbsp(nal[1:])}
	// time_scale counts fields
	s := &SPS{ChromaFormat: 1, BitDepth: 8, ReorderFrames: -1, ticksPerFrame: 2}
	s.Profile = int(r.u(8))
	r.skip(8) // constraint flags
	s.Level = int(r.u(8))
	r.ue() // seq_parameter_set_id
	chromaArray := 1
	switch s.Profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		s.ChromaFormat = int(r.atMost(3, "chroma_format_idc"))
		chromaArray = s.ChromaFormat
		if s.ChromaFormat == 3 && r.flag() { // separate_colour_plane_flag
			chromaArray = 0
		}
		s.BitDepth = 8 + int(r.atMost(6, "bit_depth_luma"))
		r.ue()        // bit_depth_chroma_minus8
		r.skip(1)     // qpprime_y_zero_transform_bypass_flag
		if r.flag() { // seq_scaling_matrix_present_flag
			skipAVCScaling(r, s.ChromaFormat)
		}
	}
	r.ue() // log2_max_frame_num_minus4
	order := r.ue()
	// clauses 8.2.1.3 and A.2.1: no B slices in the Baseline profile
	s.InOrder = order == 2 || s.Profile == 66
	switch order { // pic_order_cnt_type
	case 0:
		r.ue() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		r.skip(1) // delta_pic_order_always_zero_flag
		r.se()    // offset_for_non_ref_pic
		r.se()    // offset_for_top_to_bottom_field
		for n := r.atMost(255, "num_ref_frames_in_pic_order_cnt_cycle"); n > 0; n-- {
			r.se()
		}
	}
	r.ue()    // max_num_ref_frames
	r.skip(1) // gaps_in_frame_num_value_allowed_flag
	width := 16 * (int(r.atMost(maxDimension/16, "width")) + 1)
	height := 16 * (int(r.atMost(maxDimension/16, "height")) + 1)
	fields := 1
	if !r.flag() { // frame_mbs_only_flag
		fields = 2
		r.skip(1) // mb_adaptive_frame_field_flag
	}
	r.skip(1)     // direct_8x8_inference_flag
	if r.flag() { // frame_cropping_flag
		// CropUnitY counts both fields of a frame too: fields is multiplied in below
		x, y := chromaUnits(chromaArray)
		width -= x * int(r.atMost(maxDimension, "crop")+r.atMost(maxDimension, "crop"))
		height -= y * int(r.atMost(maxDimension, "crop")+r.atMost(maxDimension, "crop"))
	}
	s.Width, s.Height = width, height*fields
	if err := s.check(r); err != nil {
		return nil, err
	}
	if r.flag() { // vui_parameters_present_flag
		if s.readVUI(r, skipVUIColour) {
			r.skip(1) // fixed_frame_rate_flag
		}
		s.readAVCRestriction(r)
	}
	if s.InOrder {
		s.ReorderFrames = 0
	}
	return s, nil
}

// check returns an error if anything up to here is wrong. Later parts of a parameter set may be.
func (s *SPS) check(r *bitReader) error {
	if r.err != nil {
		return r.err
	}
	if s.Width < 1 || s.Height < 1 || s.Width > maxDimension || s.Height > maxDimension {
		return fmt.Errorf("picture of %d x %d", s.Width, s.Height)
	}
	return nil
}

// readVUI reads the aspect ratio and timing of a VUI, and reports whether it has timing. It leaves
// both absent if the VUI is malformed.
func (s *SPS) readVUI(r *bitReader, toTiming func(*bitReader)) (timed bool) {
	w, h := sampleAspect(r)
	toTiming(r)
	var units, scale uint32
	if timed = r.flag(); timed { // timing_info_present_flag
		units, scale = r.u(32), r.u(32)
	}
	if r.err != nil {
		return false
	}
	if w > 0 && h > 0 {
		s.SARWidth, s.SARHeight = w, h
	}
	if units > 0 && scale > 0 {
		s.UnitsInTick, s.TimeUnits = units, scale
	}
	return timed
}

// readAVCRestriction reads max_num_reorder_frames from the rest of a VUI (H.264 clause E.1.1).
func (s *SPS) readAVCRestriction(r *bitReader) {
	hrd := false
	for range 2 { // of the NAL units, of the VCL NAL units
		if !r.flag() {
			continue
		}
		hrd = true
		n := r.atMost(31, "cpb_cnt") + 1
		r.skip(8) // bit_rate_scale, cpb_size_scale
		for ; n > 0 && r.err == nil; n-- {
			r.ue()    // bit_rate_value_minus1
			r.ue()    // cpb_size_value_minus1
			r.skip(1) // cbr_flag
		}
		r.skip(20) // four lengths
	}
	if hrd {
		r.skip(1) // low_delay_hrd_flag
	}
	r.skip(1) // pic_struct_present_flag
	if !r.flag() {
		return // bitstream_restriction_flag
	}
	r.skip(1) // motion_vectors_over_pic_boundaries_flag
	for range 4 {
		r.ue() // greatest sizes and vectors
	}
	if n := r.atMost(deepestReorder, "max_num_reorder_frames"); r.err == nil {
		s.ReorderFrames = int(n)
	}
}

// skipVUIColour skips what follows the aspect ratio in both codecs: overscan, video signal type,
// chroma location.
func skipVUIColour(r *bitReader) {
	if r.flag() { // overscan_info_present_flag
		r.skip(1)
	}
	if r.flag() { // video_signal_type_present_flag
		r.skip(4)
		if r.flag() { // colour_description_present_flag
			r.skip(24)
		}
	}
	if r.flag() { // chroma_loc_info_present_flag
		r.ue()
		r.ue()
	}
}

// chromaUnits returns SubWidthC and SubHeightC (H.264 table 6-1), 1 and 1 without chroma
// sub-sampling.
func chromaUnits(chromaArray int) (x, y int) {
	switch chromaArray {
	case 1:
		return 2, 2
	case 2:
		return 2, 1
	}
	return 1, 1
}

// skipAVCScaling skips the scaling lists (H.264 clause 7.3.2.1.1.1).
func skipAVCScaling(r *bitReader, chromaFormat int) {
	lists := 8
	if chromaFormat == 3 {
		lists = 12
	}
	for i := range lists {
		if !r.flag() { // seq_scaling_list_present_flag
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for j := 0; j < size && r.err == nil; j++ {
			if next != 0 {
				next = (last + r.se() + 256) & 0xff
			}
			if next != 0 {
				last = next
			}
		}
	}
}
