package api

// GetClipInput is the body of /getClip.
type GetClipInput struct {
	given
	StreamRef
	ClipFragmentSelector *FragmentSelector `json:"ClipFragmentSelector"`
}

// rules adds what the model's text says of the range: it ends after its start, by 24 hours at most.
// What needs the present time or the stream is left to package clip.
func (in *GetClipInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	return in.ClipFragmentSelector.TimestampRange.length()
}
