package api

// GetClipInput is the body of /getClip.
type GetClipInput struct {
	given
	StreamRef
	ClipFragmentSelector *FragmentSelector `json:"ClipFragmentSelector"`
}

// rules adds what the model's text says about the range: it ends after its start, by at most 24
// hours. Package clip checks what depends on the present time or the stream.
func (in *GetClipInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	return in.ClipFragmentSelector.TimestampRange.length()
}
