package server

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDASHByTokenAlone(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	const path = "/getDASHStreamingSessionURL"
	s.call(path, `{"StreamName":"cam1"}`).fails(t, 404, "ResourceNotFoundException",
		"No fragments found")
	s.call(path, `{"StreamName":"none"}`).fails(t, 404, "ResourceNotFoundException", "")
	s.call(path, `{"StreamName":"cam1","PlaybackMode":"ON_DEMAND"}`).
		fails(t, 400, "InvalidArgumentException", "TimestampRange")
	s.record()
	u, _ := s.ok(path, `{"StreamName":"cam1"}`)["DASHStreamingSessionURL"].(string)
	if !strings.HasPrefix(u, s.url+"/dash/v1/getDASHManifest.mpd?SessionToken=") {
		t.Fatalf("URL %q", u)
	}
	a := s.get(u)
	if a.status != 200 || a.header.Get("Content-Type") != "application/dash+xml" ||
		a.header.Get("Cache-Control") != "no-store" ||
		a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("manifest: %d %v\n%s", a.status, a.header, a.body)
	}
	var m struct {
		UTCTiming struct {
			Value string `xml:"value,attr"`
		}
		Templates []struct {
			Init  string     `xml:"initialization,attr"`
			Media string     `xml:"media,attr"`
			S     []struct{} `xml:"SegmentTimeline>S"`
		} `xml:"Period>AdaptationSet>SegmentTemplate"`
	}
	if err := xml.Unmarshal([]byte(a.body), &m); err != nil || len(m.Templates) != 1 ||
		len(m.Templates[0].S) != 3 {
		t.Fatalf("manifest: %v\n%s", err, a.body)
	}
	init := s.get(relative(t, u, m.Templates[0].Init))
	if init.status != 200 || init.header.Get("Content-Type") != "video/mp4" ||
		boxes(init.body) != "ftyp moov " {
		t.Errorf("init: %d %v %s", init.status, init.header, boxes(init.body))
	}
	first := relative(t, u, strings.Replace(m.Templates[0].Media, "$Number$", "1", 1))
	whole := s.get(first)
	if whole.status != 200 || whole.header.Get("Content-Type") != "video/mp4" ||
		!strings.HasSuffix(boxes(whole.body), "moof mdat ") {
		t.Errorf("segment: %d %v %s", whole.status, whole.header, boxes(whole.body))
	}
	if a := s.get(first, "Range: bytes=10-99"); a.status != 206 || a.body != whole.body[10:100] {
		t.Errorf("a range: %d, %d bytes", a.status, len(a.body))
	}

	// The clock needs no token, and pages of any origin can read it.
	a = s.get(relative(t, u, m.UTCTiming.Value))
	now, err := time.Parse("2006-01-02T15:04:05.000Z", a.body)
	if err != nil || a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "*" ||
		a.header.Get("Cache-Control") != "no-store" || time.Since(now).Abs() > time.Minute {
		t.Errorf("the clock: %d %v %q", a.status, a.header, a.body)
	}

	for name, c := range map[string]struct {
		url    string
		status int
		code   string
	}{
		"no token": {s.url + "/dash/v1/getDASHManifest.mpd", 403, "NotAuthorizedException"},
		"forged":   {u[:len(u)-4] + "AAAA", 403, "NotAuthorizedException"},
		"no track": {strings.Replace(first, "TrackNumber", "Track", 1), 400,
			"InvalidArgumentException"},
		"no number": {strings.Replace(first, "SequenceNumber", "Number", 1), 400,
			"InvalidArgumentException"},
		"twice": {first + "&SequenceNumber=2", 400, "InvalidArgumentException"},
		"other track": {strings.Replace(first, "Number=1", "Number=7", 1), 404,
			"ResourceNotFoundException"},
		"not yet": {strings.Replace(first, "SequenceNumber=1", "SequenceNumber=4", 1), 404,
			"ResourceNotFoundException"},
		"HLS's name": {strings.Replace(u, "getDASHManifest.mpd", "getHLSMasterPlaylist.m3u8", 1),
			404, "UnknownOperationException"},
		"HLS's action": {strings.Replace(u, "dash/v1/getDASHManifest.mpd",
			"hls/v1/getHLSMasterPlaylist.m3u8", 1), 404, "ResourceNotFoundException"},
	} {
		a := s.get(c.url)
		if a.status != c.status || a.header.Get("x-amzn-ErrorType") != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, a.status, a.header.Get("x-amzn-ErrorType"),
				c.status, c.code)
		}
	}
	if a := s.do(s.request(http.MethodPost, "/dash/v1/getTime", "")); a.status != 405 {
		t.Errorf("POST of the clock: %d", a.status)
	}
}
