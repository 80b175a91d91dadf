package api

// DisplayFragmentNumber says whether manifests contain the fragments' numbers (M-AM
// DASHDisplayFragmentNumber).
type DisplayFragmentNumber string

// The values of DisplayFragmentNumber.
const (
	DisplayNumberAlways DisplayFragmentNumber = "ALWAYS"
	DisplayNumberNever  DisplayFragmentNumber = "NEVER"
)

// GetDASHStreamingSessionURLInput is the body of /getDASHStreamingSessionURL. After ApplyDefaults
// only the range may be absent.
type GetDASHStreamingSessionURLInput struct {
	given
	StreamRef
	// absent: LIVE
	PlaybackMode PlaybackMode `json:"PlaybackMode,omitempty"`
	// absent: NEVER
	DisplayFragmentTimestamp DisplayFragmentTimestamp `json:"DisplayFragmentTimestamp,omitempty"`
	// absent: NEVER
	DisplayFragmentNumber DisplayFragmentNumber `json:"DisplayFragmentNumber,omitempty"`
	DASHFragmentSelector  *FragmentSelector     `json:"DASHFragmentSelector,omitempty"`
	// seconds, 300 to 43,200; absent: 300
	Expires int `json:"Expires,omitempty"`
	// 1 to 5,000; absent: 5, or 1,000 for ON_DEMAND
	MaxManifestFragmentResults int `json:"MaxManifestFragmentResults,omitempty"`
}

// rules adds what the model's text says about the range, as for HLS.
func (in *GetDASHStreamingSessionURLInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	var r *TimestampRange
	if in.DASHFragmentSelector != nil {
		r = in.DASHFragmentSelector.TimestampRange
	}
	return validateRange(in.PlaybackMode, r)
}

// ApplyDefaults fills in absent members as the model's text says. Call it after Validate.
func (in *GetDASHStreamingSessionURLInput) ApplyDefaults() {
	sessionDefaults(&in.PlaybackMode, &in.DASHFragmentSelector, &in.DisplayFragmentTimestamp,
		&in.Expires, &in.MaxManifestFragmentResults)
	if in.DisplayFragmentNumber == "" {
		in.DisplayFragmentNumber = DisplayNumberNever
	}
}

// GetDASHStreamingSessionURLOutput answers /getDASHStreamingSessionURL.
type GetDASHStreamingSessionURLOutput struct {
	DASHStreamingSessionURL string `json:"DASHStreamingSessionURL"`
}
