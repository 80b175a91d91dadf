package sessionurl

import "strconv"

// The URL space of DASH sessions: every name and parameter, written into manifests and read from
// requests. Parameters are those of HLS; SequenceNumber also names a media segment.

// dashPath is the prefix of the paths of all DASH session actions. Every URI in a manifest is
// relative to it.
const dashPath = "/dash/v1/"

// dashManifestName is a name below dashPath (docs/reference/service.md, "Session URLs"). The others
// are those of HLS.
const dashManifestName = "getDASHManifest.mpd"

// Where players read the server's clock (UTCTiming of the manifest): relative to the manifest, and
// as a path. The service has no such action.
const (
	DASHTimeName = "getTime"
	DASHTimePath = dashPath + DASHTimeName
)

// DASHActions maps the path of each session action to its name at the service.
func DASHActions() map[string]string {
	return map[string]string{
		dashPath + dashManifestName: "GetDASHManifest",
		dashPath + initSegmentName:  "GetMP4InitFragment",
		dashPath + mediaSegmentName: "GetMP4MediaFragment",
	}
}

// DASHSession returns the URL of a session, which is that of its manifest. base is scheme and
// host.
func DASHSession(base, token string) string {
	return base + dashPath + dashManifestName + "?" + tokenParameter + "=" + token
}

// DASHInitURI returns the URI of an init segment, escaped for XML.
func DASHInitURI(token string, track, generation int) string {
	return dashURI(initSegmentName, token, track) + strconv.Itoa(generation)
}

// DASHMediaURI returns the template of the URIs of a track's media segments, escaped for XML.
func DASHMediaURI(token string, track int) string {
	return dashURI(mediaSegmentName, token, track) + "$Number$"
}

func dashURI(name, token string, track int) string {
	return name + "?" + tokenParameter + "=" + token +
		"&amp;" + trackParameter + "=" + strconv.Itoa(track) + "&amp;" + sequenceParameter + "="
}

// DASHSegment names a media segment of a DASH session.
type DASHSegment struct {
	Track  int // TrackNumber
	Number int // SequenceNumber: counts the segments of the session and track from 1
}

// ParseDASHSegment reads the query of a media segment's URL. Errors are InvalidArgument.
func ParseDASHSegment(query string) (ref DASHSegment, err error) {
	if ref.Track, err = decimal(query, trackParameter, true); err != nil {
		return ref, err
	}
	ref.Number, err = decimal(query, sequenceParameter, true)
	return ref, err
}
