package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"weir/internal/mkv"
)

// serverRange is the selector of everything by server timestamps.
const serverRange = `{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":` +
	`{"StartTimestamp":0,"EndTimestamp":99999999999}}`

// fragments lists what a stream has, page by page, each after the first by its token alone.
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

// A page has what the model says of a fragment, and tokens list the rest without anything else.
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

// Fragments come in the order in which they are asked for, to their last byte.
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

// readNumbers lists the numbers of an answer's chunks, and counts their frames.
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
