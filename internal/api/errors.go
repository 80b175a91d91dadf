package api

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// ErrorCode is the name of an AWS exception: the value of the x-amzn-ErrorType header, by which
// SDKs choose their exception class.
type ErrorCode string

// Exceptions of the three service models.
const (
	AccessDeniedException                    ErrorCode = "AccessDeniedException"
	AccountChannelLimitExceededException     ErrorCode = "AccountChannelLimitExceededException"
	AccountStreamLimitExceededException      ErrorCode = "AccountStreamLimitExceededException"
	ClientLimitExceededException             ErrorCode = "ClientLimitExceededException"
	ConnectionLimitExceededException         ErrorCode = "ConnectionLimitExceededException"
	DeviceStreamLimitExceededException       ErrorCode = "DeviceStreamLimitExceededException"
	InvalidArgumentException                 ErrorCode = "InvalidArgumentException"
	InvalidCodecPrivateDataException         ErrorCode = "InvalidCodecPrivateDataException"
	InvalidDeviceException                   ErrorCode = "InvalidDeviceException"
	InvalidEndpointException                 ErrorCode = "InvalidEndpointException"
	InvalidMediaFrameException               ErrorCode = "InvalidMediaFrameException"
	InvalidResourceFormatException           ErrorCode = "InvalidResourceFormatException"
	MissingCodecPrivateDataException         ErrorCode = "MissingCodecPrivateDataException"
	NoDataRetentionException                 ErrorCode = "NoDataRetentionException"
	NotAuthorizedException                   ErrorCode = "NotAuthorizedException"
	ResourceInUseException                   ErrorCode = "ResourceInUseException"
	ResourceNotFoundException                ErrorCode = "ResourceNotFoundException"
	StreamEdgeConfigurationNotFoundException ErrorCode = "StreamEdgeConfigurationNotFoundException"
	TagsPerResourceExceededLimitException    ErrorCode = "TagsPerResourceExceededLimitException"
	UnsupportedStreamMediaTypeException      ErrorCode = "UnsupportedStreamMediaTypeException"
	VersionMismatchException                 ErrorCode = "VersionMismatchException"
)

// LimitExceededException is an error of the administration API, as in IAM: there would be more
// keys, policies, roles or tags than limits.go allows.
const LimitExceededException ErrorCode = "LimitExceededException"

// Errors common to all AWS services (developer guide, CommonErrors).
const (
	ExpiredTokenException               ErrorCode = "ExpiredTokenException"
	IncompleteSignatureException        ErrorCode = "IncompleteSignatureException"
	InternalFailure                     ErrorCode = "InternalFailure"
	InvalidClientTokenId                ErrorCode = "InvalidClientTokenId"
	InvalidSignatureException           ErrorCode = "InvalidSignatureException"
	MissingAuthenticationTokenException ErrorCode = "MissingAuthenticationTokenException"
	RequestEntityTooLargeException      ErrorCode = "RequestEntityTooLargeException"
	RequestExpired                      ErrorCode = "RequestExpired"
	SerializationException              ErrorCode = "SerializationException"
	ServiceUnavailable                  ErrorCode = "ServiceUnavailable"
	ThrottlingException                 ErrorCode = "ThrottlingException"
	UnknownOperationException           ErrorCode = "UnknownOperationException"
	UnrecognizedClientException         ErrorCode = "UnrecognizedClientException"
	ValidationException                 ErrorCode = "ValidationException"
)

// errorRow is how an error goes on the wire.
type errorRow struct {
	status int
	// answered by AWS's gateway before the service sees the call: the body's key is "message", not
	// "Message"
	gateway bool
}

// errorTable has every error that Weir or the service models know.
//
// NotAuthorizedException and AccessDeniedException are 401 in the model, but 403 in the model's
// text and in every report from the field. SDKs match by name, so Weir answers 403.
// UnknownOperationException is a 200 with an odd body at AWS, which clients take for success. With
// 404 they report it.
var errorTable = map[ErrorCode]errorRow{
	AccessDeniedException:                    {http.StatusForbidden, false},
	AccountChannelLimitExceededException:     {http.StatusBadRequest, false},
	AccountStreamLimitExceededException:      {http.StatusBadRequest, false},
	ClientLimitExceededException:             {http.StatusBadRequest, false},
	ConnectionLimitExceededException:         {http.StatusBadRequest, false},
	DeviceStreamLimitExceededException:       {http.StatusBadRequest, false},
	InvalidArgumentException:                 {http.StatusBadRequest, false},
	InvalidCodecPrivateDataException:         {http.StatusBadRequest, false},
	InvalidDeviceException:                   {http.StatusBadRequest, false},
	InvalidEndpointException:                 {http.StatusBadRequest, false},
	InvalidMediaFrameException:               {http.StatusBadRequest, false},
	InvalidResourceFormatException:           {http.StatusBadRequest, false},
	MissingCodecPrivateDataException:         {http.StatusBadRequest, false},
	NoDataRetentionException:                 {http.StatusBadRequest, false},
	NotAuthorizedException:                   {http.StatusForbidden, false},
	ResourceInUseException:                   {http.StatusBadRequest, false},
	ResourceNotFoundException:                {http.StatusNotFound, false},
	StreamEdgeConfigurationNotFoundException: {http.StatusNotFound, false},
	TagsPerResourceExceededLimitException:    {http.StatusBadRequest, false},
	UnsupportedStreamMediaTypeException:      {http.StatusBadRequest, false},
	VersionMismatchException:                 {http.StatusBadRequest, false},
	LimitExceededException:                   {http.StatusConflict, false},

	ExpiredTokenException:               {http.StatusForbidden, true},
	IncompleteSignatureException:        {http.StatusForbidden, true},
	InternalFailure:                     {http.StatusInternalServerError, false},
	InvalidClientTokenId:                {http.StatusForbidden, true},
	InvalidSignatureException:           {http.StatusForbidden, true},
	MissingAuthenticationTokenException: {http.StatusForbidden, true},
	RequestEntityTooLargeException:      {http.StatusRequestEntityTooLarge, false},
	RequestExpired:                      {http.StatusBadRequest, true},
	SerializationException:              {http.StatusBadRequest, false},
	ServiceUnavailable:                  {http.StatusServiceUnavailable, false},
	ThrottlingException:                 {http.StatusBadRequest, false},
	UnknownOperationException:           {http.StatusNotFound, false},
	UnrecognizedClientException:         {http.StatusForbidden, true},
	ValidationException:                 {http.StatusBadRequest, false},
}

// Known reports whether the table has the code.
func (c ErrorCode) Known() bool {
	_, ok := errorTable[c]
	return ok
}

// Status is the HTTP status of the code; a code outside the table is a server fault, 500.
func (c ErrorCode) Status() int {
	if row, ok := errorTable[c]; ok {
		return row.status
	}
	return http.StatusInternalServerError
}

// Error is an error for the caller: an AWS error name and a text for people. Everything else that
// goes wrong in the server is an InternalFailure, whose cause is logged and never sent.
type Error struct {
	Code    ErrorCode
	Message string
}

// NewError makes an *Error.
func NewError(code ErrorCode, message string) *Error {
	return &Error{Code: code, Message: message}
}

// Errorf makes an *Error with a formatted message.
func Errorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns "Code: message".
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Message
}

// Status is the HTTP status to answer with.
func (e *Error) Status() int { return e.Code.Status() }

// Is makes errors.Is(err, &Error{Code: c}) match any error with that code; with a message, both
// must be equal.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

// Body returns the JSON body of the answer: {"Message":"…"}, or {"message":"…"} for the errors that
// AWS's gateway answers, which are those about the signature (docs/reference/service.md, "Errors").
// The name of the error goes into the x-amzn-ErrorType header.
func (e *Error) Body() []byte {
	text, err := json.Marshal(e.Message)
	if err != nil { // a string always encodes
		text = []byte(`""`)
	}
	key := `{"Message":`
	if errorTable[e.Code].gateway {
		key = `{"message":`
	}
	return append(append([]byte(key), text...), '}')
}

// Messages that real clients and people have seen, for the same spelling everywhere.
const (
	MessageStreamNotFound  = "The requested stream is not found or not active."
	MessageNoFragments     = "No fragments found in the stream for the streaming request."
	MessageTokenExpired    = "Streaming session token is expired"
	MessageVersionMismatch = "The stream version that you specified is not the latest version."
	MessageNoDataRetention = "The stream has no data retention: its DataRetentionInHours is 0."
	MessageDiskFull        = "The disk of the server is full. Deleting and shortening retention " +
		"work."
	MessageInternalFailure = "The request processing has failed because of an unknown error, " +
		"exception or failure."
)
