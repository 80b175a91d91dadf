package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each body is sent to PutMedia of the running binary. The answer is the documented ERROR
// acknowledgement, and the server goes on as if nothing had happened.
func TestHostileMatroska(t *testing.T) {
	waits(t)
	s := start(t, "")
	s.run("weir", "create-stream", "--stream-name", "hostile", "--data-retention-in-hours", "1")
	now := time.Now().UnixMilli()
	good := syntheticCluster(now, syntheticPayload("hostile", 0, 1000))
	nested := []byte{}
	for range 10_000 {
		nested = element(0x67C8, nested) // SimpleTag in SimpleTag
		if len(nested) > 1<<16 {
			break
		}
	}
	random := make([]byte, 1<<16)
	rand.NewChaCha8([32]byte{1}).Read(random)
	tooMany := [][]byte{}
	for i := range 11 {
		tooMany = append(tooMany, simpleTag(fmt.Sprintf("name%d", i), "value"))
	}
	cases := []struct {
		name string
		body [][]byte
		id   int
	}{
		{"random bytes", [][]byte{random}, 4000},
		{"random bytes in a document", [][]byte{syntheticHeader(), {0}, random}, 4006},
		{"a cluster before any header", [][]byte{good}, 4000},
		{"a document type of 2^40 bytes",
			[][]byte{{0x1A, 0x45, 0xDF, 0xA3, 0xFF}, {0x42, 0x82, 0x01, 0x00, 0x01, 0, 0, 0, 0, 0}},
			4006},
		{"a block larger than its fragment may be",
			[][]byte{syntheticHeader(), clusterHead(now),
				{0xA3, 0x01, 0, 0, 0, 0x10, 0, 0, 0}}, 4001},
		{"a frame of a track that was not declared",
			[][]byte{syntheticHeader(), clusterHead(now),
				element(0xA3, []byte{0x85, 0, 0, 0x80, 1, 2, 3})}, 4010},
		{"time running backwards",
			[][]byte{syntheticHeader(), good,
				syntheticCluster(now-5000, syntheticPayload("hostile", 1, 1000)),
				syntheticCluster(now, nil)}, 4004},
		{"a fragment of more than 20 seconds",
			[][]byte{syntheticHeader(), clusterHead(now + 1000),
				element(0xA3, []byte{0x81, 0, 0, 0x80, 1}),
				element(0xA3, []byte{0x81, 0x7F, 0, 0, 1}),
				syntheticCluster(now+60000, nil)}, 4002},
		{"tags nested without end",
			[][]byte{syntheticHeader(), good, element(0x1254C367, element(0x7373, nested))}, 4006},
		{"eleven tags",
			[][]byte{syntheticHeader(), good, element(0x1254C367, element(0x7373, tooMany...)),
				syntheticCluster(now+syntheticMillis, nil)}, 4009},
		{"a tag value that is too long",
			[][]byte{syntheticHeader(), good,
				element(0x1254C367, element(0x7373, simpleTag("name", strings.Repeat("v", 257)))),
				syntheticCluster(now+syntheticMillis, nil)}, 4009},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.t = t
			p, err := connect(&s, "hostile")
			if err != nil {
				t.Fatal(err)
			}
			defer p.conn.Close()
			go p.body.Write(bytes.Join(c.body, nil)) // the server may stop reading early
			for {
				a, err := p.next()
				if err != nil {
					t.Fatalf("the connection ended without an ERROR acknowledgement: %v", err)
				}
				if a.EventType == "ERROR" {
					if a.ErrorId != c.id {
						t.Fatalf("ErrorId %d (%s), want %d", a.ErrorId, a.ErrorCode, c.id)
					}
					break
				}
			}
			if _, err := p.next(); err != io.EOF {
				t.Errorf("after the ERROR acknowledgement: %v, want the end of the answer", err)
			}
		})
	}
	t.Run("endless", func(t *testing.T) { endless(t, s) })
	if status, _, _ := get(t, s.URL+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
}

func simpleTag(name, value string) []byte {
	return element(0x67C8, element(0x45A3, []byte(name)), element(0x4487, []byte(value)))
}

// endless sends 300 MB of Void, and 60 MB of a fragment that never ends; neither may be kept in
// memory.
func endless(t *testing.T, base *server) {
	s := *base
	s.t = t
	p, err := connect(&s, "hostile")
	if err != nil {
		t.Fatal(err)
	}
	defer p.conn.Close()
	void := element(0xEC, make([]byte, 1<<20))
	block := element(0xA3, append([]byte{0x81, 0, 1, 0}, make([]byte, 1<<20)...))
	failed := make(chan ack, 1)
	go func() {
		for {
			a, err := p.next()
			if err != nil || a.EventType == "ERROR" {
				failed <- a
				return
			}
		}
	}()
	p.body.Write(syntheticHeader())
	for range 300 {
		if _, err := p.body.Write(void); err != nil {
			break
		}
	}
	p.body.Write(clusterHead(time.Now().UnixMilli()))
	for range 60 {
		if _, err := p.body.Write(block); err != nil {
			break
		}
	}
	if a := <-failed; a.ErrorId != 4001 && a.ErrorId != 4006 {
		t.Errorf("an endless body got %+v", a)
	}
	if rss := residentMB(t, s.cmd.Process.Pid); rss > 400 {
		t.Errorf("%d MB resident after an endless body", rss)
	}
}

func residentMB(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}

// Requests with no rights, with broken ones and with those of others get the documented status,
// error type and message.
func TestHostileRequests(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	s := start(t, "")
	s.run("weir", "put-media", "--stream-name", "cam", "--create", "--data-retention-in-hours", "1",
		clip{rate: "25", seconds: 4}.make(t))
	u := s.hls("cam", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
		everything("PRODUCER_TIMESTAMP"))
	token := strings.SplitN(u, "SessionToken=", 2)[1]
	flipped := []byte(token)
	flipped[len(flipped)/2] ^= 1
	foreign := start(t, "")
	foreign.run("weir", "put-media", "--stream-name", "cam", "--create",
		"--data-retention-in-hours", "1", clip{rate: "25", seconds: 2}.make(t))
	foreignToken := strings.SplitN(foreign.hls("cam"), "SessionToken=", 2)[1]

	post := func(path, body string) *http.Request {
		r, err := http.NewRequest("POST", s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	session := func(query string) *http.Request {
		r, err := http.NewRequest("GET", s.URL+"/hls/v1/getHLSMasterPlaylist.m3u8"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	signed := func(path, body string) *http.Request {
		r := post(path, body)
		now := time.Now().UTC()
		r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		r.Header.Set("Authorization",
			sigV4Payload(s, path,
				map[string]string{"host": r.Host, "x-amz-date": r.Header.Get("X-Amz-Date"),
					"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, now, "UNSIGNED-PAYLOAD"))
		return r
	}
	broken := signed("/listStreams", "{}")
	broken.Header.Set("Authorization", broken.Header.Get("Authorization")+"0")
	incomplete := post("/listStreams", "{}")
	incomplete.Header.Set("Authorization", "AWS4-HMAC-SHA256 nonsense")
	for _, c := range []struct {
		name   string
		req    *http.Request
		status int
		code   string
	}{
		{"no signature", post("/listStreams", "{}"), 403, "MissingAuthenticationTokenException"},
		{"wrong signature", broken, 403, "InvalidSignatureException"},
		{"malformed authorization", incomplete, 403, "IncompleteSignatureException"},
		{"malformed JSON", signed("/listStreams", `{"MaxResults":`), 400, "SerializationException"},
		{"wrong type", signed("/listStreams", `{"MaxResults":"many"}`), 400,
			"SerializationException"},
		{"no token", session(""), 403, "NotAuthorizedException"},
		{"forged token", session("?SessionToken=" + string(flipped)), 403,
			"NotAuthorizedException"},
		{"another server's token", session("?SessionToken=" + foreignToken), 403,
			"NotAuthorizedException"},
		{"endless token", session("?SessionToken=" + strings.Repeat("A", 20_000)), 403,
			"NotAuthorizedException"},
		{"unknown operation", signed("/noSuchThing", "{}"), 404, "UnknownOperationException"},
	} {
		res, err := http.DefaultClient.Do(c.req)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		var message map[string]string
		if err := json.Unmarshal(body, &message); err != nil ||
			message["Message"]+message["message"] == "" {
			t.Errorf("%s: body %q", c.name, body)
		}
		if res.StatusCode != c.status || res.Header.Get("x-amzn-ErrorType") != c.code {
			t.Errorf("%s: %d %s %s, want %d %s", c.name, res.StatusCode,
				res.Header.Get("x-amzn-ErrorType"), body, c.status, c.code)
		}
		if res.Header.Get("x-amzn-RequestId") == "" {
			t.Errorf("%s: no request id", c.name)
		}
	}
}
