// Package sessionurl has the URLs of playback sessions: it makes those that playlists and manifests
// list, and reads them from requests.
package sessionurl

import (
	"net/url"
	"strconv"
	"strings"

	"weir/internal/api"
)

// The URL space of HLS sessions: every name and parameter, written into playlists and read from
// requests. Names and parameters must stay, because open sessions have them in their playlists.

// HLSPath is the prefix of the paths of all session actions. Every URI in a playlist is relative to
// it.
const HLSPath = "/hls/v1/"

// Names below HLSPath (docs/reference/service.md, "Session URLs").
const (
	masterPlaylistName = "getHLSMasterPlaylist.m3u8"
	mediaPlaylistName  = "getHLSMediaPlaylist.m3u8"
	initSegmentName    = "getMP4InitFragment.mp4"
	mediaSegmentName   = "getMP4MediaFragment.mp4"
	tsSegmentName      = "getTSFragment.ts"
	partName           = "getMP4PartialFragment.mp4" // not the service's
)

// Parameters. From iframesParameter on they are Weir's own.
const (
	tokenParameter    = "SessionToken"
	trackParameter    = "TrackNumber"
	numberParameter   = "FragmentNumber"
	sequenceParameter = "SequenceNumber" // of a generation of codec private data

	iframesParameter      = "IFramesOnly"
	startParameter        = "StartOffset"
	endParameter          = "EndOffset"
	skipParameter         = "SkipLeading"
	silenceStartParameter = "SilenceStart"
	silenceEndParameter   = "SilenceEnd"
	partParameter         = "PartNumber"

	// delivery directives (RFC 8216bis section 6.2.5)
	msnDirective  = "_HLS_msn"
	partDirective = "_HLS_part"
	skipDirective = "_HLS_skip"
)

// HLSActions maps the path of each session action to its name at the service.
func HLSActions() map[string]string {
	return map[string]string{
		HLSPath + masterPlaylistName: "GetHLSMasterPlaylist",
		HLSPath + mediaPlaylistName:  "GetHLSMediaPlaylist",
		HLSPath + initSegmentName:    "GetMP4InitFragment",
		HLSPath + mediaSegmentName:   "GetMP4MediaFragment",
		HLSPath + tsSegmentName:      "GetTSFragment",
		HLSPath + partName:           "GetMP4PartialFragment",
	}
}

// HLSSession returns the URL of a session, which is that of its master playlist. base is scheme and
// host.
func HLSSession(base, token string) string {
	return base + HLSPath + masterPlaylistName + "?" + tokenParameter + "=" + token
}

// MediaPlaylist names a media playlist of a session.
type MediaPlaylist struct {
	Track       int  // TrackNumber
	IFramesOnly bool // the I-frame playlist of the track
	Directives       // not part of its URI
}

// URI returns the playlist's URI, relative to the session's other playlists. A token needs no
// escaping, here and below.
func (ref MediaPlaylist) URI(token string) string {
	uri := mediaPlaylistName + "?" + tokenParameter + "=" + token +
		"&" + trackParameter + "=" + strconv.Itoa(ref.Track)
	if ref.IFramesOnly {
		uri += "&" + iframesParameter + "=true"
	}
	return uri
}

// Directives are the delivery directives of a request for a media playlist, as text (RFC 8216bis
// section 6.2.5). Only sessions with parts use them.
type Directives struct {
	MSN  string // _HLS_msn
	Part string // _HLS_part
	Skip string // _HLS_skip
}

// InitSegment names an init segment of a session.
type InitSegment struct {
	Track    int // TrackNumber
	Sequence int // counts the generations of the session's codec private data from 0
}

// URI returns the init segment's URI, relative to the session's playlists.
func (ref InitSegment) URI(token string) string {
	return initSegmentName + "?" + tokenParameter + "=" + token +
		"&" + trackParameter + "=" + strconv.Itoa(ref.Track) +
		"&" + sequenceParameter + "=" + strconv.Itoa(ref.Sequence)
}

// Segment names a media segment of a session.
type Segment struct {
	Track  int    // TrackNumber
	Number string // FragmentNumber
	// StartOffset and EndOffset are the slice of the fragment: the frames that begin in it, in
	// milliseconds of media time after the fragment's start, the end not included. An EndOffset of
	// 0 is the fragment's end.
	StartOffset, EndOffset int64
	// SkipLeading leaves out the pictures that cannot be decoded if a player begins with this
	// segment.
	SkipLeading bool
	// SilenceStart and SilenceEnd are where sound begins and ends, filled with silence: ticks of
	// its timescale after the fragment's start. Both 0: the slice's own sound, without silence.
	SilenceStart, SilenceEnd int64
}

// URI returns the URI of the segment as fragmented MP4 or as MPEG-TS, relative to the session's
// playlists.
func (ref *Segment) URI(token string, mpegTS bool) string {
	name := mediaSegmentName
	if mpegTS {
		name = tsSegmentName
	}
	uri := name + "?" + numberParameter + "=" + ref.Number + "&" + tokenParameter + "=" + token +
		"&" + trackParameter + "=" + strconv.Itoa(ref.Track)
	if ref.StartOffset > 0 {
		uri += "&" + startParameter + "=" + strconv.FormatInt(ref.StartOffset, 10)
	}
	if ref.EndOffset > 0 {
		uri += "&" + endParameter + "=" + strconv.FormatInt(ref.EndOffset, 10)
	}
	if ref.SkipLeading {
		uri += "&" + skipParameter + "=1"
	}
	if ref.SilenceStart != 0 || ref.SilenceEnd != 0 {
		uri += "&" + silenceStartParameter + "=" + strconv.FormatInt(ref.SilenceStart, 10) +
			"&" + silenceEndParameter + "=" + strconv.FormatInt(ref.SilenceEnd, 10)
	}
	return uri
}

// Part names a part of a session's segments. The part after the last one of a segment is the
// first one of the next segment.
type Part struct {
	Track    int   // TrackNumber
	Sequence int64 // SequenceNumber: the media sequence number of the segment
	Part     int   // PartNumber: counts from 0; WholeSegment: there is none
}

// WholeSegment, instead of the number of a part, names a whole segment by its media sequence
// number: a slice that another one follows, which may be listed before its fragment is stored.
const WholeSegment = -1

// URI returns the part's URI, relative to the session's playlists.
func (ref Part) URI(token string) string {
	uri := partName + "?" + tokenParameter + "=" + token +
		"&" + trackParameter + "=" + strconv.Itoa(ref.Track) +
		"&" + sequenceParameter + "=" + strconv.FormatInt(ref.Sequence, 10)
	if ref.Part == WholeSegment {
		return uri
	}
	return uri + "&" + partParameter + "=" + strconv.Itoa(ref.Part)
}

// ParsePart reads the query of a part's URL.
func ParsePart(query string) (ref Part, err error) {
	if ref.Track, err = decimal(query, trackParameter, true); err != nil {
		return ref, err
	}
	n, err := decimal(query, sequenceParameter, true)
	if err != nil {
		return ref, err
	}
	ref.Sequence = int64(n)
	if text, err := parameter(query, partParameter, false); err != nil || text == "" {
		ref.Part = WholeSegment
		return ref, err
	}
	ref.Part, err = decimal(query, partParameter, true)
	return ref, err
}

// ParseToken reads the session token from the query of a URL. A session action needs no other
// permission. The error is NotAuthorized if there is no token, InvalidArgument if there are two.
func ParseToken(query string) (string, error) {
	token, err := parameter(query, tokenParameter, false)
	if err == nil && token == "" {
		err = api.NewError(api.NotAuthorizedException, "The SessionToken parameter is missing.")
	}
	return token, err
}

// ParseMediaPlaylist reads the query of a media playlist's URL. Errors, here and below, are
// InvalidArgument.
func ParseMediaPlaylist(query string) (ref MediaPlaylist, err error) {
	if ref.Track, err = decimal(query, trackParameter, true); err != nil {
		return ref, err
	}
	only, err := parameter(query, iframesParameter, false)
	if err != nil {
		return ref, err
	}
	if only != "" && only != "true" && only != "false" {
		return ref, api.NewError(api.InvalidArgumentException,
			"The parameter IFramesOnly is neither true nor false.")
	}
	ref.IFramesOnly = only == "true"
	ref.MSN, _ = queryValue(query, msnDirective)
	ref.Part, _ = queryValue(query, partDirective)
	ref.Skip, _ = queryValue(query, skipDirective)
	return ref, nil
}

// ParseInitSegment reads the query of an init segment's URL.
func ParseInitSegment(query string) (ref InitSegment, err error) {
	if ref.Track, err = decimal(query, trackParameter, true); err != nil {
		return ref, err
	}
	ref.Sequence, err = decimal(query, sequenceParameter, false)
	return ref, err
}

// ParseSegment reads the query of a media segment's URL.
func ParseSegment(query string) (ref Segment, err error) {
	if ref.Track, err = decimal(query, trackParameter, true); err != nil {
		return ref, err
	}
	if ref.Number, err = parameter(query, numberParameter, true); err != nil {
		return ref, err
	}
	start, err := decimal(query, startParameter, false)
	if err != nil {
		return ref, err
	}
	end, err := decimal(query, endParameter, false)
	if err != nil {
		return ref, err
	}
	skip, err := decimal(query, skipParameter, false)
	if err != nil {
		return ref, err
	}
	ref.StartOffset, ref.EndOffset, ref.SkipLeading = int64(start), int64(end), skip != 0
	if ref.SilenceStart, err = ticks(query, silenceStartParameter); err != nil {
		return ref, err
	}
	ref.SilenceEnd, err = ticks(query, silenceEndParameter)
	return ref, err
}

// queryValue returns the last value of a parameter in the query of a URL, and how often it occurs.
// It parses as url.ParseQuery does, which leaves out malformed parameters, but makes no map: a
// request for a segment has five parameters.
func queryValue(query, name string) (value string, times int) {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		key, text, _ := strings.Cut(pair, "=")
		if key != name {
			var err error
			if key, err = url.QueryUnescape(key); err != nil || key != name {
				continue
			}
		}
		text, err := url.QueryUnescape(text)
		if err != nil || strings.Contains(pair, ";") {
			continue
		}
		value, times = text, times+1
	}
	return value, times
}

// parameter reads a parameter that may be given once.
func parameter(query, name string, required bool) (string, error) {
	value, times := queryValue(query, name)
	if times > 1 {
		return "", api.Errorf(api.InvalidArgumentException,
			"The parameter %s is given more than once.", name)
	}
	if value == "" && required {
		return "", api.Errorf(api.InvalidArgumentException, "The parameter %s is missing.", name)
	}
	return value, nil
}

// decimal reads a parameter that is a small decimal number; 0 when it is absent.
func decimal(query, name string, required bool) (int, error) {
	text, err := parameter(query, name, required)
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, api.Errorf(api.InvalidArgumentException,
			"The parameter %s is not a decimal number.", name)
	}
	return int(n), nil
}

// ticks reads a parameter that is a number of ticks of either sign; 0 when it is absent.
func ticks(query, name string) (int64, error) {
	text, err := parameter(query, name, false)
	if err != nil || text == "" {
		return 0, err
	}
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, api.Errorf(api.InvalidArgumentException, "The parameter %s is not a number.",
			name)
	}
	return v, nil
}
