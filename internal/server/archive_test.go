package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/fragments"
	"weir/internal/mkv"
)

// serverRange is the selector of everything by server timestamps.
const serverRange = `{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":` +
	`{"StartTimestamp":0,"EndTimestamp":99999999999}}`

// fragments lists a stream's fragments page by page. After the first, a page is asked for with its
// token alone.
func (s *site) fragments(stream string, most int) (all []map[string]any, pages int) {
	s.t.Helper()
	body := fmt.Sprintf(`{"StreamName":%q,"MaxResults":%d,"FragmentSelector":%s}`, stream, most,
		serverRange)
	for {
		out := s.ok("/listFragments", body)
		pages++
		for _, f := range out["Fragments"].([]any) {
			all = append(all, f.(map[string]any))
		}
		next, more := out["NextToken"]
		if !more || next == nil {
			if !more {
				s.t.Error("the last page has no NextToken, not even null")
			}
			return all, pages
		}
		body = fmt.Sprintf(`{"StreamName":%q,"NextToken":%q}`, stream, next)
	}
}

// A page has what the model says about a fragment, and a token alone gets the next one.
func TestListFragments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	arn := s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)["StreamARN"]
	if out := s.call("/listFragments", `{"StreamName":"cam1","FragmentSelector":`+serverRange+
		`}`); out.body != `{"Fragments":[],"NextToken":null}` {
		t.Errorf("of an empty stream: %s", out.body)
	}
	before := time.Now()
	s.record()
	all, pages := s.fragments("cam1", 2)
	if len(all) != 3 || pages != 2 {
		t.Fatalf("%d fragments on %d pages", len(all), pages)
	}
	last := ""
	for i, f := range all {
		number, _ := f["FragmentNumber"].(string)
		server, _ := f["ServerTimestamp"].(float64)
		producer, _ := f["ProducerTimestamp"].(float64)
		size, _ := f["FragmentSizeInBytes"].(float64)
		if len(f) != 5 || len(number) != 47 || number <= last || size < 25*200 ||
			size > 25*200+1000 ||
			f["FragmentLengthInMilliseconds"] != 960.0 ||
			server < float64(before.UnixMilli())/1e3 ||
			producer-all[0]["ProducerTimestamp"].(float64) != float64(i) {
			t.Errorf("fragment %d is %v", i, f)
		}
		last = number
	}
	byARN := s.ok("/listFragments", fmt.Sprintf(`{"StreamARN":%q,"FragmentSelector":%s}`, arn,
		strings.ReplaceAll(serverRange, "SERVER", "PRODUCER")))
	if n := len(byARN["Fragments"].([]any)); n != 3 {
		t.Errorf("%d fragments by ARN", n)
	}
	s.call("/listFragments", `{"StreamName":"none","FragmentSelector":`+serverRange+`}`).
		fails(t, 404, "ResourceNotFoundException", "")
	s.call("/listFragments", `{"StreamName":"cam1"}`).
		fails(t, 400, "InvalidArgumentException", "FragmentSelector is required")
	s.call("/listFragments", `{"StreamName":"cam1","NextToken":"AAAA"}`).
		fails(t, 400, "InvalidArgumentException", "NextToken")
}

// Complete fragments come in the order in which they were asked for.
func TestGetMediaForFragmentList(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.record()
	all, _ := s.fragments("cam1", 1000)
	var numbers []string
	for _, i := range []int{2, 0, 2, 1} {
		numbers = append(numbers, all[i]["FragmentNumber"].(string))
	}
	body, err := json.Marshal(map[string]any{"StreamName": "cam1", "Fragments": numbers})
	must(t, err)
	a := s.call("/getMediaForFragmentList", string(body))
	if a.status != 200 || a.header.Get("Content-Type") != "video/webm" ||
		a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Length") != "" {
		t.Fatalf("%d %v %.200s", a.status, a.header, a.body)
	}
	got, frames := readNumbers(t, a.body)
	if fmt.Sprint(got) != fmt.Sprint(numbers) || frames != 100 {
		t.Errorf("%d frames in %v, asked for %v", frames, got, numbers)
	}
	s.call("/getMediaForFragmentList", `{"StreamName":"none","Fragments":["1"]}`).
		fails(t, 404, "ResourceNotFoundException", "")
	s.call("/getMediaForFragmentList", `{"StreamName":"cam1","Fragments":["1"]}`).
		fails(t, 400, "InvalidArgumentException", "Fragment numbers are invalid : 1")
}

// readNumbers returns the numbers of an answer's chunks, and how many frames they have.
func readNumbers(t *testing.T, answer string) (numbers []string, frames int) {
	t.Helper()
	r := mkv.NewReader(strings.NewReader(answer), mkv.DefaultLimits())
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			return numbers, frames
		}
		must(t, err)
		switch {
		case ev.Kind == mkv.Frame:
			frames++
		case ev.Kind == mkv.TagsEvent && ev.Tags[0].Name == "AWS_KINESISVIDEO_FRAGMENT_NUMBER":
			numbers = append(numbers, ev.Tags[0].Value)
		}
	}
}

// mediaAnswer is an answer of GetMedia that is being read.
type mediaAnswer struct {
	t    *testing.T
	body io.ReadCloser
	r    *mkv.Reader
}

func (s *site) getMedia(selector string) *mediaAnswer {
	s.t.Helper()
	body := `{"StreamName":"cam1","StartSelector":{"StartSelectorType":` + selector + `}}`
	r := s.request(http.MethodPost, "/getMedia", body)
	s.signer.Sign(r, []byte(body))
	res, err := s.client.Do(r)
	must(s.t, err)
	s.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "video/webm" {
		s.t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	return &mediaAnswer{s.t, res.Body, mkv.NewReader(res.Body, mkv.DefaultLimits())}
}

// next returns the number of the next fragment once its whole chunk has arrived; "" at the end.
func (m *mediaAnswer) next() string {
	m.t.Helper()
	for {
		ev, err := m.r.Next()
		if errors.Is(err, io.EOF) {
			return ""
		}
		must(m.t, err)
		if ev.Kind == mkv.TagsEvent && len(ev.Tags) == 2 &&
			ev.Tags[1].Name == "AWS_KINESISVIDEO_CONTINUATION_TOKEN" {
			return ev.Tags[1].Value
		}
	}
}

// An answer begins before there is anything to send, lasts longer than other answers may, continues
// with what cameras send, and ends after a whole fragment when the server stops. Its token
// continues from there.
func TestGetMediaFollows(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) { o.bodyTime = time.Nanosecond })
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	silent := s.getMedia(`"EARLIEST"`)
	s.record()
	first := silent.next()
	for range 2 {
		silent.next()
	}
	after := s.getMedia(`"CONTINUATION_TOKEN","ContinuationToken":"` + first + `"`)
	all, _ := s.fragments("cam1", 1000)
	for i := range 2 {
		if got := after.next(); got != all[i+1]["FragmentNumber"] ||
			first != all[0]["FragmentNumber"] {
			t.Errorf("after %s comes %s", first, got)
		}
	}
	await(t, "fragments, counted once they are sent", "5", func() string {
		return s.metric("weir_get_media_fragments_total")
	})
	if n := s.metric("weir_get_media_connections"); n != "2" {
		t.Errorf("%s connections are counted, want 2", n)
	}
	if text := s.get(s.url + "/metrics").body; !strings.Contains(text,
		"weir_http_response_bytes_total{operation=\"GetMedia\"} ") ||
		strings.Contains(text, "weir_http_response_bytes_total{operation=\"GetMedia\"} 0\n") {
		t.Error("bytes are not counted while the answers run")
	}
	s.record()
	if got := silent.next(); got == "" || got <= first {
		t.Errorf("then comes %s", got)
	}
	s.stop()
	for _, m := range []*mediaAnswer{silent, after} {
		for m.next() != "" {
		}
		if rest, err := io.ReadAll(m.body); err != nil || len(rest) > 0 {
			t.Errorf("the end of the answer: %d bytes more, %v", len(rest), err)
		}
	}
}

func TestGetMediaRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) {
		o.Fragments = fragments.New(fragments.Options{Store: o.Store.(fragments.Store),
			Limits: fragments.Limits{ConnectionsPerStream: 1}})
	})
	s.ok("/createStream", `{"StreamName":"cam1"}`)
	const now = `"StartSelector":{"StartSelectorType":"NOW"}}`
	s.call("/getMedia", `{"StreamName":"none",`+now).fails(t, 404, "ResourceNotFoundException", "")
	s.call("/getMedia", `{"StreamName":"cam1"}`).fails(t, 400, "InvalidArgumentException", "")
	one := s.getMedia(`"NOW"`)
	s.call("/getMedia", `{"StreamName":"cam1",`+now).
		fails(t, 400, "ConnectionLimitExceededException", "1 connections")
	one.body.Close() // the server notices that the client has left although it sends nothing
	await(t, "connections", "0", func() string { return s.metric("weir_get_media_connections") })
	s.getMedia(`"NOW"`)
}
