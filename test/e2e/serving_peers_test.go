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
	"strconv"
	"strings"
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

// startNginx gives the URLs of the mirrored files, and the processes that send them.
func startNginx(b *testing.B, nginx, dir string, segments int) (urls []string, pids []int) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := free.Addr().String()
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
			return fileURLs(address, segments), children(b, cmd.Process.Pid)
		}
		if time.Now().After(deadline) {
			b.Fatal("nginx does not answer")
		}
	}
}

// children are the processes that a process has started.
func children(b *testing.B, pid int) (pids []int) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, text := range strings.Fields(string(list)) {
		child, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		pids = append(pids, child)
	}
	return pids
}

func fileURLs(address string, segments int) (urls []string) {
	for i := range segments {
		urls = append(urls, fmt.Sprintf("http://%s/%d.mp4", address, i))
	}
	return urls
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
	return fileURLs(strings.TrimSpace(address), segments), cmd.Process.Pid
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
		idle chan *os.File // one for each connection
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
		s := &segment{data[:headSize:headSize], int64(len(data) - headSize), make(chan *os.File, viewers)}
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
