// Package api is the wire of the Kinesis Video Streams API as Weir speaks it: the table of
// operations, one input and one output struct per operation, the rules that the service models put
// on inputs, the AWS error table, PutMedia's headers and acknowledgements, ARNs and limits. It
// contains no handler and no state; the server decodes a body with DecodeJSON, calls Validate, and
// encodes the output struct with encoding/json.
//
// The constraints are those of the public service models "kinesisvideo",
// "kinesis-video-archived-media" and "kinesis-video-media", all of API version 2017-09-30, called
// "the model" in comments. Where the model and what the service is seen to do differ, the comment
// says which one was followed and why.
//
// # Absent and empty
//
// Optional strings and numbers of inputs are plain Go values whose zero value means absent.
// DecodeJSON remembers members that the caller gave explicitly as "" or 0, so that Validate can
// refuse them where the model has a minimum. A JSON null is the same as an absent member.
package api
