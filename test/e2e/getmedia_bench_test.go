package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/mkv"
	"weir/internal/store"
	"weir/internal/store/local"
)

// rebuildVariable names the data directory of a process of this binary that serves media in the
// simplest form.
const rebuildVariable = "WEIR_E2E_REBUILD"

const (
	mediaFragments = 40
	mediaFragment  = 510_000 // bytes, about
)

// serveRebuilt answers every request with a stream's fragments in the simplest form that a program
// like Weir could: each record is read into memory, its cluster is made there, and written. It has
// neither rights nor limits, deadlines nor metrics. It prints its address.
func serveRebuilt(dir string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := local.Open(context.Background(), dir, local.Options{})
	if err != nil {
		return fail(err)
	}
	stream, err := s.Stream(context.Background(), "bench")
	if err != nil {
		return fail(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fail(err)
	}
	fmt.Println(listener.Addr())
	return fail(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, err := s.List(r.Context(), stream.ID, store.Query{Order: store.ByNumber})
		for i := range found {
			var b bytes.Buffer
			if err = rebuild(r.Context(), s, stream.ID, found[i], &b); err != nil {
				break
			}
			if _, err = w.Write(b.Bytes()); err != nil {
				break
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})))
}

// rebuild makes the Matroska of a fragment, track by track.
func rebuild(ctx context.Context, s *local.Store, id store.StreamID, f store.FragmentInfo,
	b *bytes.Buffer) error {
	m, err := s.Open(ctx, id, f)
	if err != nil {
		return err
	}
	defer m.Close()
	fragment := m.Fragment()
	w := mkv.NewWriter(b)
	if err := w.WriteHeader(mkv.Header{Tracks: fragment.Tracks}); err != nil {
		return err
	}
	if err := w.WriteCluster(f.ProducerTimestamp); err != nil {
		return err
	}
	for i := range fragment.Runs {
		run := &fragment.Runs[i]
		payload, err := m.Payload(i)
		if err != nil {
			return err
		}
		data := make([]byte, payload.Size())
		if _, err := payload.ReadAt(data, 0); err != nil && err != io.EOF {
			return err
		}
		scale := int64(fragment.Track(run.Track).Timescale)
		at := run.BaseDecodeTime
		for _, frame := range run.Frames {
			err := w.WriteFrame(run.Track, at*1000/scale, frame.Key, data[:frame.Size])
			if err != nil {
				return err
			}
			data, at = data[frame.Size:], at+int64(frame.Duration)
		}
	}
	return nil
}

// pushMedia stores fragments of two seconds as a camera makes them: 50 pictures, the first one
// large, and 94 frames of sound between them.
func pushMedia(b *testing.B, s *server) {
	b.Helper()
	s.run("weir", "create-stream", "--stream-name", "bench", "--data-retention-in-hours", "1")
	p, err := connect(s, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer p.conn.Close()
	go func() { // errors show as missing acknowledgements
		p.body.Write(mediaHeader())
		base := time.Now().UnixMilli() - mediaFragments*2000
		random := rand.NewChaCha8([32]byte{})
		for k := range int64(mediaFragments) {
			p.body.Write(mediaCluster(base+k*2000, random))
		}
		p.body.Write(endOfFragment())
	}()
	p.persisted(b, mediaFragments)
}

// mediaHeader is what stands before the clusters: a track of pictures and one of sound.
func mediaHeader() []byte {
	return addSound(syntheticHeader(), []byte{0x11, 0x90}, 48_000, 2) // LC, 48 kHz, stereo
}

func mediaCluster(timecode int64, random *rand.ChaCha8) []byte {
	parts := [][]byte{clusterHead(timecode)}
	sounds := 0
	for i := range 50 {
		size := 8600
		if i == 0 {
			size = 60_000
		}
		picture := make([]byte, size)
		random.Read(picture)
		copy(picture, []byte{0, 0, byte((size - 4) >> 8), byte(size - 4), 0x41, 0x80})
		if i == 0 {
			picture[4] = 0x65
		}
		parts = append(parts, simpleBlock(1, int64(i*40), i == 0, picture))
		for ; sounds*64/3 < (i+1)*40 && sounds < 94; sounds++ {
			frame := make([]byte, 300)
			random.Read(frame)
			parts = append(parts, simpleBlock(2, int64(sounds*64/3), true, frame))
		}
	}
	return bytes.Join(parts, nil)
}

// mediaReader asks a server for its stream's media.
type mediaReader struct {
	url    string
	signer auth.Signer
}

func newMediaReader(b *testing.B, s *server) mediaReader {
	b.Helper()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(s.Data, "credentials"))
	if err != nil {
		b.Fatal(err)
	}
	return mediaReader{s.URL + "/getMedia",
		auth.Signer{Credentials: keys.Default().Credentials(), Region: "us-west-2"}}
}

// open begins an answer of GetMedia.
func (m mediaReader) open(client *http.Client, start string) (*http.Response, error) {
	body := fmt.Sprintf(`{"StreamName":"bench","StartSelector":{"StartSelectorType":"%s"}}`, start)
	req, err := http.NewRequest(http.MethodPost, m.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	m.signer.Sign(req, []byte(body))
	res, err := client.Do(req)
	if err == nil && res.StatusCode != http.StatusOK {
		res.Body.Close()
		err = fmt.Errorf("GetMedia: %s", res.Status)
	}
	return res, err
}

// BenchmarkMediaServing reads a stream of 20 MB by GetMedia, eight readers at a time, the same
// bytes from nginx as a file, and the same media from the simplest form of Weir. They take turns as
// in BenchmarkSegmentServing.
func BenchmarkMediaServing(b *testing.B) {
	nginx := nginxPath(b)
	s := start(b, "")
	pushMedia(b, s)
	data := s.Data
	s.stop()
	copied := filepath.Join(b.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
		b.Fatal(err)
	}
	s = start(b, data, "--media-call-rate=0")
	media := newMediaReader(b, s)

	res, err := media.open(http.DefaultClient, "EARLIEST")
	if err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, mediaFragments*mediaFragment)
	if _, err := io.ReadFull(res.Body, answer); err != nil {
		b.Fatal(err)
	}
	res.Body.Close() // GetMedia does not end by itself
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "0.mp4"), answer, 0o644); err != nil {
		b.Fatal(err)
	}
	urls, workers := startNginx(b, nginx, dir, 1, nil)
	rebuilt, pid := startSelf(b, rebuildVariable, copied)

	weir := &side{b: b, pids: []int{s.cmd.Process.Pid}, client: &http.Client{}}
	weir.open = func() (*http.Response, error) { return media.open(weir.client, "EARLIEST") }
	weir.limit = int64(len(answer))
	weir.warm(8)
	sides := []*side{weir, newSide(b, urls, nil, workers...),
		newSide(b, []string{rebuilt}, nil, pid)}
	besideSimplest(b, sides)
}

// BenchmarkMediaFollowing follows a producer of eight fragments of 510 KB a second; server and
// producer are processes of their own. It measures how long after a fragment's PERSISTED a reader
// of GetMedia has all of its chunk, the token at the end included. Frame by frame, most of it came
// before.
func BenchmarkMediaFollowing(b *testing.B) {
	const fragments = 80
	s := start(b, "")
	s.run("weir", "create-stream", "--stream-name", "bench", "--data-retention-in-hours", "1")
	p, err := connect(s, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer p.conn.Close()
	res, err := newMediaReader(b, s).open(http.DefaultClient, "NOW")
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close() // GetMedia does not end by itself
	begun := time.Now()
	go func() { // errors show as missing acknowledgements
		p.body.Write(mediaHeader())
		random := rand.NewChaCha8([32]byte{})
		for k := range int64(fragments) {
			time.Sleep(time.Until(begun.Add(time.Duration(k) * time.Second / 8)))
			p.body.Write(mediaCluster(begun.UnixMilli()+k*2000, random))
		}
		p.body.Write(endOfFragment())
	}()
	persisted := map[string]time.Time{}
	done := make(chan error, 1)
	go func() {
		for len(persisted) < fragments {
			a, err := p.next()
			if err != nil || a.EventType == "ERROR" {
				done <- fmt.Errorf("the producer: %+v, %w", a, err)
				res.Body.Close() // or the reader would wait for ever
				return
			}
			if a.EventType == "PERSISTED" {
				persisted[a.FragmentNumber] = time.Now()
			}
		}
		done <- nil
	}()
	read := map[string]time.Time{}
	for r := mkv.NewReader(res.Body, mkv.DefaultLimits()); len(read) < fragments; {
		ev, err := r.Next()
		if err != nil {
			b.Fatal(err, <-done)
		}
		if ev.Kind == mkv.TagsEvent && len(ev.Tags) == 2 && ev.Tags[1].Name == tokenTag {
			read[ev.Tags[1].Value] = time.Now()
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	var late []float64
	for number, at := range persisted {
		late = append(late, max(0, read[number].Sub(at).Seconds()*1000))
	}
	slices.Sort(late)
	b.ReportMetric(late[fragments/2], "persisted-to-reader-ms")
	b.ReportMetric(late[fragments*99/100], "persisted-to-reader-p99-ms")
}
