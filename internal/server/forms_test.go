package server

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/fragments"
	"weir/internal/playback"
	"weir/internal/quota"
	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/storetest"
)

// Every data directory that a released version wrote opens: its content is listed, plays, can be
// extended, and passes the check. testdata/forms/make.sh makes one for a new release.
func TestEveryReleasedForm(t *testing.T) {
	t.Parallel()
	forms, err := filepath.Glob("testdata/forms/*.tar.gz")
	if err != nil || len(forms) == 0 {
		t.Fatal("no forms", err)
	}
	for _, archive := range forms {
		name := strings.TrimSuffix(archive, ".tar.gz")
		t.Run(filepath.Base(name), func(t *testing.T) {
			var form struct {
				Made      time.Time
				Fragments int
				Session   string
			}
			b, err := os.ReadFile(name + ".json")
			must(t, err)
			must(t, json.Unmarshal(b, &form))
			dir := t.TempDir()
			unpack(t, archive, dir)
			clock := storetest.NewClock()
			clock.Add(form.Made.Add(time.Minute).Sub(clock.Now()))
			o, key := openForm(t, dir, clock)
			s := newSite(t, func(site *Options) {
				site.Store, site.Access, site.Playback = o.Store, o.Access, o.Playback
			})
			s.signer.Credentials = key.Credentials()
			s.lists(form.Fragments)

			at := func(d time.Duration) int64 { return form.Made.Add(d).Unix() }
			opened := s.ok("/getHLSStreamingSessionURL", fmt.Sprintf(`{"StreamName":"cam",
				"PlaybackMode":"ON_DEMAND","HLSFragmentSelector":{
				"FragmentSelectorType":"SERVER_TIMESTAMP",
				"TimestampRange":{"StartTimestamp":%d,"EndTimestamp":%d}}}`, at(-time.Hour), at(0)))
			u, err := url.Parse(opened["HLSStreamingSessionURL"].(string))
			must(t, err)
			s.plays(u.Query().Get("SessionToken"), form.Fragments)
			// A session of another version may be gone, but the answer must say so.
			if a := s.do(s.request("GET", mediaPlaylist(form.Session), "")); a.status == 200 {
				s.plays(form.Session, form.Fragments)
			} else if a.status != 403 {
				t.Errorf("the session of the old version: %d %s", a.status, a.body)
			}
			s.addsTo(clock, form.Fragments)
			s.stop()
			must(t, o.Store.(*local.Store).Close())
			checkForm(t, dir, form.Fragments+1)
		})
	}
}

// openForm opens a data directory like a server, at the directory's time.
func openForm(t *testing.T, dir string, clock *storetest.Clock) (Options, auth.Key) {
	t.Helper()
	st, err := local.Open(t.Context(), dir, local.Options{Clock: clock.Now})
	must(t, err)
	who, keys := openAccess(t, st, dir)
	tokens, err := auth.LoadOrCreateTokenKeys(filepath.Join(dir, "token-keys"))
	must(t, err)
	tokens.Clock = clock.Now
	if keys.Created() {
		t.Error("the keys were not found")
	}
	return Options{Store: st, Access: who, Playback: playback.New(playback.Options{
		Store: st, Tokens: tokens, Limits: playback.LimitsOf(quota.Defaults()), Clock: clock.Now,
	}), Fragments: fragments.New(fragments.Options{Store: st})}, keys.Default()
}

// lists compares the streams and fragments with what the form must have.
func (s *site) lists(fragments int) {
	s.t.Helper()
	streams, ok := s.ok("/listStreams", `{}`)["StreamInfoList"].([]any)
	if !ok || len(streams) != 2 {
		s.t.Errorf("streams: %v", streams)
	}
	tags := s.ok("/listTagsForStream", `{"StreamName":"cam"}`)["Tags"]
	if got := fmt.Sprint(tags); got != "map[place:door]" {
		s.t.Errorf("tags: %s", got)
	}
	cam, err := s.server.store.Stream(s.t.Context(), "cam")
	must(s.t, err)
	l, err := s.server.store.List(s.t.Context(), cam.ID, store.Query{})
	must(s.t, err)
	if len(l) != fragments || !l[fragments-1].Partial {
		s.t.Errorf("%d fragments, want %d and the last one partial", len(l), fragments)
	}
	for i := range l {
		_, err := storetest.ReadPayload(s.t.Context(), s.server.store, cam.ID, l[i])
		if err != nil {
			s.t.Errorf("fragment %d: %v", i, err)
		}
	}
}

func mediaPlaylist(session string) string {
	return "/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken=" + session
}

// plays fetches every segment of a session's first track.
func (s *site) plays(session string, fragments int) {
	s.t.Helper()
	a := s.do(s.request("GET", mediaPlaylist(session), ""))
	segments := 0
	for line := range strings.Lines(a.body) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		segments++
		got := s.do(s.request("GET", "/hls/v1/"+strings.TrimSpace(line), ""))
		if got.status != 200 || !strings.Contains(got.body, "mdat") {
			s.t.Errorf("segment %d: %d", segments, got.status)
		}
	}
	if a.status != 200 || segments != fragments {
		s.t.Errorf("%d segments of %d: %d %s", segments, fragments, a.status, a.body)
	}
}

// addsTo appends a fragment after the others.
func (s *site) addsTo(clock *storetest.Clock, fragments int) {
	s.t.Helper()
	st := s.server.store
	cam, err := st.Stream(s.t.Context(), "cam")
	must(s.t, err)
	f, err := storetest.Append(s.t.Context(), st, cam.ID, storetest.Record(clock, 1, 1000))
	must(s.t, err)
	l, err := st.List(s.t.Context(), cam.ID, store.Query{Order: store.BySequence})
	must(s.t, err)
	if len(l) != fragments+1 || l[fragments].Number != f.Number {
		s.t.Errorf("%d fragments after one was added to %d", len(l), fragments)
	}
}

// checkForm is weir check of the directory.
func checkForm(t *testing.T, dir string, fragments int) {
	t.Helper()
	report, err := local.Check(t.Context(), dir, "", nil)
	must(t, err)
	if len(report.Problems) != 0 || report.Streams != 2 || report.Fragments != fragments {
		t.Errorf("check: %+v", report)
	}
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			must(t, os.MkdirAll(path, 0o700))
			continue
		}
		b, err := io.ReadAll(r)
		must(t, err)
		must(t, os.WriteFile(path, b, 0o600))
	}
}
