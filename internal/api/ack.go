package api

import "strconv"

// AckType is the EventType of an acknowledgement of PutMedia (DG20 API_dataplane_PutMedia).
type AckType uint8

// The events of a fragment in their order, then the two that are about the connection.
const (
	AckBuffering AckType = iota // its first byte has arrived
	AckReceived                 // its last byte has arrived
	AckPersisted                // it is durable; only for streams that retain data
	AckError                    // the fragment or the connection failed; the connection ends
	AckIdle                     // nothing has arrived for a while
)

// String is the EventType on the wire.
func (t AckType) String() string {
	return [...]string{"BUFFERING", "RECEIVED", "PERSISTED", "ERROR", "IDLE"}[t]
}

// AckErrorID is the ErrorId of an ERROR acknowledgement. It decides what a producer does next
// (docs/reference/producers.md, "Reconnecting").
type AckErrorID int

// The error IDs (docs/reference/service.md, "Errors"). Weir never sends those about KMS, but names
// them for clients.
const (
	// reading the body failed; the producer sends the fragment again
	AckStreamReadError AckErrorID = 4000
	// more than MaxFragmentBytes; the producer skips the fragment
	AckMaxFragmentSize       AckErrorID = 4001
	AckMaxFragmentDuration   AckErrorID = 4002 // longer than MaxFragmentDuration; skips
	AckMaxConnectionDuration AckErrorID = 4003 // older than MaxPutMediaConnection; reconnects
	// not after the previous fragment of the connection; skips
	AckTimecodeLesserThanBefore AckErrorID = 4004
	AckMoreThanOneTrack         AckErrorID = 4005 // deprecated in favour of 4012; fatal
	AckInvalidMKVData           AckErrorID = 4006 // not Matroska; skips
	AckInvalidProducerTimestamp AckErrorID = 4007 // fatal
	AckStreamNotActive          AckErrorID = 4008 // fatal
	AckFragmentMetadataLimit    AckErrorID = 4009 // more than MaxFragmentTags, or too long; skips
	AckTrackNumberMismatch      AckErrorID = 4010 // a frame of a track that was not declared; fatal
	AckFramesMissingForTrack    AckErrorID = 4011 // a declared track has no frames; skips
	AckMoreThanAllowedTracks    AckErrorID = 4012 // more than MaxTracks; fatal
	AckKMSAccessDenied          AckErrorID = 4500
	AckKMSDisabled              AckErrorID = 4501
	AckKMSValidation            AckErrorID = 4502
	AckKMSUnavailable           AckErrorID = 4503
	AckKMSInvalidUsage          AckErrorID = 4504
	AckKMSInvalidState          AckErrorID = 4505
	AckKMSNotFound              AckErrorID = 4506
	AckStreamDeleted            AckErrorID = 4507 // fatal
	AckInternalError            AckErrorID = 5000 // sends again
	// storing failed, for example because the disk is full; sends again
	AckArchivalError AckErrorID = 5001
)

var ackErrorNames = map[AckErrorID]string{
	AckStreamReadError:          "STREAM_READ_ERROR",
	AckMaxFragmentSize:          "MAX_FRAGMENT_SIZE_REACHED",
	AckMaxFragmentDuration:      "MAX_FRAGMENT_DURATION_REACHED",
	AckMaxConnectionDuration:    "MAX_CONNECTION_DURATION_REACHED",
	AckTimecodeLesserThanBefore: "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS",
	AckMoreThanOneTrack:         "MORE_THAN_ONE_TRACK_FOUND",
	AckInvalidMKVData:           "INVALID_MKV_DATA",
	AckInvalidProducerTimestamp: "INVALID_PRODUCER_TIMESTAMP",
	AckStreamNotActive:          "STREAM_NOT_ACTIVE",
	AckFragmentMetadataLimit:    "FRAGMENT_METADATA_LIMIT_REACHED",
	AckTrackNumberMismatch:      "TRACK_NUMBER_MISMATCH",
	AckFramesMissingForTrack:    "FRAMES_MISSING_FOR_TRACK",
	AckMoreThanAllowedTracks:    "MORE_THAN_ALLOWED_TRACKS_FOUND",
	AckKMSAccessDenied:          "KMS_KEY_ACCESS_DENIED",
	AckKMSDisabled:              "KMS_KEY_DISABLED",
	AckKMSValidation:            "KMS_KEY_VALIDATION_ERROR",
	AckKMSUnavailable:           "KMS_KEY_UNAVAILABLE",
	AckKMSInvalidUsage:          "KMS_KEY_INVALID_USAGE",
	AckKMSInvalidState:          "KMS_KEY_INVALID_STATE",
	AckKMSNotFound:              "KMS_KEY_NOT_FOUND",
	AckStreamDeleted:            "STREAM_DELETED",
	AckInternalError:            "INTERNAL_ERROR",
	AckArchivalError:            "ARCHIVAL_ERROR",
}

// Code is the ErrorCode on the wire; INTERNAL_ERROR for an ID outside the table.
func (id AckErrorID) Code() string {
	if name, ok := ackErrorNames[id]; ok {
		return name
	}
	return ackErrorNames[AckInternalError]
}

// Ack is one acknowledgement.
type Ack struct {
	Type AckType
	// FragmentNumber is the fragment's number as clients see it: decimal digits. It is empty when
	// no fragment is meant, and then Timecode is not written either.
	FragmentNumber string
	// the Cluster Timestamp exactly as received, in the producer's units; producers use it to find
	// their fragment
	Timecode int64
	ErrorID  AckErrorID // for AckError
}

// AppendAck appends the acknowledgement as one JSON object and a newline, of at most MaxAckBytes.
// The keys are in the service's order, and it avoids everything that parsers of real producers
// cannot read: there is no null, boolean or escape, and ErrorId is a number. The caller writes it
// as one HTTP chunk. In FragmentNumber, other characters than digits, and digits beyond
// MaxFragmentNumberLength, are left out.
func AppendAck(dst []byte, a Ack) []byte {
	dst = append(dst, `{"EventType":"`...)
	dst = append(dst, a.Type.String()...)
	dst = append(dst, '"')
	if a.FragmentNumber != "" && a.Type != AckIdle {
		dst = append(dst, `,"FragmentTimecode":`...)
		dst = strconv.AppendInt(dst, a.Timecode, 10)
		dst = append(dst, `,"FragmentNumber":"`...)
		n := 0
		for i := 0; i < len(a.FragmentNumber) && n < MaxFragmentNumberLength; i++ {
			if c := a.FragmentNumber[i]; c >= '0' && c <= '9' {
				dst = append(dst, c)
				n++
			}
		}
		dst = append(dst, '"')
	}
	if a.Type == AckError {
		dst = append(dst, `,"ErrorCode":"`...)
		dst = append(dst, a.ErrorID.Code()...)
		dst = append(dst, `","ErrorId":`...)
		dst = strconv.AppendInt(dst, int64(a.ErrorID), 10)
	}
	return append(dst, "}\n"...)
}
