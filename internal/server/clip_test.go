package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/store/local"
)

// clipRange is a selector of clips by server timestamps, from some time ago until now.
func clipRange(ago time.Duration) string {
	now := time.Now()
	return fmt.Sprintf(`"ClipFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP",`+
		`"TimestampRange":{"StartTimestamp":%.3f,"EndTimestamp":%.3f}}`,
		float64(now.Add(-ago).UnixMilli())/1e3, float64(now.UnixMilli())/1e3)
}

func TestGetClip(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	body := func() string { return `{"StreamName":"cam1",` + clipRange(time.Minute) + `}` }
	s.call("/getClip", body()).fails(t, 404, "ResourceNotFoundException",
		"No fragments found in the stream for the clip request.")
	s.record()
	whole := s.call("/getClip", body())
	if whole.status != 200 || boxes(whole.body) != "ftyp moov mdat " ||
		whole.header.Get("Content-Type") != "video/mp4" ||
		whole.header.Get("Content-Length") != fmt.Sprint(len(whole.body)) {
		t.Fatalf("%d %v, boxes %q", whole.status, whole.header, boxes(whole.body))
	}
	if n := len(whole.body); n < 3*25*200 || n > 3*25*200+3000 {
		t.Errorf("a clip of %d bytes", n)
	}
	for query, want := range map[string]string{"Exact=yes": "Exact", "KeepGaps=1": "KeepGaps",
		"LinkExpires=299": "LinkExpires", "LinkExpires=x": "LinkExpires", "%zz": "query"} {
		s.call("/getClip?"+query, body()).fails(t, 400, "InvalidArgumentException", want)
	}
	s.call("/getClip", `{"StreamName":"none",`+clipRange(time.Minute)+`}`).
		fails(t, 404, "ResourceNotFoundException", "")
	s.call("/getClip", `{"StreamName":"cam1",`+clipRange(2*time.Hour)+`}`).
		fails(t, 400, "InvalidArgumentException", "retention period")
	s.call("/getClip", `{"StreamName":"cam1",`+clipRange(-time.Minute)+`}`).
		fails(t, 400, "InvalidArgumentException", "later than")
	s.ok("/createStream", `{"StreamName":"cam2"}`)
	s.call("/getClip", `{"StreamName":"cam2",`+clipRange(time.Minute)+`}`).
		fails(t, 400, "NoDataRetentionException", "")
	s.get(s.url+"/getClip").fails(t, 405, "UnknownOperationException", "")
}

// A link opens its clip for anybody who has it, also in ranges, and nothing once the stream is
// deleted.
func TestClipLink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	arn := s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)["StreamARN"]
	s.record()
	body := `{"StreamName":"cam1",` + clipRange(time.Minute) + `}`
	whole := s.call("/getClip", body).body
	link, _ := s.ok("/getClip?LinkExpires=300", body)["ClipURL"].(string)
	if !strings.HasPrefix(link, s.url+"/clip/v1/getClip.mp4?Token=") {
		t.Fatalf("link %q", link)
	}
	s.record() // later fragments are not in it
	got := s.get(link)
	if got.status != 200 || got.body != whole || got.header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%d %v, %d bytes of %d", got.status, got.header, len(got.body), len(whole))
	}
	head := s.request(http.MethodHead, strings.TrimPrefix(link, s.url), "")
	if h := s.do(head); h.status != 200 || h.body != "" ||
		h.header.Get("Content-Length") != fmt.Sprint(len(whole)) {
		t.Errorf("HEAD: %d %v", h.status, h.header)
	}
	n, tag := len(whole), got.header.Get("ETag")
	for _, r := range [][2]int{{0, 1}, {0, 10}, {500, 1500}, {n - 1, n}, {n - 4000, n},
		{n - 12000, n - 20}, {n - 5001, n - 4999}, {0, n}} {
		part := s.get(link, fmt.Sprintf("Range: bytes=%d-%d", r[0], r[1]-1), "If-Range: "+tag)
		if part.status != 206 || part.body != whole[r[0]:r[1]] {
			t.Errorf("bytes %d to %d: %d, %d bytes", r[0], r[1], part.status, len(part.body))
		}
	}
	if other := s.get(link, "Range: bytes=0-9", `If-Range: "x"`); other.status != 200 {
		t.Errorf("a range of another clip: %d", other.status)
	}
	if same := s.get(link, "If-None-Match: "+tag); same.status != 304 || same.body != "" {
		t.Errorf("If-None-Match: %d", same.status)
	}
	if end := s.get(link, fmt.Sprintf("Range: bytes=%d-", n)); end.status != 416 {
		t.Errorf("a range beyond the end: %d", end.status)
	}
	for _, bad := range []string{link[:len(link)-1], link + "A", link[:len(s.url)+30],
		s.url + "/clip/v1/getClip.mp4"} {
		s.get(bad).fails(t, 403, "NotAuthorizedException", "")
	}
	s.ok("/deleteStream", fmt.Sprintf(`{"StreamARN":%q}`, arn))
	s.get(link).fails(t, 403, "NotAuthorizedException", "deleted")
}

// Exact clips begin and end with a frame, not with a fragment, and the file says what to hide.
func TestExactClip(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.record()
	all, _ := s.fragments("cam1", 10)
	start := all[0]["ProducerTimestamp"].(float64)
	body := fmt.Sprintf(`{"StreamName":"cam1","ClipFragmentSelector":{"FragmentSelectorType":`+
		`"PRODUCER_TIMESTAMP","TimestampRange":{"StartTimestamp":%.3f,"EndTimestamp":%.3f}}}`,
		start+0.5, start+1.5)
	whole, exact := s.call("/getClip", body).body, s.call("/getClip?Exact=true", body).body
	if n := len(exact) - len(whole); strings.Contains(whole, "elst") ||
		!strings.Contains(exact, "elst") || n < 25*200 {
		t.Errorf("clips of %d and %d bytes", len(whole), len(exact))
	}
}

// A clip with a fragment that is damaged on disk ends before its Content-Length, so that the client
// can see that it is incomplete.
func TestDamagedClipEndsShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := local.Open(t.Context(), dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := newSiteOver(t, st, listener)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.record()
	volumes, err := filepath.Glob(filepath.Join(dir, "volumes", "*", "*"))
	if err != nil || len(volumes) != 1 {
		t.Fatal(volumes, err)
	}
	f, err := os.OpenFile(volumes[0], os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	_, err = f.WriteAt([]byte("damaged"), info.Size()-100)
	must(t, err)
	body := `{"StreamName":"cam1",` + clipRange(time.Minute) + `}`
	req := s.request(http.MethodPost, "/getClip", body)
	s.signer.Sign(req, []byte(body))
	res, err := s.client.Do(req)
	must(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if res.StatusCode != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || len(got) < 2*25*200 {
		t.Errorf("%d, %d bytes of %d, %v", res.StatusCode, len(got), res.ContentLength, err)
	}
}
