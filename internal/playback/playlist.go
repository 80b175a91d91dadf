package playback

import (
	"bytes"
	"compress/gzip"
	"sync"
)

// Playlist is the text of a playlist, which never changes. It is safe for concurrent use.
type Playlist struct {
	Text []byte // not to be changed

	once   sync.Once
	zipped []byte
}

// Gzip is the text as a gzip stream (RFC 1952). It is made once and kept as long as the text is, because for thousands of
// segments it costs more than everything else about a request.
func (p *Playlist) Gzip() []byte {
	p.once.Do(func() {
		var out bytes.Buffer
		z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // the level is a valid one
		_, _ = z.Write(p.Text)                            // a buffer takes everything
		_ = z.Close()
		p.zipped = out.Bytes()
	})
	return p.zipped
}

// weight is about how many bytes it takes; what Gzip gives is less than a quarter more.
func (p *Playlist) weight() int64 {
	if p == nil {
		return 0
	}
	return int64(cap(p.Text)) * 5 / 4
}
