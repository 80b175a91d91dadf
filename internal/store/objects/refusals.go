package objects

import (
	"errors"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
)

// awayError is of an object store that does not answer, or not with what was asked for.
type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }

// IsAway says that the object store did not answer a request, or refused it, so the error says
// nothing about the object. The same request may be answered later.
func IsAway(err error) bool {
	var away *awayError
	return errors.As(err, &away)
}

// isGone reports whether the object store has no such object. A status 404 without such a message
// is from something on the way, and says nothing.
func isGone(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.Code == minio.NoSuchKey && e.XMLName.Local != ""
}

// isStale reports whether the request's keys are invalid, or no longer valid.
func isStale(err error) bool {
	switch minio.ToErrorResponse(err).Code {
	case "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired",
		"InvalidAccessKeyId", "SignatureDoesNotMatch":
		return true
	}
	return false
}

func isShort(err error) bool {
	return errors.Is(err, errShort) || minio.ToErrorResponse(err).Code == minio.InvalidRange
}

// isFull reports whether there is no space left: RFC 4918 section 11.5, and the codes of object
// stores with quotas (MinIO, Ceph, versitygw).
func isFull(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.StatusCode == http.StatusInsufficientStorage || e.Code == "QuotaExceeded" ||
		e.Code == "XMinioStorageFull" || e.Code == "XMinioAdminBucketQuotaExceeded"
}

// isRefused reports whether the object store would refuse the request again. S3 answers
// RequestTimeout, with status 400, about a connection that was silent for too long.
func isRefused(err error) bool {
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		return false
	}
	switch e.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return e.StatusCode >= 400 && e.StatusCode < 500 && e.Code != "RequestTimeout" &&
		e.Code != "OperationAborted"
}

// wantsMD5 reports whether a bucket demands that checksum of a new object, as one with object lock
// does (S3 API, PutObject: "required for any request to upload an object with a retention period").
func wantsMD5(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.StatusCode == http.StatusBadRequest && strings.Contains(e.Message, "Content-MD5")
}
