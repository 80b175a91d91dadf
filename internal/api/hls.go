package api

// PlaybackMode says what a session shows (M-AM HLSPlaybackMode).
type PlaybackMode string

// ContainerFormat is the form of the media segments (M-AM ContainerFormat).
type ContainerFormat string

// DiscontinuityMode says where playlists have discontinuity tags (M-AM HLSDiscontinuityMode).
type DiscontinuityMode string

// DisplayFragmentTimestamp says whether playlists contain the fragments' start times (M-AM
// HLSDisplayFragmentTimestamp).
type DisplayFragmentTimestamp string

// The values of the enumerations above.
const (
	PlaybackModeLive       PlaybackMode = "LIVE"
	PlaybackModeLiveReplay PlaybackMode = "LIVE_REPLAY"
	PlaybackModeOnDemand   PlaybackMode = "ON_DEMAND"

	ContainerFragmentedMP4 ContainerFormat = "FRAGMENTED_MP4"
	ContainerMPEGTS        ContainerFormat = "MPEG_TS"

	DiscontinuityAlways          DiscontinuityMode = "ALWAYS"
	DiscontinuityNever           DiscontinuityMode = "NEVER"
	DiscontinuityOnDiscontinuity DiscontinuityMode = "ON_DISCONTINUITY"

	DisplayTimestampAlways DisplayFragmentTimestamp = "ALWAYS"
	DisplayTimestampNever  DisplayFragmentTimestamp = "NEVER"
)

// GetHLSStreamingSessionURLInput is the body of /getHLSStreamingSessionURL. After ApplyDefaults
// only the range may be absent.
type GetHLSStreamingSessionURLInput struct {
	given
	StreamRef
	// absent: LIVE
	PlaybackMode        PlaybackMode      `json:"PlaybackMode,omitempty"`
	HLSFragmentSelector *FragmentSelector `json:"HLSFragmentSelector,omitempty"`
	// absent: FRAGMENTED_MP4
	ContainerFormat ContainerFormat `json:"ContainerFormat,omitempty"`
	// absent: ALWAYS, or NEVER for PRODUCER_TIMESTAMP
	DiscontinuityMode DiscontinuityMode `json:"DiscontinuityMode,omitempty"`
	// absent: NEVER
	DisplayFragmentTimestamp DisplayFragmentTimestamp `json:"DisplayFragmentTimestamp,omitempty"`
	// seconds, 300 to 43,200; absent: 300
	Expires int `json:"Expires,omitempty"`
	// 1 to 5,000; absent: 5, or 1,000 for ON_DEMAND
	MaxMediaPlaylistFragmentResults int `json:"MaxMediaPlaylistFragmentResults,omitempty"`
}

// rules adds what the model's text says about the range: both ends for ON_DEMAND, a start for
// LIVE_REPLAY, none for LIVE; the end after the start, by at most 24 hours. Playback checks what
// depends on the present time or the stream (an end that has passed, a start within retention).
func (in *GetHLSStreamingSessionURLInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	var r *TimestampRange
	if in.HLSFragmentSelector != nil {
		r = in.HLSFragmentSelector.TimestampRange
	}
	return validateRange(in.PlaybackMode, r)
}

// validateRange checks a session's range against the rules of its mode.
func validateRange(mode PlaybackMode, r *TimestampRange) error {
	switch mode {
	case "", PlaybackModeLive:
		if r != nil && (r.StartTimestamp != nil || r.EndTimestamp != nil) {
			return NewError(InvalidArgumentException,
				"TimestampRange must not be specified when PlaybackMode is LIVE.")
		}
		return nil
	case PlaybackModeOnDemand:
		if r == nil || r.StartTimestamp == nil || r.EndTimestamp == nil {
			return NewError(InvalidArgumentException,
				"TimestampRange with StartTimestamp and EndTimestamp is required when "+
					"PlaybackMode is ON_DEMAND.")
		}
	default:
		if r == nil || r.StartTimestamp == nil {
			return NewError(InvalidArgumentException,
				"TimestampRange with StartTimestamp is required when PlaybackMode is LIVE_REPLAY.")
		}
	}
	if r.EndTimestamp == nil {
		return nil
	}
	return r.length()
}

// ApplyDefaults fills in absent members as the model's text says. Call it after Validate.
func (in *GetHLSStreamingSessionURLInput) ApplyDefaults() {
	sessionDefaults(&in.PlaybackMode, &in.HLSFragmentSelector, &in.DisplayFragmentTimestamp,
		&in.Expires, &in.MaxMediaPlaylistFragmentResults)
	if in.ContainerFormat == "" {
		in.ContainerFormat = ContainerFragmentedMP4
	}
	if in.DiscontinuityMode == "" {
		in.DiscontinuityMode = DiscontinuityAlways
		if in.HLSFragmentSelector.FragmentSelectorType == SelectorProducerTimestamp {
			in.DiscontinuityMode = DiscontinuityNever
		}
	}
}

// sessionDefaults fills in what HLS and DASH sessions have in common. It replaces the selector, and
// does not change it.
func sessionDefaults(mode *PlaybackMode, selector **FragmentSelector,
	display *DisplayFragmentTimestamp, expires, most *int) {
	if *mode == "" {
		*mode = PlaybackModeLive
	}
	var s FragmentSelector
	if *selector != nil {
		s = **selector
	}
	if s.FragmentSelectorType == "" {
		s.FragmentSelectorType = SelectorServerTimestamp
	}
	*selector = &s
	if *display == "" {
		*display = DisplayTimestampNever
	}
	if *expires == 0 {
		*expires = DefaultExpires
	}
	if *most == 0 {
		*most = DefaultLiveResults
		if *mode == PlaybackModeOnDemand {
			*most = DefaultOnDemandResults
		}
	}
}

// GetHLSStreamingSessionURLOutput answers /getHLSStreamingSessionURL.
type GetHLSStreamingSessionURLOutput struct {
	HLSStreamingSessionURL string `json:"HLSStreamingSessionURL"`
}
