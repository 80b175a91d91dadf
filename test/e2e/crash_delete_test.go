package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A deletion that was answered before a kill -9 holds after it, at every later start: nothing of a
// deleted stream, or of what a shorter retention took, comes back, and its space is freed. Nothing
// else is lost: what was acknowledged of a stream that was not deleted is there, even if the
// server died while it deleted the stream.
func TestKillNineDeletedStaysDeleted(t *testing.T) {
	waits(t)
	rounds := 4
	if n, err := strconv.Atoi(os.Getenv("WEIR_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	s := start(t, "")
	first := time.Now().Add(-48 * time.Hour).UnixMilli()
	// what another life sends can be told by its time
	camera := func(name string, life int) *crashCamera {
		return &crashCamera{stream: name, base: first + int64(life)*time.Minute.Milliseconds(),
			acked: map[int]string{}}
	}
	create := func(c *crashCamera) *crashCamera {
		t.Helper()
		s.run("weir", "create-stream", "--stream-name", c.stream, "--data-retention-in-hours", "2")
		return c
	}
	kept, deleted, shortened := create(camera("kept", 0)), create(camera("deleted", 0)),
		create(camera("shortened", 0))
	deletions, decreases, lost := 0, 0, 0
	// On a busy machine a round may end before anything was stored or deleted.
	short := func() bool { return len(kept.acked) == 0 || deletions+decreases == 0 }
	for round := 0; round < rounds || short() && round < 10*rounds; round++ {
		arn := streamARN(s, "deleted")
		deleteErr, decreaseErr := killInDeletion(t, s, arn, kept, deleted, shortened)

		s = start(t, s.Data)
		kept.check(t, s)
		switch _, _, err := s.try("weir", "describe-stream", "--stream-name", "deleted"); {
		case err != nil: // it is gone
			deletions++
			lost += len(deleted.acked)
			deleted = create(camera("deleted", round+1))
		case deleteErr == nil:
			t.Fatalf("round %d: the stream that was deleted is there", round)
		default:
			deleted.check(t, s)
		}
		hours := s.runJSON("weir", "describe-stream", "--stream-name",
			"shortened")["StreamInfo"].(map[string]any)["DataRetentionInHours"].(float64)
		switch {
		case hours == 0:
			decreases++
			lost += len(shortened.acked)
			if err := changeRetention(s, "shortened", "INCREASE_DATA_RETENTION"); err != nil {
				t.Fatal(err)
			}
			shortened = camera("shortened", round+1)
		case decreaseErr == nil:
			t.Fatalf("round %d: the retention is %v hours again", round, hours)
		default:
			shortened.check(t, s)
		}
		for _, c := range []*crashCamera{deleted, shortened} {
			c.checkOthers(t, s, first)
		}
		within(t, time.Minute, "the room of deleted streams is free", func() bool {
			list, err := os.ReadDir(filepath.Join(s.Data, "volumes"))
			return err == nil && len(list) <= 3 // one of each stream, and no trash
		})
	}
	t.Logf("%d fragments kept; %d deletions and %d decreases took %d that were acknowledged",
		len(kept.acked), deletions, decreases, lost)
	if short() {
		t.Error("the test showed nothing")
	}
	for _, c := range []*crashCamera{kept, deleted, shortened} {
		s.run("weir", "delete-stream", "--stream-arn", streamARN(s, c.stream))
	}
	within(t, time.Minute, "all room is free", func() bool {
		list, err := os.ReadDir(filepath.Join(s.Data, "volumes"))
		return err == nil && len(list) == 0
	})
}

// killInDeletion lets the cameras push, deletes one's stream and shortens another's retention, and
// kills the server meanwhile. It returns the answers.
func killInDeletion(t *testing.T, s *server, arn string, kept, deleted, shortened *crashCamera,
) (deleteErr, decreaseErr error) {
	t.Helper()
	var cams sync.WaitGroup
	var keptErr error
	cams.Go(func() { keptErr = kept.push(s) })
	// an ERROR acknowledgement tells that the stream is gone
	cams.Go(func() { _ = deleted.push(s) })
	cams.Go(func() { _ = shortened.push(s) })
	// Moments are the test's input.
	time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
	var calls sync.WaitGroup
	calls.Go(func() { _, _, deleteErr = s.try("weir", "delete-stream", "--stream-arn", arn) })
	calls.Go(func() {
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		decreaseErr = changeRetention(s, "shortened", "DECREASE_DATA_RETENTION")
	})
	time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
	s.kill()
	calls.Wait()
	cams.Wait()
	if keptErr != nil {
		t.Fatal(keptErr)
	}
	return deleteErr, decreaseErr
}

func streamARN(s *server, stream string) string {
	s.t.Helper()
	return s.runJSON("weir", "describe-stream", "--stream-name",
		stream)["StreamInfo"].(map[string]any)["StreamARN"].(string)
}

func changeRetention(s *server, stream, operation string) error {
	out, _, err := s.try("weir", "describe-stream", "--stream-name", stream, "--query",
		"StreamInfo.Version", "--output", "text")
	if err == nil {
		_, _, err = s.try("weir", "update-data-retention", "--stream-name", stream,
			"--current-version", strings.TrimSpace(string(out)),
			"--operation", operation, "--data-retention-change-in-hours", "2")
	}
	return err
}

// within waits until something holds.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// checkOthers looks in the stream for fragments, since a time, that this camera did not send:
// those of its earlier lives.
func (c *crashCamera) checkOthers(t *testing.T, s *server, since int64) {
	t.Helper()
	out, stderr, err := s.try("weir", "get-hls-streaming-session-url", "--stream-name", c.stream,
		"--playback-mode", "ON_DEMAND",
		"--max-media-playlist-fragment-results", "5000", "--display-fragment-timestamp", "ALWAYS",
		"--query", "HLSStreamingSessionURL", "--output", "text",
		"--hls-fragment-selector",
		selector("PRODUCER_TIMESTAMP", time.UnixMilli(since),
			time.UnixMilli(since).Add(23*time.Hour)))
	// the stream has no fragment
	if err != nil && strings.Contains(string(stderr), "ResourceNotFoundException") {
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", stderr, err)
	}
	stored := map[int]string{}
	c.collect(t, s, strings.TrimSpace(string(out)), stored)
	for k := range stored {
		if k < 0 {
			t.Fatalf("%s: a fragment of %s was deleted and is there", c.stream,
				fmt.Sprint(time.UnixMilli(c.base+int64(k)*syntheticMillis)))
		}
	}
}
