// Package auth authenticates callers: AWS Signature Version 4 (signing and verifying), key pairs,
// and the sealed tokens of playback sessions. It imports only the standard library.
//
// # Signatures
//
// A Verifier checks the header form (Authorization: AWS4-HMAC-SHA256 …) and the query form
// (X-Amz-Signature=…). It accepts what real producers send, which is not always what an HTTP
// library shows:
//
//   - Host is compared as received; the C and Java producers leave out the port. If that does not
//     match, the Verifier tries Verifier.Hosts, for proxies that send their own Host.
//   - net/http removes Host and Transfer-Encoding from the header map; the Verifier puts them back.
//     The C producers sign the connection and transfer-encoding headers of PutMedia. Both describe
//     one hop only. HTTP/2 has neither, and proxies change them. So if a request does not verify
//     with the values received, the Verifier tries those that producers sign: keep-alive and
//     chunked.
//   - For JSON calls the payload hash is that of the body. The body of PutMedia has not ended when
//     the request is checked, so its hash is that of the empty string (C, C++, Python) or the
//     literal UNSIGNED-PAYLOAD (Java, which adds the x-amz-content-sha256 header after signing).
//   - The key is derived for whatever region the credential scope names, unless
//     Verifier.StrictRegion is set: clients guess the region from the host name, and guess wrong
//     for an IP address. The service must be Verifier.Service.
//   - x-amz-security-token may be signed or not. Keys says which token goes with a key.
//
// A request may be at most five minutes old, or early. Host must be signed.
//
// # Tokens
//
// A session token is the only right that the playback URLs need. TokenKeys seals the session's ID
// and expiry with AES-256-GCM. The text is base64url (RFC 4648 section 5) without padding, 68
// characters, of these 51 bytes:
//
//	offset  size  what
//	0       1     version, 1
//	1       1     key id
//	2       12    nonce, random
//	14      16    session id            } encrypted
//	30      5     expiry, big-endian    } seconds since the Unix epoch
//	35      16    authentication tag
//
// The first two bytes are the additional data of the seal. testdata/tokens.txt pins the format;
// tokens of one release open in the next.
//
// The key file has one key a line, "ID CREATED KEY": two hexadecimal digits, RFC 3339, 64
// hexadecimal digits. The first line seals, all of them open. Lines that begin with # are comments.
// A new key comes first. An older one is removed when the last token that it can have sealed has
// expired. Processes share the file and read it again when it changes.
package auth

// Error is a refusal with the name of the AWS error, one of the codes below, and the text for the
// caller.
type Error struct {
	Code    string
	Message string
}

// Error returns "Code: message".
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The error codes that Verify returns, spelt as in AWS.
const (
	MissingAuthenticationToken = "MissingAuthenticationTokenException" // no signature at all
	IncompleteSignature        = "IncompleteSignatureException"        // a malformed one
	// the signature does not match, or is for another time or scope
	InvalidSignature = "InvalidSignatureException"
	// an unknown access key, or a wrong session token
	UnrecognizedClient = "UnrecognizedClientException"
	// an expired session token; botocore then gets new credentials
	ExpiredToken = "ExpiredTokenException"
)
