package e2e_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sdk calls an operation with the AWS SDK for JavaScript. An error of the service is a member
// "error".
func (s *server) sdk(service, operation string, input map[string]any) map[string]any {
	s.t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.runJSON("node", "sdk.mjs", service, operation, string(text))
}

// control calls an operation on cam1.
func (s *server) control(operation string, input map[string]any) map[string]any {
	s.t.Helper()
	all := map[string]any{"StreamName": "cam1"}
	for k, v := range input {
		all[k] = v
	}
	return s.sdk("kinesis-video", operation, all)
}

// What is configured of a stream, by the AWS SDK for JavaScript.
func TestConfigurations(t *testing.T) {
	waits(t)
	needTool(t, "node", "ffmpeg")
	s := start(t, "", "--notification-allow", "127.0.0.1,::1")
	s.run("weir", "create-stream", "--stream-name", "cam1", "--data-retention-in-hours", "24")
	info := s.control("DescribeStream", nil)["StreamInfo"].(map[string]any)

	warm := map[string]any{"CurrentVersion": info["Version"],
		"StreamStorageConfiguration": map[string]any{"DefaultStorageTier": "WARM"}}
	if got := s.control("UpdateStreamStorageConfiguration", warm); len(got) != 0 {
		t.Errorf("storage: %v", got)
	}
	got := s.control("DescribeStreamStorageConfiguration", nil)["StreamStorageConfiguration"]
	if fmt.Sprint(got) != "map[DefaultStorageTier:WARM]" {
		t.Errorf("storage is %v", got)
	}
	refused := s.control("UpdateStreamStorageConfiguration", warm)["error"]
	if refused != "VersionMismatchException" {
		t.Errorf("storage of an old version: %v", refused)
	}

	// A notification of a tagged fragment, to a server of this machine.
	posts := make(chan *http.Request, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		posts <- r
	}))
	defer hook.Close()
	enabled := map[string]any{"NotificationConfiguration": map[string]any{"Status": "ENABLED",
		"DestinationConfig": map[string]any{"Uri": hook.URL + "/cam1"}}}
	if got := s.control("UpdateNotificationConfiguration", enabled); len(got) != 0 {
		t.Errorf("notifications: %v", got)
	}
	shown := s.control("DescribeNotificationConfiguration", nil)
	if fmt.Sprint(shown) != fmt.Sprint(enabled) {
		t.Errorf("notifications are %v", shown)
	}
	s.sendTagged(t, "AWS_KINESISVIDEO_NOTIFICATION")
	post := <-posts
	body, _ := io.ReadAll(post.Body)
	var message struct {
		FragmentNumber      string
		NotificationPayload map[string]string
	}
	if err := json.Unmarshal(body, &message); err != nil || len(message.FragmentNumber) != 47 ||
		message.NotificationPayload["who"] != "cat" {
		t.Errorf("%s: %v", body, err)
	}
	text, err := os.ReadFile(filepath.Join(s.Data, "notification-key"))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := hex.DecodeString(strings.TrimSpace(string(text)))
	signed := strings.TrimPrefix(post.Header.Get("X-Weir-Signature"), "t=")
	seconds, signature, _ := strings.Cut(signed, ",v1=")
	mac := hmac.New(sha256.New, key)
	mac.Write(append([]byte(seconds+"."), body...))
	if signature != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %s", post.Header.Get("X-Weir-Signature"))
	}
	none := map[string]any{"NotificationConfiguration": nil}
	if got := s.control("UpdateNotificationConfiguration", none); len(got) != 0 ||
		len(s.control("DescribeNotificationConfiguration", nil)) != 0 {
		t.Errorf("deleting notifications: %v", got)
	}
	s.generatesImages(t)
}

// sendTagged sends a fragment to cam1 that has a reserved tag and one of its own.
func (s *server) sendTagged(t *testing.T, reserved string) {
	t.Helper()
	_, header, units := sdkSource(t, 10, 10)
	var body []byte
	body = append(body, header...)
	simple := func(name, value string) []byte {
		return element(0x67C8, element(0x45A3, []byte(name)), element(0x4487, []byte(value)))
	}
	tag := element(0x7373, simple(reserved, ""), simple("who", "cat"))
	body = append(body, element(0x1254C367, tag)...)
	cluster := unsigned(0xE7, uint64(time.Now().Add(-time.Minute).UnixMilli()))
	for i, unit := range units {
		cluster = append(cluster, simpleBlock(1, int64(i*40), i == 0, unit)...)
	}
	body = append(body, element(0x1F43B675, cluster)...)
	p, err := connect(s, "cam1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.conn.Close()
	end := element(0x1254C367, element(0x7373, simple("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")))
	if _, err := p.body.Write(append(body, end...)); err != nil {
		t.Fatal(err)
	}
	for {
		a, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if a.EventType == "PERSISTED" {
			return
		}
	}
}

// generatesImages has images made of a tagged fragment of cam1, and compares them with its frames.
func (s *server) generatesImages(t *testing.T) {
	t.Helper()
	enabled := map[string]any{"ImageGenerationConfiguration": map[string]any{"Status": "ENABLED",
		"ImageSelectorType": "PRODUCER_TIMESTAMP", "SamplingInterval": 200, "Format": "PNG",
		"DestinationConfig": map[string]any{"Uri": "s3://pictures/cam1",
			"DestinationRegion": "us-west-2"}}}
	if got := s.control("UpdateImageGenerationConfiguration", enabled); len(got) != 0 {
		t.Fatalf("images: %v", got)
	}
	got := s.control("DescribeImageGenerationConfiguration", nil)
	if fmt.Sprint(got) != fmt.Sprint(enabled) {
		t.Errorf("images are %v", got)
	}
	s.sendTagged(t, "AWS_KINESISVIDEO_IMAGE_GENERATION")
	var files []string
	for deadline := time.Now().Add(time.Minute); len(files) < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("images are %v", files)
		}
		time.Sleep(10 * time.Millisecond)
		files, _ = filepath.Glob(
			filepath.Join(s.Data, "images", "pictures", "cam1", "*_cam1_*.png"))
	}
	source, _, _ := sdkSource(t, 10, 10)
	frames := program(t, "ffmpeg", "-v", "error", "-i", source, "-f", "rawvideo", "-pix_fmt",
		"rgb24", "-")
	const size = 160 * 96 * 3
	for i, file := range files {
		pixels := program(t, "ffmpeg", "-v", "error", "-i", file, "-f", "rawvideo", "-pix_fmt",
			"rgb24", "-")
		nearest, least := -1, 1<<30
		for n := range len(frames) / size {
			difference := 0
			for j := range min(size, len(pixels)) {
				difference += max(int(pixels[j]), int(frames[n*size+j])) -
					min(int(pixels[j]), int(frames[n*size+j]))
			}
			if difference < least {
				nearest, least = n, difference
			}
		}
		if len(pixels) != size || nearest != 5*i || least > size {
			t.Errorf("the image at %d ms is frame %d (%d off), %d bytes", 200*i, nearest, least,
				len(pixels))
		}
	}
}
