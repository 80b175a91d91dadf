package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// A synthetic camera: it makes Matroska that looks like the AWS SDKs' (unknown-size clusters,
// 8-byte lengths), signs as they sign, and knows every byte it sent. It shares no code with the
// server.

// avcC of a 320x240 H.264 stream, from ffmpeg.
var avcC, _ = hex.DecodeString(
	"0142c00dffe100166742c00dda0507ec0440000003004000000c83c50aa801000468ce0fc8")

func element(id uint32, data ...[]byte) []byte {
	var head [12]byte
	binary.BigEndian.PutUint32(head[:4], id)
	first := 0
	for head[first] == 0 {
		first++
	}
	body := bytes.Join(data, nil)
	binary.BigEndian.PutUint64(head[4:], uint64(len(body))|1<<56)
	return append(append([]byte{}, head[first:]...), body...)
}

func unsigned(id uint32, v uint64) []byte {
	return element(id, binary.BigEndian.AppendUint64(nil, v))
}

// syntheticHeader is everything before the first cluster: EBML header, Segment of unknown size,
// Info, one video track.
func syntheticHeader() []byte {
	track := element(0xAE, unsigned(0xD7, 1), unsigned(0x73C5, 1), unsigned(0x83, 1),
		element(0x86, []byte("V_MPEG4/ISO/AVC")),
		element(0x63A2, avcC), element(0xE0, unsigned(0xB0, 320), unsigned(0xBA, 240)))
	return bytes.Join([][]byte{
		element(0x1A45DFA3, unsigned(0x4286, 1), unsigned(0x42F7, 1), unsigned(0x42F2, 4),
			unsigned(0x42F3, 8),
			element(0x4282, []byte("matroska")), unsigned(0x4287, 2), unsigned(0x4285, 2)),
		{0x18, 0x53, 0x80, 0x67, 0xFF},
		element(0x1549A966, unsigned(0x2AD7B1, 1000000)),
		element(0x1654AE6B, track),
	}, nil)
}

// addSound adds AAC, with its AudioSpecificConfig, as track 2 to a header that ends with Tracks.
func addSound(header, config []byte, hertz float64, channels uint64) []byte {
	rate := binary.BigEndian.AppendUint64(nil, math.Float64bits(hertz))
	track := element(0xAE, unsigned(0xD7, 2), unsigned(0x73C5, 2), unsigned(0x83, 2),
		element(0x86, []byte("A_AAC")), element(0x63A2, config),
		element(0xE1, element(0xB5, rate), unsigned(0x9F, channels)))
	at := bytes.LastIndex(header, []byte{0x16, 0x54, 0xAE, 0x6B})
	return append(slices.Clone(header[:at]), element(0x1654AE6B, header[at+12:], track)...)
}

const (
	syntheticFrames = 2  // frames in a fragment
	syntheticFrame  = 20 // milliseconds
	syntheticMillis = syntheticFrames * syntheticFrame
)

// syntheticPayload is what fragment k of a stream carries: the frames back to back.
func syntheticPayload(stream string, k, size int) [][]byte {
	seed := sha256.Sum256([]byte(fmt.Sprintf("%s/%d", stream, k)))
	random := rand.NewChaCha8(seed)
	var frames [][]byte
	for i := range syntheticFrames {
		frame := make([]byte, size/syntheticFrames)
		random.Read(frame)
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		frame[4] = 0x65 // an IDR slice
		if i > 0 {
			frame[4] = 0x41
		}
		frame[5] |= 0x80 // of a picture's first macroblock
		frames = append(frames, frame)
	}
	return frames
}

func syntheticCluster(timecode int64, frames [][]byte) []byte {
	return framesCluster(timecode, syntheticFrame, frames)
}

// framesCluster is a cluster of frames that are so many milliseconds apart.
func framesCluster(timecode int64, apart int, frames [][]byte) []byte {
	parts := [][]byte{clusterHead(timecode)}
	for i, f := range frames {
		parts = append(parts, simpleBlock(1, int64(i*apart), i == 0, f))
	}
	return bytes.Join(parts, nil)
}

// clusterHead begins a cluster of unknown size.
func clusterHead(timecode int64) []byte {
	return append([]byte{0x1F, 0x43, 0xB6, 0x75, 0xFF}, unsigned(0xE7, uint64(timecode))...)
}

// simpleBlock is a frame of a track, so many milliseconds after the timecode of its cluster.
func simpleBlock(track int, after int64, key bool, frame []byte) []byte {
	flags := byte(0)
	if key {
		flags = 0x80
	}
	return element(0xA3, []byte{0x80 | byte(track), byte(after >> 8), byte(after), flags}, frame)
}

// endOfFragment is the tag by which the SDKs end their last fragment.
func endOfFragment() []byte {
	return element(0x1254C367,
		element(0x7373,
			element(0x67C8, element(0x45A3, []byte("AWS_KINESISVIDEO_END_OF_FRAGMENT")),
				element(0x4487, []byte{}))))
}

// ack is one acknowledgement as the service documents it.
type ack struct {
	EventType        string
	FragmentTimecode int64
	FragmentNumber   string
	ErrorId          int
	ErrorCode        string
}

// putMedia is an open PutMedia connection.
type putMedia struct {
	conn net.Conn
	body io.WriteCloser
	res  *http.Response
	acks *json.Decoder
}

// connect opens a PutMedia connection to a stream and waits for the answer's head.
func connect(s *server, stream string) (*putMedia, error) {
	return connectAs(s, stream, "ABSOLUTE")
}

// connectAs is connect with the type of timecodes. The producer start timestamp is now.
func connectAs(s *server, stream, timecodes string) (*putMedia, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	headers := map[string]string{
		"connection":        "keep-alive",
		"host":              u.Hostname(), // without the port, as the SDKs send it
		"transfer-encoding": "chunked",
		"user-agent":        "synthetic/1.0",
		"x-amz-date":        now.Format("20060102T150405Z"),
		"x-amzn-fragment-acknowledgment-required": "1",
		"x-amzn-fragment-timecode-type":           timecodes,
		"x-amzn-producer-start-timestamp": fmt.Sprintf("%d.%d", now.Unix(),
			now.Nanosecond()/1e6),
		"x-amzn-stream-name": stream,
	}
	authorization := sigV4(s, "/putMedia", headers, now)
	var head strings.Builder
	head.WriteString("POST /putMedia HTTP/1.1\r\n")
	for name, value := range headers {
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	fmt.Fprintf(&head, "Authorization: %s\r\n\r\n", authorization)
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, head.String()); err != nil {
		conn.Close()
		return nil, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: "POST"})
	if err != nil {
		conn.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		conn.Close()
		return nil, fmt.Errorf("PutMedia: %s: %s", res.Status, text)
	}
	return &putMedia{conn: conn, body: httputil.NewChunkedWriter(conn), res: res,
		acks: json.NewDecoder(res.Body)}, nil
}

func (p *putMedia) next() (ack, error) {
	var a ack
	err := p.acks.Decode(&a)
	return a, err
}

// sigV4 computes the Authorization header over all given headers and an empty body, as the C SDK
// does for PutMedia.
func sigV4(s *server, path string, headers map[string]string, now time.Time) string {
	empty := sha256.Sum256(nil)
	return sigV4Payload(s, path, headers, now, hex.EncodeToString(empty[:]))
}

// sigV4Payload is sigV4 with the payload hash given.
func sigV4Payload(s *server, path string, headers map[string]string, now time.Time,
	payload string) string {
	var names []string
	for name := range headers {
		names = append(names, name)
	}
	sort.Strings(names)
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "POST\n%s\n\n", path)
	for _, name := range names {
		fmt.Fprintf(&canonical, "%s:%s\n", name, headers[name])
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&canonical, "\n%s\n%s", signed, payload)
	scope := now.Format("20060102") + "/us-west-2/kinesisvideo/aws4_request"
	toSign := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", now.Format("20060102T150405Z"), scope,
		sha256.Sum256([]byte(canonical.String())))
	key := []byte("AWS4" + credential(s.t, s, "aws_secret_access_key"))
	for _, part := range append(strings.Split(scope, "/"), toSign) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		credential(s.t, s, "aws_access_key_id"), scope, signed, key)
}

// persisted waits until so many fragments are PERSISTED; ERROR is fatal.
func (p *putMedia) persisted(t testing.TB, fragments int) {
	t.Helper()
	for n := 0; n < fragments; {
		a, err := p.next()
		if err != nil || a.EventType == "ERROR" {
			t.Fatal(a, err)
		}
		if a.EventType == "PERSISTED" {
			n++
		}
	}
}
