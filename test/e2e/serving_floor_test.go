package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// floorEnv makes this program a server of files, so that its processor time can be measured alone:
// the directory with certificate and key (or without), which inherits a listening socket.
const floorEnv = "WEIR_E2E_FLOOR"

// serveFloor sends files as plainly as net/http can with sendfile(2): a handler of a few lines
// without deadlines, logs, metrics or rights. Its cost is the least of any server made with
// net/http.
func serveFloor(dir string) error {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(filepath.Join(dir, "files", filepath.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		w.WriteHeader(http.StatusOK)
		if r.TLS == nil {
			_ = http.NewResponseController(w).Flush() // else ReadFrom reads the first bytes itself
		}
		_, _ = io.Copy(w, f) // the client notices
	})
	if pair := os.Getenv(floorEnv + "_TLS"); pair != "" {
		return http.ServeTLS(listener, handler, pair+"/certificate.pem", pair+"/key.pem")
	}
	return http.Serve(listener, handler)
}

// startFloor returns the URLs of the mirrored files, sent by serveFloor, and its process.
func startFloor(b *testing.B, dir string, segments int, pair *keyPair) (urls []string, pid int) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), floorEnv+"="+dir), []*os.File{socket}
	scheme := "http"
	if pair != nil {
		scheme = "https"
		cmd.Env = append(cmd.Env, floorEnv+"_TLS="+filepath.Dir(pair.certificate))
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for i := range segments {
		urls = append(urls, fmt.Sprintf("%s://%s/%d.mp4", scheme, listener.Addr(), i))
	}
	return urls, cmd.Process.Pid
}
