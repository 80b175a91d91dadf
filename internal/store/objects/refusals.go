package objects

import (
	"errors"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
)

// isGone tells that the object store has no such object. What has status 404 and does not say so
// itself comes from something on the way, and is no answer.
func isGone(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.Code == minio.NoSuchKey && e.XMLName.Local != ""
}

// isStale tells that the keys of a request are not, or not any more, good.
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

// isFull tells that there is no space left: RFC 4918 section 11.5, and what object stores that have
// quotas say (MinIO, Ceph, versitygw).
func isFull(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.StatusCode == http.StatusInsufficientStorage || e.Code == "QuotaExceeded" ||
		e.Code == "XMinioStorageFull" || e.Code == "XMinioAdminBucketQuotaExceeded"
}

// isRefused tells that the object store would refuse the request again. Of a connection that was
// silent for too long S3 says RequestTimeout with status 400.
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

// wantsMD5 tells that a bucket takes no object without that checksum, as one with object lock does
// (S3 API, PutObject: "required for any request to upload an object with a retention period").
func wantsMD5(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.StatusCode == http.StatusBadRequest && strings.Contains(e.Message, "Content-MD5")
}
