// Package api is the wire of the Kinesis Video Streams API as Weir speaks it: the table of
// operations, an input and an output struct for each operation, the rules of the service models for
// inputs, the AWS error table, PutMedia's headers and acknowledgements, ARNs and limits. It
// contains no handler and no state. The server decodes a body with DecodeJSON, calls Validate, and
// encodes the output struct with encoding/json.
//
// The constraints are those of the public service models "kinesisvideo",
// "kinesis-video-archived-media" and "kinesis-video-media", all of API version 2017-09-30, which
// comments call "the model". Where the service is seen to differ from its model, the comment says
// which of them Weir follows and why.
//
// # Absent and empty
//
// Optional strings and numbers of inputs are plain Go values whose zero value means absent.
// DecodeJSON remembers members that the caller gave explicitly as "" or 0, so that Validate can
// refuse them where the model has a minimum. A JSON null is the same as an absent member.
package api
