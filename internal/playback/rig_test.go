package playback

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/quota"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// rig is a service over a store with one stream and its camera.
type rig struct {
	*testing.T
	store   *testStore
	stream  store.Stream
	camera  *camera
	service *Service
	log     bytes.Buffer

	switching bool // for services made from now on
}

func newRig(t *testing.T, tracks ...media.Track) *rig {
	r := &rig{T: t}
	r.store = newTestStore(t)
	r.stream = r.store.Stream
	r.camera = newCamera(r.store, tracks...)
	r.service = r.another()
	return r
}

// another is a second process over the same store.
func (r *rig) another() *Service {
	return New(Options{Store: r.store, Tokens: fakeTokens{}, Limits: patient(),
		Clock: r.store.Clock, SwitchCodecs: r.switching,
		Logger: slog.New(slog.NewTextHandler(&r.log, nil))})
}

// patient returns the default limits without those on requests of a session.
func patient() Limits {
	limits := LimitsOf(quota.Defaults())
	limits.PlaylistsPerSecond, limits.FragmentsPerSecond = 0, 0
	return limits
}

func (r *rig) input() *api.GetHLSStreamingSessionURLInput {
	in := &api.GetHLSStreamingSessionURLInput{}
	in.StreamName = r.stream.Name
	return in
}

func (r *rig) recording(selector api.FragmentSelectorType, start,
	end int64) *api.GetHLSStreamingSessionURLInput {
	in := r.input()
	from, to := api.Timestamp(start), api.Timestamp(end)
	in.PlaybackMode = api.PlaybackModeOnDemand
	in.HLSFragmentSelector = &api.FragmentSelector{FragmentSelectorType: selector,
		TimestampRange: &api.TimestampRange{StartTimestamp: &from, EndTimestamp: &to}}
	return in
}

// replay asks for LIVE_REPLAY from start (milliseconds) to end, or without an end if that is 0.
func (r *rig) replay(selector api.FragmentSelectorType, start,
	end int64) *api.GetHLSStreamingSessionURLInput {
	in := r.recording(selector, start, end)
	in.PlaybackMode = api.PlaybackModeLiveReplay
	if end == 0 {
		in.HLSFragmentSelector.TimestampRange.EndTimestamp = nil
	}
	return in
}

func (r *rig) open(in *api.GetHLSStreamingSessionURLInput) string {
	r.Helper()
	token, err := tokenOf(r.service.OpenHLS(r.Context(), r.stream, "", in))
	if err != nil {
		r.Fatal(err)
	}
	return token
}

func (r *rig) playlist(s *Service, token string, track int) string {
	r.Helper()
	text, err := s.MediaPlaylist(r.Context(), token, track)
	if err != nil {
		r.Fatal(err)
	}
	return string(text.Text)
}

// checkpoint returns the size of a session's checkpoint in bytes.
func (r *rig) checkpoint(token string) int {
	r.Helper()
	claims, err := fakeTokens{}.Open(token)
	if err != nil {
		r.Fatal(err)
	}
	session, err := r.store.Session(r.Context(), claims.SessionID)
	if err != nil || len(session.Checkpoint) == 0 {
		r.Fatalf("checkpoint of %d bytes, %v", len(session.Checkpoint), err)
	}
	return len(session.Checkpoint)
}

// tokenOf is the token of a session that a call has opened.
func tokenOf(opened Opened, err error) (string, error) { return opened.Token, err }

// wantError checks for an *api.Error with that code, whose message has the text.
func wantError(t *testing.T, err error, code api.ErrorCode, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// numbers lists the fragments of a playlist as indexes into sent.
func (r *rig) numbers(text string, sent []store.FragmentInfo) (found []int) {
	for _, line := range strings.Split(text, "\n") {
		for i := range sent {
			if strings.Contains(line, "FragmentNumber="+r.stream.FormatNumber(sent[i].Number)+"&") {
				found = append(found, i)
			}
		}
	}
	return found
}

func (r *rig) wantNumbers(text string, sent []store.FragmentInfo, want ...int) {
	r.Helper()
	if got := r.numbers(text, sent); len(got) != len(want) || !equal(got, want) {
		r.Errorf("lists fragments %v, want %v\n%s", got, want, text)
	}
}

func equal(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// anonymous replaces the token, which is random.
func anonymous(text, token string) string { return strings.ReplaceAll(text, token, "TOKEN") }

// MediaPlaylist is ReloadPlaylist without directives.
func (s *Service) MediaPlaylist(ctx context.Context, token string, track int) (*Playlist, error) {
	return s.ReloadPlaylist(ctx, token, sessionurl.MediaPlaylist{Track: track})
}
