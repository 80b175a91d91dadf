package playback

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// Playlist is the text of a playlist, which never changes. It is safe for concurrent use.
type Playlist struct {
	Text []byte // not to be changed

	blocks []placedBlock // parts of Text, in its order, that are compressed by themselves
	pool   *sync.Pool    // of *flate.Writer
	once   sync.Once
	zipped []byte
}

// blockEntries is how many entries of a growing playlist are compressed together: enough to
// compress well, and few enough that the rest at both ends of the window costs little.
const blockEntries = 32

// block is the compressed form of a run of entries, which the playlists that list them share.
type block struct {
	once   sync.Once
	zipped []byte
}

// placedBlock is a block, and the part of a text that it is the compressed form of.
type placedBlock struct {
	from, to int
	block    *block
}

// Gzip returns the text as a gzip stream (RFC 1952). It is made once and kept with the text,
// because for thousands of segments it costs more than the rest of a request. Of a live playlist
// only new entries are compressed: pieces that begin without a window and end at a byte boundary
// may follow each other in one deflate stream (RFC 1951 section 3.2).
func (p *Playlist) Gzip() []byte {
	p.once.Do(func() {
		out := make([]byte, 0, len(p.Text)/4+64)
		// deflate, no name, no time, any system
		out = append(out, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)
		at := 0
		for _, b := range p.blocks {
			out = append(out, p.deflate(p.Text[at:b.from])...)
			b.block.once.Do(func() { b.block.zipped = p.deflate(p.Text[b.from:b.to]) })
			out = append(out, b.block.zipped...)
			at = b.to
		}
		out = append(out, p.deflate(p.Text[at:])...)
		out = append(out, 3, 0) // an empty last block
		out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(p.Text))
		p.zipped = binary.LittleEndian.AppendUint32(out, uint32(len(p.Text)))
	})
	return p.zipped
}

// deflate compresses a text into deflate blocks that end at a byte boundary. None is marked as the
// last.
func (p *Playlist) deflate(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	var out bytes.Buffer
	z := p.pool.Get().(*flate.Writer)
	defer p.pool.Put(z)
	z.Reset(&out)
	_, _ = z.Write(text) // a buffer takes everything
	_ = z.Flush()
	return out.Bytes()
}

// newDeflaters makes the pool of compressors: each takes half a megabyte.
func newDeflaters() *sync.Pool {
	return &sync.Pool{New: func() any {
		z, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is a valid one
		return z
	}}
}

// weight returns about how many bytes the playlist takes. The result of Gzip is less than a quarter
// of the text.
func (p *Playlist) weight() int64 {
	if p == nil {
		return 0
	}
	return int64(cap(p.Text)) * 5 / 4
}
