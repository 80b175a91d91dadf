package sts

import (
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
)

// Version is that of the STS API (STS API reference, "Common Parameters").
const Version = "2011-06-15"

const namespace = "https://sts.amazonaws.com/doc/" + Version + "/"

// Codes of errors (STS API reference, "Common Error Types" and those of each action).
const (
	AccessDenied            api.ErrorCode = "AccessDenied"
	InvalidAction           api.ErrorCode = "InvalidAction"
	MalformedPolicyDocument api.ErrorCode = "MalformedPolicyDocument"
	MalformedQueryString    api.ErrorCode = "MalformedQueryString"
	MissingAction           api.ErrorCode = "MissingAction"
	PackedPolicyTooLarge    api.ErrorCode = "PackedPolicyTooLarge"
	ValidationError         api.ErrorCode = "ValidationError"
)

// forbidden are the codes that are answered with 403, as in AWS; others are answered with 400.
var forbidden = []api.ErrorCode{AccessDenied, "ExpiredToken", "IncompleteSignature",
	"InvalidClientTokenId", "MissingAuthenticationToken", "SignatureDoesNotMatch"}

// Error is a refusal of STS. Message is the text for the caller.
type Error struct {
	Code    api.ErrorCode
	Message string
}

// Error returns "Code: message".
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Status returns the HTTP status to answer with.
func (e *Error) Status() int {
	if slices.Contains(forbidden, e.Code) {
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// SignatureError returns an error of package auth as STS spells it, and other errors unchanged.
func SignatureError(err error) error {
	var e *auth.Error
	if !errors.As(err, &e) {
		return err
	}
	code := strings.TrimSuffix(e.Code, "Exception")
	switch e.Code {
	case auth.UnrecognizedClient:
		code = "InvalidClientTokenId"
	case auth.InvalidSignature:
		code = "SignatureDoesNotMatch"
	}
	return &Error{api.ErrorCode(code), e.Message}
}

// ErrorBody is the XML of an error.
func ErrorBody(requestID string, e *api.Error, status int) []byte {
	type failure struct {
		Type    string
		Code    api.ErrorCode
		Message string
	}
	answer := struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     failure
		RequestID string `xml:"RequestId"`
	}{Error: failure{"Sender", e.Code, e.Message}, RequestID: requestID}
	if status >= http.StatusInternalServerError {
		answer.Error.Type = "Receiver"
	}
	return encode(answer)
}

// encode writes XML. It cannot fail for the values here.
func encode(answer any) []byte {
	body, err := xml.Marshal(answer)
	if err != nil {
		return nil
	}
	return append(body, '\n')
}

// Answer is the result of an action, under the action's name.
type Answer struct {
	action string
	result any
}

// Body is the XML of an answer.
func (a *Answer) Body(requestID string) []byte {
	type metadata struct {
		RequestID string `xml:"RequestId"`
	}
	return encode(struct {
		XMLName  xml.Name
		Result   any
		Metadata metadata `xml:"ResponseMetadata"`
	}{xml.Name{Space: namespace, Local: a.action + "Response"},
		a.result, metadata{requestID}})
}

type credentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func credentialsOf(made auth.Credentials, expires time.Time) credentials {
	return credentials{made.AccessKeyID, made.SecretAccessKey, made.SessionToken,
		expires.UTC().Format(time.RFC3339)}
}

type sessionTokenResult struct {
	XMLName     xml.Name `xml:"GetSessionTokenResult"`
	Credentials credentials
}

type assumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	ARN           string `xml:"Arn"`
}

type assumeRoleResult struct {
	XMLName         xml.Name `xml:"AssumeRoleResult"`
	AssumedRoleUser assumedRoleUser
	Credentials     credentials
}

type callerIdentityResult struct {
	XMLName xml.Name `xml:"GetCallerIdentityResult"`
	UserID  string   `xml:"UserId"`
	Account string
	ARN     string `xml:"Arn"`
}
