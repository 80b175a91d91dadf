// Package quota has the limits that a server sets to what its clients ask for, in one table, and
// counts against those that hold for signed calls. Flags, the page docs/limits.md and their checks
// come from the table; package api has the bounds of the wire and of media, which are no flags.
package quota

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Limits is the table: each field is a limit, 0 for none. Its tags are those of package kong for
// the flag (name, default, env and help), and
//
//	of     what it limits: server, principal, stream or session
//	aws    the service's figure (developer guide, "Amazon Kinesis Video Streams service quotas");
//	       [h] is hard there, [s] can be raised; none: it has no such limit
//	beyond what happens beyond it: the error, or something else
//
// The service shares its machines among strangers, so its limits are low. Those of a server of your
// own are high by default: they are only for what has gone wrong.
type Limits struct {
	PrincipalCalls int  `name:"principal-call-rate" default:"2000" env:"WEIR_PRINCIPAL_CALL_RATE" placeholder:"N" help:"Signed calls of one user, role or camera per second, five seconds' worth at once." of:"principal" aws:"50 or 300 calls of an operation of an account [h]" beyond:"ClientLimitExceededException"`
	StreamCalls    int  `name:"stream-call-rate" default:"100" env:"WEIR_STREAM_CALL_RATE" placeholder:"N" help:"Calls per second of each operation on a stream, except those with a limit of their own; five seconds' worth at once." of:"stream" aws:"5 of the control operations [h]" beyond:"ClientLimitExceededException"`
	CreatorStored  Size `name:"stored-per-creator" default:"0" env:"WEIR_STORED_PER_CREATOR" placeholder:"SIZE" help:"What all streams that one user, role or camera has created may store together. Streams of root do not count." of:"principal" aws:"no limit" beyond:"nothing more is stored until there is room: acknowledgement ARCHIVAL_ERROR (5001), and producers send again"`
	StreamStored   Size `name:"stored-per-stream" default:"0" env:"WEIR_STORED_PER_STREAM" placeholder:"SIZE" help:"What a stream may store." of:"stream" aws:"no limit" beyond:"the same"`
	Streams        int  `name:"max-streams" default:"100000" env:"WEIR_MAX_STREAMS" placeholder:"N" help:"Streams." of:"server" aws:"10,000 [s]" beyond:"AccountStreamLimitExceededException"`

	PutMediaCalls       int  `name:"put-media-call-rate" default:"50" env:"WEIR_PUT_MEDIA_CALL_RATE" placeholder:"N" help:"Calls of PutMedia per second and stream." of:"stream" aws:"5 [h]" beyond:"ClientLimitExceededException"`
	PutMediaConnections int  `name:"put-media-connections-per-stream" default:"100" env:"WEIR_PUT_MEDIA_CONNECTIONS_PER_STREAM" placeholder:"N" help:"Connections of PutMedia to one stream." of:"stream" aws:"1 [h]" beyond:"ConnectionLimitExceededException, the newest"`
	PutMediaBytes       Size `name:"put-media-rate" default:"0" env:"WEIR_PUT_MEDIA_RATE" placeholder:"SIZE" help:"Bytes per second that a stream's producers may send, together." of:"stream" aws:"12.5 MB [s]" beyond:"they are read no faster"`
	PutMediaFragments   int  `name:"put-media-fragment-rate" default:"0" env:"WEIR_PUT_MEDIA_FRAGMENT_RATE" placeholder:"N" help:"Fragments per second that a stream's producers may send, together." of:"stream" aws:"5 [h]" beyond:"they are stored no faster"`

	MediaCalls       int  `name:"media-call-rate" default:"50" env:"WEIR_MEDIA_CALL_RATE" placeholder:"N" help:"Calls of GetMedia per second and stream." of:"stream" aws:"5 [h]" beyond:"ClientLimitExceededException"`
	MediaConnections int  `name:"media-connections-per-stream" default:"100" env:"WEIR_MEDIA_CONNECTIONS_PER_STREAM" placeholder:"N" help:"Connections of GetMedia to one stream." of:"stream" aws:"3 [h]" beyond:"ConnectionLimitExceededException, the newest"`
	ListConnections  int  `name:"fragment-list-connections-per-stream" default:"100" env:"WEIR_FRAGMENT_LIST_CONNECTIONS_PER_STREAM" placeholder:"N" help:"Answers of GetMediaForFragmentList of one stream that are being sent." of:"stream" aws:"5 [s]" beyond:"ClientLimitExceededException, the newest"`
	MediaBytes       Size `name:"media-rate" default:"0" env:"WEIR_MEDIA_RATE" placeholder:"SIZE" help:"Bytes per second that GetMedia and GetMediaForFragmentList send of a stream, together." of:"stream" aws:"25 MB [s]" beyond:"they are sent no faster"`
	MetadataPoints   int  `name:"metadata-point-rate" default:"0" env:"WEIR_METADATA_POINT_RATE" placeholder:"N" help:"Fragments of a stream per second that are looked up for lists, at most: a call of ListFragments costs its MaxResults, one of GetImages 400 and its MaxResults." of:"stream" aws:"10,000 [h], playlists and GetClip too" beyond:"ClientLimitExceededException"`
	MediaPoints      int  `name:"media-point-rate" default:"0" env:"WEIR_MEDIA_POINT_RATE" placeholder:"N" help:"Fragments of a stream per second whose media are asked for: a call of GetMediaForFragmentList costs as many as it names, one of GetImages its MaxResults." of:"stream" aws:"500 [h], sessions and GetClip too" beyond:"ClientLimitExceededException"`
	ClipFragments    int  `name:"clip-max-fragments" default:"0" env:"WEIR_CLIP_MAX_FRAGMENTS" placeholder:"N" help:"Fragments of a clip: it gets the first ones of its range. Never more than 260,000." of:"stream" aws:"200 [h]" beyond:"left out"`
	ClipBytes        Size `name:"clip-max-size" default:"0" env:"WEIR_CLIP_MAX_SIZE" placeholder:"SIZE" help:"Media of a clip: it gets the first fragments of its range up to this size." of:"stream" aws:"100 MB [h]" beyond:"left out"`

	SessionURLs  int `name:"session-url-rate" default:"25" env:"WEIR_SESSION_URL_RATE" placeholder:"N" help:"Calls of GetHLSStreamingSessionURL per second and stream, and as many of GetDASHStreamingSessionURL." of:"stream" aws:"25 [h]" beyond:"ClientLimitExceededException"`
	HLSSessions  int `name:"hls-sessions-per-stream" default:"5" env:"WEIR_HLS_SESSIONS_PER_STREAM" placeholder:"N" help:"HLS sessions of one stream." of:"stream" aws:"5 in 2018, 10 in 2020" beyond:"the oldest is closed"`
	DASHSessions int `name:"dash-sessions-per-stream" default:"5" env:"WEIR_DASH_SESSIONS_PER_STREAM" placeholder:"N" help:"DASH sessions of one stream." of:"stream" aws:"5 in 2018, 10 in 2020" beyond:"the oldest is closed"`
	PlaylistRate int `name:"hls-playlist-rate" default:"20" env:"WEIR_HLS_PLAYLIST_RATE" placeholder:"N" help:"Requests per second and session, of HLS or DASH, for its master playlist, for media playlists or the manifest, and for init segments, each; five seconds' worth at once." of:"session" aws:"5 [h]" beyond:"ClientLimitExceededException"`
	FragmentRate int `name:"hls-fragment-rate" default:"200" env:"WEIR_HLS_FRAGMENT_RATE" placeholder:"N" help:"Media segments per second and session, of HLS or DASH, beside what a download needs." of:"session" aws:"20 [h]" beyond:"ClientLimitExceededException"`

	Blocked                  int `name:"blocked-requests" default:"8192" env:"WEIR_BLOCKED_REQUESTS" placeholder:"N" help:"Requests for low-latency playlists and parts that wait for media at a time; a player has two to four. The sessions of one opener take three quarters at most." of:"server" beyond:"ServiceUnavailable, at which players try again"`
	BlockedPerStream         int `name:"blocked-requests-per-stream" default:"4096" env:"WEIR_BLOCKED_REQUESTS_PER_STREAM" placeholder:"N" help:"The same of one stream." of:"stream" beyond:"ServiceUnavailable"`
	MaxConnections           int `name:"max-connections" default:"4096" env:"WEIR_MAX_CONNECTIONS" placeholder:"N" help:"Connections at a time. One more replaces one that waits, strangers first. At start it is lowered to what the limit of open files allows. PutMedia and GetMedia of one user, role or camera take three quarters at most." of:"server" beyond:"closed at once, when all are at work; ConnectionLimitExceededException beyond the share"`
	MaxConnectionsPerAddress int `name:"max-connections-per-address" default:"1024" env:"WEIR_MAX_CONNECTIONS_PER_ADDRESS" placeholder:"N" help:"The same of one address, or one /64 of IPv6; this machine's own addresses have no such limit. Raise it if the server is behind a proxy on another machine." of:"server" beyond:"closed at once, when all are at work"`
}

// Why these defaults:
//
//   - --max-connections: some 100 MB when every one sends half a header section.
//   - --max-connections-per-address: a site of cameras and viewers behind one address.
//   - --blocked-requests: each takes some 20 KB with its connection.
//   - --hls-playlist-rate and --hls-fragment-rate, where the service has 5 and 20: one honest
//     player must never meet a limit, and there each track has a playlist of its own. A player
//     asks for a live playlist twice per target duration at most (RFC 8216 section 6.3.4: half
//     of it when nothing is new). So with one-second segments, video, audio and an I-frame
//     playlist make 6 requests a second; 20 leaves room for seeking and retries. A stream of
//     one-frame fragments at 60 Hz with audio makes 120 fragments a second. ffmpeg, and any
//     player that fills its buffer, fetches a recording as fast as the network allows, thousands
//     a second on loopback: hence a burst (api.FragmentReadsBurst) that a download, and repeated
//     seeking through all of it, stays below. A crowd behind one URL does not: each live player
//     of two tracks asks for at least one playlist and one fragment a second with two-second
//     segments, again and again.

// Defaults returns the default limits.
func Defaults() *Limits {
	l := &Limits{}
	v := reflect.ValueOf(l).Elem()
	for i := range v.NumField() {
		var n Size
		if err := n.UnmarshalText([]byte(v.Type().Field(i).Tag.Get("default"))); err != nil {
			panic(err) // the table is wrong, as its test says
		}
		v.Field(i).SetInt(int64(n))
	}
	return l
}

// Row is a limit with all that the table says about it.
type Row struct {
	Name    string // of the flag, without dashes
	Of      string // server, principal, stream or session
	Help    string
	AWS     string // the service's figure; "": none
	Beyond  string // what happens beyond it
	Default string
	Value   int64
}

// Rows returns the rows of the table with the values of l.
func (l *Limits) Rows() []Row {
	v := reflect.ValueOf(l).Elem()
	rows := make([]Row, v.NumField())
	for i := range rows {
		tag := v.Type().Field(i).Tag
		rows[i] = Row{Name: tag.Get("name"), Of: tag.Get("of"), Help: tag.Get("help"),
			AWS: tag.Get("aws"), Beyond: tag.Get("beyond"), Default: tag.Get("default"),
			Value: v.Field(i).Int()}
	}
	return rows
}

// Check refuses negative limits.
func (l *Limits) Check() error {
	for _, row := range l.Rows() {
		if row.Value < 0 {
			return fmt.Errorf("--%s %d is negative", row.Name, row.Value)
		}
	}
	return nil
}

// Size is a number of bytes on the command line: a number with or without kB, MB, GB, TB (powers of
// 1000) or KiB, MiB, GiB, TiB (powers of 1024).
type Size int64

var sizeUnits = map[string]float64{
	"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1 << 10, "mib": 1 << 20,
	"gib": 1 << 30, "tib": 1 << 40,
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(strings.ToLower(string(text)), "kmgtib")
	number, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	unit, ok := sizeUnits[strings.ToLower(string(text))[len(digits):]]
	bytes := number * unit
	if err != nil || !ok || !(bytes >= 0 && bytes < math.MaxInt64) {
		return fmt.Errorf("%q is not a size such as 500MB or 2GiB", text)
	}
	*s = Size(bytes)
	return nil
}
