package relay

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/internal/store"
	"weir/internal/varint"
)

// Nodes authenticate each other by a secret that all have. A call has a MAC over the caller, the
// node called, the stream, the time, and a nonce that is valid once. The answer is sealed under a
// key derived from the secret and a nonce of each side. So nobody between the nodes can read an
// answer, forge one, or replay a recorded call or answer.

const (
	scheme = "Weir-Node"
	// nonceHeader is the header of an answer that has the other node's nonce.
	nonceHeader = "Weir-Node-Nonce"
	nonceSize   = 32
	// clockSkew is how far the clocks of two nodes may be apart.
	clockSkew = 5 * time.Minute
)

// call is a call of one node to another.
type call struct {
	stream   store.StreamID
	from, to string // IDs of nodes
	millis   int64  // when, since the Unix epoch
	nonce    []byte
}

// derive derives a key for one purpose from the secret that nodes share.
func derive(secret, salt []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, purpose, 32)
	if err != nil { // only of a length that SHA-256 cannot give
		panic(err)
	}
	return key
}

func (c *call) mac(secret []byte) []byte {
	h := hmac.New(sha256.New, derive(secret, nil, fmt.Sprintf("weir node call %d", version)))
	for _, field := range []string{string(c.stream), c.from, c.to,
		strconv.FormatInt(c.millis, 10), string(c.nonce)} {
		h.Write(varint.AppendString(nil, field))
	}
	return h.Sum(nil)
}

var base64url = base64.RawURLEncoding

// authorization returns the header of a call.
func (c *call) authorization(secret []byte) string {
	return fmt.Sprintf("%s %d %s %s %d %s %s", scheme, version, c.from, c.to, c.millis,
		base64url.EncodeToString(c.nonce), base64url.EncodeToString(c.mac(secret)))
}

// Errors of a call. errCall says no more: strangers read it.
var (
	errCall    = errors.New("not a call of a node")
	errVersion = errors.New("a node of another version")
)

// readCall reads the header of a call for a stream, and checks its MAC. It does not check time,
// nonce or recipient.
func readCall(header string, stream store.StreamID, secret []byte) (*call, error) {
	fields := strings.Fields(header)
	if len(fields) < 2 || len(header) > 1024 || fields[0] != scheme {
		return nil, errCall
	}
	if fields[1] != strconv.Itoa(version) {
		return nil, errVersion
	}
	if len(fields) != 7 {
		return nil, errCall
	}
	c := &call{stream: stream, from: fields[2], to: fields[3]}
	var err, notNonce, notMAC error
	var mac []byte
	c.millis, err = strconv.ParseInt(fields[4], 10, 64)
	c.nonce, notNonce = base64url.DecodeString(fields[5])
	mac, notMAC = base64url.DecodeString(fields[6])
	if err != nil || notNonce != nil || notMAC != nil || len(c.nonce) != nonceSize ||
		!hmac.Equal(mac, c.mac(secret)) {
		return nil, errCall
	}
	return c, nil
}

// nonces has the nonces of the calls of the last minutes. Each is valid once.
type nonces struct {
	mu     sync.Mutex
	seen   map[string]time.Time // when it may be forgotten; guarded by mu
	pruned time.Time            // guarded by mu
}

// use reports whether a call is recent and was not made before.
func (n *nonces) use(c *call, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if age := now.Sub(time.UnixMilli(c.millis)); age > clockSkew || age < -clockSkew {
		return false
	}
	if now.Sub(n.pruned) > time.Minute || n.seen == nil {
		kept := make(map[string]time.Time)
		for nonce, until := range n.seen {
			if now.Before(until) {
				kept[nonce] = until
			}
		}
		n.seen, n.pruned = kept, now
	}
	if _, used := n.seen[string(c.nonce)]; used {
		return false
	}
	n.seen[string(c.nonce)] = now.Add(2*clockSkew + time.Minute)
	return true
}

func newNonce() []byte {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails: it ends the process instead
	return nonce
}

// answerCipher makes the cipher that seals the answer to a call, in counted pieces.
func answerCipher(secret []byte, c *call, nonce []byte) cipher.AEAD {
	salt := append(append([]byte(nil), c.nonce...), nonce...)
	purpose := fmt.Sprintf("weir node answer %d %s %s %s", version, c.from, c.to, c.stream)
	block, err := aes.NewCipher(derive(secret, salt, purpose))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return aead
		}
	}
	panic(err) // only of a key of another length
}

// pieceSize bounds the text of a piece. A sealed piece is its length, 32 bits, and the ciphertext.
const pieceSize = 64 << 10

// sealer writes pieces. Its errors are those of the writer below.
type sealer struct {
	w     io.Writer
	aead  cipher.AEAD
	count uint64
	buf   []byte
}

func pieceNonce(count uint64) []byte {
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], count)
	return nonce[:]
}

func (s *sealer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		piece := p[:min(len(p), pieceSize)]
		s.buf = binary.BigEndian.AppendUint32(s.buf[:0], uint32(len(piece)+s.aead.Overhead()))
		s.buf = s.aead.Seal(s.buf, pieceNonce(s.count), piece, nil)
		s.count++
		if _, err := s.w.Write(s.buf); err != nil {
			return n, err
		}
		n += len(piece)
		p = p[len(piece):]
	}
	return n, nil
}

// errSealed says that a piece was not sealed with the secret for this call.
var errSealed = errors.New("answer of a node is not sealed with the nodes' key, or damaged")

// opener reads what a sealer wrote.
type opener struct {
	r     *bufio.Reader
	aead  cipher.AEAD
	count uint64
	came  func(bytes int) // called for every piece
	buf   []byte
	text  []byte // the rest of the current piece
}

func (o *opener) Read(p []byte) (int, error) {
	for len(o.text) == 0 {
		if err := o.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, o.text)
	o.text = o.text[n:]
	return n, nil
}

func (o *opener) next() error {
	var size [4]byte
	if _, err := io.ReadFull(o.r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > uint32(pieceSize+o.aead.Overhead()) {
		return errSealed
	}
	if cap(o.buf) < int(n) {
		o.buf = make([]byte, pieceSize+o.aead.Overhead())
	}
	o.buf = o.buf[:n]
	if _, err := io.ReadFull(o.r, o.buf); err != nil {
		return io.ErrUnexpectedEOF
	}
	text, err := o.aead.Open(o.buf[:0], pieceNonce(o.count), o.buf, nil)
	if err != nil {
		return errSealed
	}
	o.count++
	o.came(len(size) + int(n))
	o.text = text
	return nil
}
