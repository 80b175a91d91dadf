package clip

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/store"
)

// errChanged says that a link's clip cannot be made any more: its range has other fragments than
// when the link was made.
var errChanged = errors.New("clip has changed")

// A link is sealed (auth.TokenKeys.SealLink) and holds everything, so that the server need not
// store it:
//
//	1 | stream 16 | flags 1 | start 8 | end 8 | last sequence 8 | key 16
//
// Integers are big-endian.
const (
	linkVersion = 1
	linkSize    = 1 + 16 + 1 + 3*8 + keySize
)

const (
	linkProducer = 1 << iota
	linkExact
	linkKeepGaps
)

// Link returns a token that opens the clip of a request, and nothing else, until it expires. The
// clip is that of now: its bytes never change, whatever is stored later. Errors are those of Open.
func (s *Service) Link(ctx context.Context, stream store.Stream, r Request,
	expires time.Duration) (string, error) {
	now := s.clock()
	if err := r.check(&stream, now); err != nil {
		return "", err
	}
	c, err := s.make(ctx, &stream, &r, maxSequence, nil)
	if err != nil {
		return "", err
	}
	if c.file != nil {
		c.file.Close() // it was only read from: nothing can be lost
	}
	data, err := encodeLink(&stream, &r, c.sequence, c.header.key)
	if err != nil {
		return "", err
	}
	return s.tokens.SealLink(data, now.Add(expires))
}

// OpenLink makes the clip of a token. The caller closes it. Errors are *api.Error: NotAuthorized
// (forged, expired, or the stream was deleted), ResourceNotFound (a part of it is past retention),
// and those of Open about the media.
func (s *Service) OpenLink(ctx context.Context, token string) (*Clip, error) {
	data, err := s.tokens.OpenLink(token)
	if errors.Is(err, auth.ErrTokenExpired) {
		return nil, api.NewError(api.NotAuthorizedException, api.MessageTokenExpired)
	}
	l, ok := decodeLink(data)
	if err != nil || !ok {
		return nil, api.NewError(api.NotAuthorizedException, "The token of the link is invalid.")
	}
	stream, err := s.store.StreamByID(ctx, l.stream)
	if errors.Is(err, store.ErrNotFound) {
		return nil, api.NewError(api.NotAuthorizedException,
			"The stream of the link has been deleted.")
	} else if err != nil {
		return nil, fmt.Errorf("read stream: %w", err)
	}
	// If there still is a header, the clip can be sent up to the first fragment that is past
	// retention.
	if h, file := s.cache.get(l.key); h != nil {
		return s.newClip(stream.ID, h, file), nil
	}
	c, err := s.make(ctx, &stream, &l.Request, l.sequence, &l.key)
	if err == errChanged || errors.Is(err, errNoFragments()) {
		return nil, api.NewError(api.ResourceNotFoundException, "A part of the clip is not there "+
			"any more: it is past the retention of the stream. Ask for a new link.")
	}
	if err != nil {
		return nil, err
	}
	return s.newClip(stream.ID, c.header, c.file), nil
}

// link is the content of a token.
type link struct {
	Request
	stream   store.StreamID
	sequence int64 // later commits are not in the clip
	key      clipKey
}

func encodeLink(stream *store.Stream, r *Request, sequence int64, key clipKey) ([]byte, error) {
	id, err := hex.DecodeString(string(stream.ID))
	if err != nil {
		return nil, err
	}
	flags := byte(0)
	if r.Selector == store.ProducerTimestamp {
		flags |= linkProducer
	}
	if r.Exact {
		flags |= linkExact
	}
	if r.KeepGaps {
		flags |= linkKeepGaps
	}
	b := append([]byte{linkVersion}, id...)
	b = append(b, flags)
	for _, v := range []int64{r.Start, r.End, sequence} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return append(b, key[:]...), nil
}

func decodeLink(b []byte) (l link, ok bool) {
	if len(b) != linkSize || b[0] != linkVersion {
		return l, false
	}
	l.stream = store.StreamID(hex.EncodeToString(b[1:17]))
	flags := b[17]
	if flags&^(linkProducer|linkExact|linkKeepGaps) != 0 {
		return l, false
	}
	if flags&linkProducer != 0 {
		l.Selector = store.ProducerTimestamp
	}
	l.Exact, l.KeepGaps = flags&linkExact != 0, flags&linkKeepGaps != 0
	be := binary.BigEndian
	l.Start, l.End = int64(be.Uint64(b[18:])), int64(be.Uint64(b[26:]))
	l.sequence = int64(be.Uint64(b[34:]))
	copy(l.key[:], b[42:])
	return l, true
}
