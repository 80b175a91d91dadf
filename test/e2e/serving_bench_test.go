package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const nginxConfig = `
daemon off; user root; worker_processes 2; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events { worker_connections 256; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen %[2]s; root %[1]s/files; default_type video/mp4; }
}`

// BenchmarkSegmentServing fetches media segments from Weir (a moof made per request, then the record's bytes), the same bytes from
// nginx as ready-made files, and from a bare net/http program, in turn, and reports requests a second and CPU seconds per
// gigabyte of each, and the ratios of Weir and of the bare program to nginx (medians over the rounds).
func BenchmarkSegmentServing(b *testing.B) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if nginx = "/usr/sbin/nginx"; !exists(nginx) {
			b.Skip("nginx is not installed; `make bench-deps` installs it")
		}
	}
	for _, size := range []int{200_000, 2_000_000} {
		b.Run(fmt.Sprintf("%dKB", size/1000), func(b *testing.B) {
			s := start(b, "", "--hls-fragment-rate=0") // one session fetches as fast as it can
			urls := pushSegments(b, s, size)
			files := mirror(b, urls)
			address, pid := startNginx(b, nginx, files)
			var other []string
			for i := range urls {
				other = append(other, fmt.Sprintf("http://%s/%d.mp4", address, i))
			}
			bareURLs, barePID := startBare(b, files, len(urls))
			var weirRun, nginxRun, bareRun []load
			for b.Loop() {
				weirRun = append(weirRun, measure(b, urls, s.cmd.Process.Pid))
				nginxRun = append(nginxRun, measure(b, other, pid))
				bareRun = append(bareRun, measure(b, bareURLs, barePID))
			}
			w, n, bare := median(weirRun), median(nginxRun), median(bareRun)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(w.requests, "weir-req/s")
			b.ReportMetric(n.requests, "nginx-req/s")
			b.ReportMetric(w.requests/n.requests, "req-ratio")
			b.ReportMetric(w.cpu, "weir-cpu-s/GB")
			b.ReportMetric(n.cpu, "nginx-cpu-s/GB")
			b.ReportMetric(w.cpu/n.cpu, "cpu-ratio")
			b.ReportMetric(bare.requests/n.requests, "bare-req-ratio")
			b.ReportMetric(bare.cpu/n.cpu, "bare-cpu-ratio")
		})
	}
}

// pushSegments stores fragments of the given payload size and returns the URLs of their segments.
func pushSegments(b *testing.B, s *server, size int) []string {
	const fragments = 40
	s.run("weir", "create-stream", "--stream-name", "bench", "--data-retention-in-hours", "1")
	p, err := connect(s, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer p.conn.Close()
	go func() { // errors show as missing acknowledgements
		p.body.Write(syntheticHeader())
		base := time.Now().UnixMilli()
		for k := range fragments {
			p.body.Write(syntheticCluster(base+int64(k)*syntheticMillis, syntheticPayload("bench", k, size)))
		}
		p.body.Write(endOfFragment())
	}()
	for persisted := 0; persisted < fragments; {
		a, err := p.next()
		if err != nil || a.EventType == "ERROR" {
			b.Fatal(a, err)
		}
		if a.EventType == "PERSISTED" {
			persisted++
		}
	}
	u := s.hls("bench", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))
	segments, _ := parsePlaylist(b, strings.Replace(u, "getHLSMasterPlaylist.m3u8", "getHLSMediaPlaylist.m3u8", 1)+"&TrackNumber=1")
	var urls []string
	for _, seg := range segments {
		urls = append(urls, seg.uri)
	}
	return urls
}

// load is the outcome of one measured run.
type load struct{ requests, cpu float64 } // requests a second, CPU seconds per GB

func median(runs []load) load {
	pick := func(f func(load) float64) float64 {
		var v []float64
		for _, r := range runs {
			v = append(v, f(r))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return load{pick(func(l load) float64 { return l.requests }), pick(func(l load) float64 { return l.cpu })}
}

// measure fetches the URLs over eight kept connections for a second and reads the CPU time of the process and its children.
func measure(b *testing.B, urls []string, pid int) load {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var requests, bytes atomic.Int64
	before, began := cpuSeconds(b, pid), time.Now()
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for i := w; time.Since(began) < time.Second; i++ {
				res, err := client.Get(urls[i%len(urls)])
				if err != nil {
					b.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != http.StatusOK {
					b.Errorf("%s: %v", res.Status, err)
					return
				}
				requests.Add(1)
				bytes.Add(n)
			}
		}()
	}
	workers.Wait()
	elapsed := time.Since(began).Seconds()
	return load{float64(requests.Load()) / elapsed, (cpuSeconds(b, pid) - before) / (float64(bytes.Load()) / 1e9)}
}

// cpuSeconds is the user and system time of a process and its direct children (proc(5), fields 14 and 15, in 1/100 s).
func cpuSeconds(b *testing.B, pid int) float64 {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	ticks := 0
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if own := filepath.Base(filepath.Dir(path)) == strconv.Itoa(pid); own || fields[1] == strconv.Itoa(pid) {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			ticks += user + system
		}
	}
	return float64(ticks) / 100
}

// mirror fetches the segments into files that nginx can send.
func mirror(b *testing.B, urls []string) string {
	dir := b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o755); err != nil {
		b.Fatal(err)
	}
	for i, u := range urls {
		res, err := http.Get(u)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("%s: %v", res.Status, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "files", fmt.Sprintf("%d.mp4", i)), body, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func startNginx(b *testing.B, nginx, dir string) (address string, pid int) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address = free.Addr().String()
	free.Close()
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, address), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(nginx, "-c", config, "-p", dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address, cmd.Process.Pid
		}
		if time.Now().After(deadline) {
			b.Fatal("nginx does not answer")
		}
	}
}

// startBare runs serveBare in a process of its own, whose CPU time can be told.
func startBare(b *testing.B, dir string, segments int) (urls []string, pid int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bareVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal("the bare program does not answer: ", err)
	}
	for i := range segments {
		urls = append(urls, fmt.Sprintf("http://%s/%d.mp4", strings.TrimSpace(address), i))
	}
	return urls, cmd.Process.Pid
}

// bareVariable makes the test's binary the bare program, over the directory that it names.
const bareVariable = "WEIR_E2E_BARE"

// serveBare is the least that a net/http program does to send segments: of each the first bytes from memory and the rest with
// sendfile(2) from a file that stays open. It knows no sessions, checks nothing and writes no log.
func serveBare(dir string) error {
	const headSize = 200
	type segment struct {
		head []byte
		size int64
		idle chan *os.File // one for each connection of measure
	}
	segments := map[string]*segment{}
	paths, err := filepath.Glob(filepath.Join(dir, "files", "*.mp4"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s := &segment{data[:headSize:headSize], int64(len(data) - headSize), make(chan *os.File, 8)}
		for range cap(s.idle) {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			s.idle <- f
		}
		segments["/"+filepath.Base(path)] = s
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := segments[r.URL.Path]
		f := <-s.idle
		defer func() { s.idle <- f }()
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("Content-Length", strconv.FormatInt(headSize+s.size, 10))
		w.Write(s.head)
		w.(http.Flusher).Flush()
		if _, err := f.Seek(headSize, io.SeekStart); err == nil {
			io.CopyN(w, f, s.size)
		}
	}))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
