package api

// StartSelectorType says where an answer of GetMedia begins (M-MD StartSelectorType).
type StartSelectorType string

// The values of StartSelectorType.
const (
	StartFragmentNumber    StartSelectorType = "FRAGMENT_NUMBER" // after that fragment
	StartServerTimestamp   StartSelectorType = "SERVER_TIMESTAMP"
	StartProducerTimestamp StartSelectorType = "PRODUCER_TIMESTAMP"
	StartNow               StartSelectorType = "NOW"      // the newest fragment
	StartEarliest          StartSelectorType = "EARLIEST" // the oldest that is kept
	StartContinuationToken StartSelectorType = "CONTINUATION_TOKEN"
)

// StartSelector is a member of GetMediaInput: a type, and the one member that it needs (M-MD
// StartSelector).
type StartSelector struct {
	StartSelectorType StartSelectorType `json:"StartSelectorType,omitempty"`
	// for FRAGMENT_NUMBER
	AfterFragmentNumber string `json:"AfterFragmentNumber,omitempty"`
	// for the two timestamps
	StartTimestamp *Timestamp `json:"StartTimestamp,omitempty"`
	// for CONTINUATION_TOKEN
	ContinuationToken string `json:"ContinuationToken,omitempty"`
}

// GetMediaInput is the body of /getMedia.
type GetMediaInput struct {
	given
	StreamRef
	StartSelector *StartSelector `json:"StartSelector,omitempty"` // required
}

// rules demands the member that the type of the selector needs, and ignores others.
func (in *GetMediaInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	missing := ""
	switch s := in.StartSelector; s.StartSelectorType {
	case StartFragmentNumber:
		if s.AfterFragmentNumber == "" {
			missing = "AfterFragmentNumber"
		}
	case StartServerTimestamp, StartProducerTimestamp:
		if s.StartTimestamp == nil {
			missing = "StartTimestamp"
		}
	case StartContinuationToken:
		if s.ContinuationToken == "" {
			missing = "ContinuationToken"
		}
	}
	if missing == "" {
		return nil
	}
	return Errorf(InvalidArgumentException, "%s is required when StartSelectorType is %s.", missing,
		in.StartSelector.StartSelectorType)
}
