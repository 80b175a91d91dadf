package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/auth"
)

// copyVariable names the directory of a process of this binary that serves clips in the simplest
// form.
const copyVariable = "WEIR_E2E_COPY"

// clipFragment is the size of the fragments of the clip that is measured.
const clipFragment = 500_000

// serveCopies serves the files of a directory in the simplest form that a program like Weir could:
// each fragment is read into memory and written to the connection. It prints its address.
func serveCopies(dir string) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(listener.Addr())
	err = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(filepath.Join(dir, filepath.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		}
		for {
			fragment := make([]byte, clipFragment)
			n, err := io.ReadFull(f, fragment)
			if _, werr := w.Write(fragment[:n]); err != nil || werr != nil {
				return
			}
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// BenchmarkClipServing downloads a clip of 20 MB from Weir, the same bytes from nginx as a file,
// and from the simplest form of Weir. They take turns as in BenchmarkSegmentServing. first-byte-ms
// is from the request for a ten-second clip, signed and not cached, to its first byte, in the
// median.
func BenchmarkClipServing(b *testing.B) {
	nginx := nginxPath(b)
	s := start(b, "", "--hls-fragment-rate=0")
	pushSegments(b, s, clipFragment)
	link := strings.TrimSpace(string(s.run("weir", "clip", "bench", "--from", "10m ago", "--url")))
	dir := mirror(b, []string{link})
	urls, workers := startNginx(b, nginx, dir, 1, nil)
	copies, pid := startSelf(b, copyVariable, filepath.Join(dir, "files"))
	sides := []*side{newSide(b, []string{link}, nil, s.cmd.Process.Pid),
		newSide(b, urls, nil, workers...), newSide(b, []string{copies + "/0.mp4"}, nil, pid)}
	besideSimplest(b, sides)
	b.ReportMetric(firstByte(b, s), "first-byte-ms")
}

// firstByte is the median time in milliseconds to the first byte of ten seconds of a clip's two
// hours.
func firstByte(b *testing.B, s *server) float64 {
	s.run("weir", "create-stream", "--stream-name", "hours", "--data-retention-in-hours", "24")
	p, err := connect(s, "hours")
	if err != nil {
		b.Fatal(err)
	}
	defer p.conn.Close()
	const fragments = 3600 // of two seconds
	base := time.Now().Add(-2 * time.Hour).UnixMilli()
	go func() { // errors show as missing acknowledgements
		p.body.Write(syntheticHeader())
		for k := range int64(fragments) {
			p.body.Write(syntheticCluster(base+k*2000, syntheticPayload("hours", int(k), 20_000)))
		}
		p.body.Write(endOfFragment())
	}()
	p.persisted(b, fragments)
	keys, err := auth.LoadOrCreateKeys(filepath.Join(s.Data, "credentials"))
	if err != nil {
		b.Fatal(err)
	}
	signer := auth.Signer{Credentials: keys.Default().Credentials(), Region: "us-west-2"}
	var took []float64
	for i := range 40 {
		from := base/1000 + int64(i)*150
		body := fmt.Sprintf(`{"StreamName":"hours","ClipFragmentSelector":{"FragmentSelectorType":`+
			`"PRODUCER_TIMESTAMP","TimestampRange":{"StartTimestamp":%d,"EndTimestamp":%d}}}`, from, from+10)
		req, err := http.NewRequest(http.MethodPost, s.URL+"/getClip", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		signer.Sign(req, []byte(body))
		began := time.Now()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		one := make([]byte, 1)
		if _, err := io.ReadFull(res.Body, one); err != nil || res.StatusCode != http.StatusOK {
			b.Fatal(res.Status, err)
		}
		took = append(took, float64(time.Since(began).Microseconds())/1e3)
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return median(took)
}
