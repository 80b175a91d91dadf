// Package auth knows who is calling: AWS Signature Version 4 (both sides of it), the key pairs, and
// the sealed tokens of playback sessions. It uses the standard library alone and nothing of Weir.
//
// # Signatures
//
// A Verifier checks the header form (Authorization: AWS4-HMAC-SHA256 …) and the query form
// (X-Amz-Signature=…). It takes what real producers send, which is not always what an HTTP library
// shows:
//
//   - The Host is compared as it was received; the C and Java producers leave out the port. When
//     that does not match, Verifier.Hosts are tried, for proxies that put their own in its place.
//   - net/http takes Host and Transfer-Encoding out of the header map; they are put back. PutMedia
//     is signed over connection and transfer-encoding by the C producers. Both describe one hop and
//     mean nothing to the call, so when the request does not verify with the values received
//     (HTTP/2 has neither, proxies change them), it is tried again with those that producers sign:
//     keep-alive and chunked.
//   - The payload hash is that of the body for JSON calls. For PutMedia, whose body has no end when
//     the request is checked, it is the hash of the empty string (C, C++, Python) or the literal
//     UNSIGNED-PAYLOAD (Java, with the x-amz-content-sha256 header added after signing).
//   - The region of the credential scope is taken as it is, for the key's derivation, unless
//     Verifier.StrictRegion: clients guess the region from the host name, and get it wrong for an
//     address. The service must be Verifier.Service.
//   - x-amz-security-token may be signed or not. It is ignored for keys that have no session token
//     in the key file; for those that have one it must be that one.
//
// A request must be at most five minutes old or early. Host must be signed.
//
// # Tokens
//
// A session token is the only right that the playback URLs need. TokenKeys seals the session's id
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
package auth

// Error is a refusal with the name of the AWS error, which is one of the codes below, and the text
// for the caller.
type Error struct {
	Code    string
	Message string
}

// Error gives "Code: message".
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The error codes that Verify gives, spelt as AWS spells them.
const (
	MissingAuthenticationToken = "MissingAuthenticationTokenException" // no signature at all
	IncompleteSignature        = "IncompleteSignatureException"        // a malformed one
	// one that does not match, or of another time or scope
	InvalidSignature = "InvalidSignatureException"
	// an unknown access key, or a wrong session token
	UnrecognizedClient = "UnrecognizedClientException"
)
