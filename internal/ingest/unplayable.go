package ingest

import (
	"fmt"

	"weir/internal/media"
)

// maxTold bounds how many tracks a connection reports: a body may declare any number of sets.
const maxTold = 8

// unplayable reports once for each track that no player can decode it.
func (c *Connection) unplayable(track int, why string) {
	if c.told[track] || len(c.told) >= maxTold {
		return
	}
	if c.told == nil {
		c.told = map[int]bool{}
	}
	c.told[track] = true
	c.o.Unplayable(why)
}

// lookAtTracks reports the video and audio tracks whose declaration playback cannot package.
func (c *Connection) lookAtTracks() {
	for i := range c.doc.tracks {
		t := &c.doc.tracks[i]
		if t.Kind != media.Video && t.Kind != media.Audio {
			continue
		}
		if _, err := media.CodecString(t); err != nil {
			c.unplayable(t.Number, err.Error())
		}
	}
}

// lookAtFrame reports a frame whose form is not the one that the codec private data announces. It
// is stored as it came, and playback does not convert it. track is an index of the document's
// tracks.
func (c *Connection) lookAtFrame(track int, frame []byte) {
	t := &c.doc.tracks[track]
	why := ""
	if c.doc.scanners[track].AnnexB(frame) {
		why = "frames with start codes (Annex B), not with lengths as codec private data says"
	} else if t.CodecID == media.CodecAAC {
		if _, ok := media.CutADTS(frame); ok {
			why = "frames with ADTS headers, not raw as codec private data says"
		}
	}
	if why != "" {
		c.unplayable(t.Number, fmt.Sprintf("track %d (%s): %s", t.Number, t.CodecID, why))
	}
}
