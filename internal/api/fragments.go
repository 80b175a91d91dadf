package api

import (
	"slices"
	"strconv"
)

// FragmentSelectorType says which timestamp of a fragment a range is about (M-AM
// FragmentSelectorType, HLSFragmentSelectorType and their kin).
type FragmentSelectorType string

// The values of FragmentSelectorType.
const (
	SelectorProducerTimestamp FragmentSelectorType = "PRODUCER_TIMESTAMP"
	SelectorServerTimestamp   FragmentSelectorType = "SERVER_TIMESTAMP"
)

// TimestampRange bounds the start times of fragments, both ends included (M-AM TimestampRange,
// HLSTimestampRange and their kin).
type TimestampRange struct {
	StartTimestamp *Timestamp `json:"StartTimestamp,omitempty"`
	// may be absent for LIVE_REPLAY: until the session expires
	EndTimestamp *Timestamp `json:"EndTimestamp,omitempty"`
}

// FragmentSelector selects the fragments that start in TimestampRange by the clock that
// FragmentSelectorType names (M-AM FragmentSelector, HLSFragmentSelector and their kin, which
// differ in what is required).
type FragmentSelector struct {
	FragmentSelectorType FragmentSelectorType `json:"FragmentSelectorType,omitempty"`
	TimestampRange       *TimestampRange      `json:"TimestampRange,omitempty"`
}

// ListFragmentsInput is the body of /listFragments.
type ListFragmentsInput struct {
	given
	StreamRef
	// 1 to 1,000; absent: MaxListFragments, or as in the token
	MaxResults int `json:"MaxResults,omitempty"`
	// from the answer before; alone it names the rest of its fragments
	NextToken string `json:"NextToken,omitempty"`
	// required without NextToken, ignored with one
	FragmentSelector *FragmentSelector `json:"FragmentSelector,omitempty"`
}

// rules adds what the model's text says: a selector or a token, and a valid range.
func (in *ListFragmentsInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	if in.NextToken != "" {
		return nil
	}
	if in.FragmentSelector == nil {
		return NewError(InvalidArgumentException,
			"FragmentSelector is required when NextToken is not specified.")
	}
	return in.FragmentSelector.TimestampRange.order()
}

// order refuses a range that ends before it begins. Both ends must be present.
func (r *TimestampRange) order() error {
	if *r.EndTimestamp < *r.StartTimestamp {
		return NewError(InvalidArgumentException,
			"EndTimestamp must not be earlier than StartTimestamp.")
	}
	return nil
}

// length refuses a range that does not end after its start, or ends more than 24 hours after it.
// Both ends must be present.
func (r *TimestampRange) length() error {
	switch length := int64(*r.EndTimestamp - *r.StartTimestamp); {
	case length <= 0:
		return NewError(InvalidArgumentException, "EndTimestamp must be later than StartTimestamp.")
	case length > MaxSelectorRange.Milliseconds():
		return NewError(InvalidArgumentException,
			"EndTimestamp must be within 24 hours of StartTimestamp.")
	}
	return nil
}

// Fragment describes a stored fragment (M-AM Fragment).
type Fragment struct {
	FragmentNumber string `json:"FragmentNumber"` // 47 digits
	// bytes: media, frame table, metadata and the producer's header
	FragmentSizeInBytes int64     `json:"FragmentSizeInBytes"`
	ProducerTimestamp   Timestamp `json:"ProducerTimestamp"`
	ServerTimestamp     Timestamp `json:"ServerTimestamp"`
	// from the first frame's time to the last one's, as in the service; 0 for a single frame
	FragmentLengthInMilliseconds int64 `json:"FragmentLengthInMilliseconds"`
}

// ListFragmentsOutput answers /listFragments.
type ListFragmentsOutput struct {
	Fragments []Fragment `json:"Fragments"` // never nil; ascending numbers
	NextToken *string    `json:"NextToken"` // null on the last page
}

// AppendJSON appends what json.Marshal returns, in a fraction of the time: for a thousand
// fragments, json.Marshal takes longer than finding them. Numbers, which are digits, and tokens,
// which are base64, need no escaping.
func (o *ListFragmentsOutput) AppendJSON(b []byte) []byte {
	b = append(slices.Grow(b, 64+256*len(o.Fragments)), `{"Fragments":[`...)
	for i := range o.Fragments {
		f := &o.Fragments[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"FragmentNumber":"`...), f.FragmentNumber...)
		b = append(b, `","FragmentSizeInBytes":`...)
		b = strconv.AppendInt(b, f.FragmentSizeInBytes, 10)
		b = AppendTimestamp(append(b, `,"ProducerTimestamp":`...), f.ProducerTimestamp)
		b = AppendTimestamp(append(b, `,"ServerTimestamp":`...), f.ServerTimestamp)
		b = strconv.AppendInt(append(b, `,"FragmentLengthInMilliseconds":`...),
			f.FragmentLengthInMilliseconds, 10)
		b = append(b, '}')
	}
	b = append(b, `],"NextToken":`...)
	if o.NextToken == nil {
		return append(b, "null}"...)
	}
	return append(append(append(b, '"'), *o.NextToken...), `"}`...)
}

// GetMediaForFragmentListInput is the body of /getMediaForFragmentList.
type GetMediaForFragmentListInput struct {
	given
	StreamRef
	Fragments []string `json:"Fragments,omitempty"` // 1 to 1,000 numbers of the stream
}
