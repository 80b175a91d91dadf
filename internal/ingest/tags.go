package ingest

import (
	"strings"

	"weir/internal/api"
	"weir/internal/media"
)

// tags takes a Tags element. END_OF_FRAGMENT closes the fragment with the tags since its cluster
// began; tags that a cluster follows are that cluster's (docs/reference/service.md, "Tags of
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
			continue // in front of the tracks they are the document's (GStreamer)
		}
		if c.clusters == 0 {
			// In front of the first cluster they may be the file's; only startCluster can tell, so
			// limits wait as well.
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

// maxHeaderTags is how many tags in front of the first cluster are looked at; more is over any
// limit if they are metadata.
const maxHeaderTags = 4 * api.MaxFragmentTags

// clip bounds a text that may be thrown away, so that it is still too long if it was.
func clip(text string, most int) string {
	if len(text) > most {
		return strings.Clone(text[:most])
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

// takeTags returns the tags that were read in front of a cluster. In front of the first cluster of
// a document that a muxer of files wrote they are the document's, and stay in its header only.
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
