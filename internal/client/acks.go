package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"weir/internal/api"
)

// Ack is an acknowledgement as the server sent it (DG20 API_dataplane_PutMedia).
type Ack struct {
	Type           string         // BUFFERING, RECEIVED, PERSISTED, ERROR or IDLE
	Timecode       int64          // of the cluster, in milliseconds; valid with HasTimecode
	HasTimecode    bool           // IDLE has none, and ERROR none when no fragment is meant
	FragmentNumber string         // may be empty
	ErrorCode      string         // only with ERROR
	ErrorID        api.AckErrorID // only with ERROR
	Raw            []byte         // the JSON object
}

// maxAck bounds one acknowledgement in bytes, leading white space included. The AWS SDK's
// producers accept 1,024.
const maxAck = 64 << 10

// ackReader reads acknowledgements from an answer's body: JSON objects, with anything between
// them.
type ackReader struct {
	limit *io.LimitedReader
	dec   *json.Decoder
}

func newAckReader(body io.Reader) *ackReader {
	limit := &io.LimitedReader{R: body}
	return &ackReader{limit: limit, dec: json.NewDecoder(limit)}
}

// next waits for an acknowledgement. io.EOF is the end of the answer.
func (r *ackReader) next() (Ack, error) {
	r.limit.N = maxAck
	var raw json.RawMessage
	if err := r.dec.Decode(&raw); err != nil {
		if r.limit.N <= 0 {
			return Ack{}, fmt.Errorf("an acknowledgement is longer than %d bytes", maxAck)
		}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return Ack{}, fmt.Errorf("an acknowledgement is not JSON: %w", err)
		}
		return Ack{}, err
	}
	return parseAck(raw)
}

// parseAck reads one acknowledgement. The timecode is a number or, from some servers, a string of
// digits.
func parseAck(raw []byte) (Ack, error) {
	var wire struct {
		EventType        string
		FragmentTimecode json.RawMessage
		FragmentNumber   string
		ErrorCode        string
		ErrorId          api.AckErrorID
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return Ack{}, fmt.Errorf("an acknowledgement is not what the API says: %w", err)
	}
	a := Ack{
		Type:           wire.EventType,
		FragmentNumber: wire.FragmentNumber,
		ErrorCode:      wire.ErrorCode,
		ErrorID:        wire.ErrorId,
		Raw:            raw,
	}
	text := string(wire.FragmentTimecode)
	if len(text) >= 2 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	if text != "" && text != "null" {
		timecode, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Ack{},
				fmt.Errorf("an acknowledgement has the timecode %q, which is not a whole number",
					text)
		}
		a.Timecode, a.HasTimecode = timecode, true
	}
	return a, nil
}

// AckError is an ERROR acknowledgement: the server ends the connection after it.
type AckError struct {
	Ack Ack
}

// Error returns the name and number of the error and the fragment.
func (e *AckError) Error() string {
	name := e.Ack.ErrorCode
	if name == "" {
		name = e.Ack.ErrorID.Code()
	}
	text := fmt.Sprintf("the server answered %s (%d)", name, e.Ack.ErrorID)
	if e.Ack.HasTimecode {
		text += fmt.Sprintf(" for the fragment at %d", e.Ack.Timecode)
	}
	return text
}

// ackClass is what a producer does about an ERROR acknowledgement (docs/reference/producers.md,
// "Reconnecting").
type ackClass int

const (
	ackRetry ackClass = iota // connect again, send again what is not persisted
	ackSkip                  // the fragment cannot be taken: connect again, go on with the next one
	ackFatal                 // nothing of this producer will be taken
)

func classifyAck(id api.AckErrorID) ackClass {
	switch id {
	case api.AckMaxFragmentSize, api.AckMaxFragmentDuration, api.AckTimecodeLesserThanBefore,
		api.AckInvalidMKVData,
		api.AckFragmentMetadataLimit, api.AckFramesMissingForTrack:
		return ackSkip
	case api.AckMoreThanOneTrack, api.AckInvalidProducerTimestamp, api.AckStreamNotActive,
		api.AckTrackNumberMismatch,
		api.AckMoreThanAllowedTracks:
		return ackFatal
	}
	if id >= 4500 && id < 4600 { // keys, stream deleted
		return ackFatal
	}
	return ackRetry
}
