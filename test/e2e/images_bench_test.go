package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/auth"
)

// imageBench is a server that keeps no image, so that each is made anew, with a stream of 1080p
// whose frames are key frames, one a second.
type imageBench struct {
	*server
	signer auth.Signer
	begin  int64 // of the stream, seconds
}

func newImageBench(b *testing.B, wrapper ...string) *imageBench {
	b.Helper()
	needTool(b, "ffmpeg")
	data := filepath.Join(b.TempDir(), "data")
	args := append(wrapper, weirBinary, "serve", "--listen", "127.0.0.1:0", "--data", data,
		"--image-cache", "1")
	s := &imageBench{server: startCommand(b, data, exec.Command(args[0], args[1:]...)),
		begin: time.Now().Add(-time.Hour).Unix()}
	path := filepath.Join(b.TempDir(), "key.mkv")
	// About 250 kB a frame: a busy scene, of a camera of 4 to 8 Mbit/s.
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i",
		"testsrc2=size=1920x1080:rate=1,noise=alls=2:allf=t", "-t", "26", "-c:v", "libx264",
		"-preset", "veryfast", "-crf", "25", "-g", "1", "-pix_fmt", "yuv420p",
		path).CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	s.run("weir", "put-media", "--stream-name", "bench", "--create", "--data-retention-in-hours",
		"24", "--start-timestamp", fmt.Sprint(s.begin), path)
	keys, err := auth.LoadOrCreateKeys(filepath.Join(s.Data, "credentials"))
	if err != nil {
		b.Fatal(err)
	}
	s.signer = auth.Signer{Credentials: keys.Default().Credentials(), Region: "us-west-2"}
	return s
}

// page gets the images of so many seconds, and returns how many came: none if the server has too
// much to do.
func (s *imageBench) page(seconds int64) (images int, err error) {
	body := fmt.Sprintf(`{"StreamName":"bench","ImageSelectorType":"PRODUCER_TIMESTAMP",`+
		`"StartTimestamp":%d,"EndTimestamp":%d,"SamplingInterval":1000,"Format":"JPEG"}`,
		s.begin, s.begin+seconds-1)
	req, err := http.NewRequest(http.MethodPost, s.URL+"/getImages", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	s.signer.Sign(req, []byte(body))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	var page struct {
		Images []struct{ ImageContent string }
	}
	if err == nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, &page)
	}
	for _, image := range page.Images {
		if image.ImageContent != "" {
			images++
		}
	}
	return images, err
}

// BenchmarkImagePage is a page of 25 images of 1080p key frames, on one processor: page-ms is from
// the request to the last byte, cpu-ms what the server and ffmpeg use for it, in the median.
func BenchmarkImagePage(b *testing.B) {
	needTool(b, "taskset")
	s := newImageBench(b, "taskset", "-c", "0")
	var took, used []float64
	for b.Loop() {
		began, before := time.Now(), s.cpu(b)
		if n, err := s.page(25); n != 25 || err != nil {
			b.Fatal(n, err)
		}
		took = append(took, float64(time.Since(began).Milliseconds()))
		used = append(used, float64((s.cpu(b) - before).Milliseconds()))
	}
	b.ReportMetric(median(took), "page-ms")
	b.ReportMetric(median(used), "cpu-ms")
	b.ReportMetric(0, "ns/op")
}

// cpu is the processor time of the server so far, and of its ffmpeg processes that have ended.
func (s *imageBench) cpu(b *testing.B) time.Duration {
	b.Helper()
	pid := s.cmd.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	sum := cpuTime(b, []int{pid})
	for _, field := range strings.Fields(rest)[13:15] { // cutime and cstime (proc(5)), in 1/100 s
		ticks, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum
}

// BenchmarkHundredImageCalls has a hundred callers ask for images at a time, five each. It reports
// the most memory that the server takes, and its ffmpeg processes together, and how many callers
// are refused because their turn does not come in time.
func BenchmarkHundredImageCalls(b *testing.B) {
	s := newImageBench(b)
	stop, most := make(chan struct{}), make(chan int)
	go func() {
		peak := 0
		for {
			select {
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, childrenMB(s.cmd.Process.Pid))
			case <-stop:
				most <- peak
				return
			}
		}
	}()
	refused := 0
	for b.Loop() {
		failed := make(chan error)
		for range 100 {
			go func() {
				n, err := s.page(5)
				if err == nil && n == 0 {
					err = errRefused
				}
				failed <- err
			}()
		}
		for range 100 {
			if err := <-failed; err == errRefused {
				refused++
			} else if err != nil {
				b.Error(err)
			}
		}
	}
	close(stop)
	b.ReportMetric(float64(<-most), "ffmpeg-MB")
	b.ReportMetric(float64(peakMB(b, s.cmd.Process.Pid)), "server-MB")
	b.ReportMetric(float64(refused)/float64(b.N), "refused")
	b.ReportMetric(0, "ns/op")
}

var errRefused = errors.New("the server has too much to do")

// childrenMB is what the processes that a process started have in memory now.
func childrenMB(parent int) (sum int) {
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, file := range files {
		text, err := os.ReadFile(file) // most are of others, and some have ended
		if err != nil || !strings.Contains(string(text), fmt.Sprintf("\nPPid:\t%d\n", parent)) {
			continue
		}
		if _, line, ok := strings.Cut(string(text), "VmRSS:"); ok {
			kB, _ := strconv.Atoi(strings.Fields(line)[0])
			sum += kB >> 10
		}
	}
	return sum
}
