package ingest

import (
	"strings"

	"weir/internal/api"
	"weir/internal/media"
)

// tags handles a Tags element. END_OF_FRAGMENT ends the fragment, which gets the tags since its
// cluster began. Tags before a cluster are that cluster's (docs/reference/service.md, "Tags of
// fragments").
func (c *Connection) tags(tags []media.Tag) error {
	for _, t := range tags {
		if t.Name == endOfFragment {
			c.marked = true
			if c.cur == nil {
				continue // left over from an earlier connection
			}
			c.cur.complete = true
			if err := c.endFragment(media.NoTime, true); err != nil {
				return err
			}
			continue
		}
		if c.doc == nil {
			continue // before the tracks they are about the document (GStreamer)
		}
		if c.clusters == 0 {
			// Before the first cluster they may be about the file. takeTags decides, and checks the
			// limits, so one byte more than the limit is kept.
			if len(c.pending) < maxHeaderTags {
				c.pending = append(c.pending, media.Tag{
					Name:  clip(t.Name, api.MaxFragmentTagName+1),
					Value: clip(t.Value, api.MaxFragmentTagValue+1),
				})
			}
			continue
		}
		if err := c.keepTag(t); err != nil {
			return failf(c.unfinished(), api.AckFragmentMetadataLimit, "%w", err)
		}
	}
	return nil
}

// maxHeaderTags is how many tags before the first cluster are kept. If they are metadata, more
// would exceed the limit anyway.
const maxHeaderTags = 4 * api.MaxFragmentTags

// clip cuts a text that is longer than limit bytes, and does not keep the rest in memory.
func clip(text string, limit int) string {
	if len(text) > limit {
		return strings.Clone(text[:limit])
	}
	return text
}

// keepTag adds a tag to those that wait for their fragment. Reserved names are accepted and not
// kept; some ask for something.
func (c *Connection) keepTag(t media.Tag) error {
	if strings.HasPrefix(t.Name, reservedPrefix) {
		c.wants.add(wanted(t))
		return nil
	}
	if err := checkTag(t); err != nil {
		return err
	}
	var err error
	c.pending, err = addTag(c.pending, t)
	return err
}

// takeTags returns the tags that were read before a cluster. If a muxer of files wrote the
// document, those before its first cluster are about the document, and stay only in its header.
func (c *Connection) takeTags() ([]media.Tag, error) {
	tags := c.pending
	c.pending = nil
	if c.clusters > 0 {
		return tags, nil
	}
	if c.doc.file {
		return nil, nil
	}
	for _, t := range tags {
		if err := c.keepTag(t); err != nil {
			return nil, err
		}
	}
	tags, c.pending = c.pending, nil
	return tags, nil
}
