package server

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/throttle"
	"weir/test/output"
)

// logLines returns the lines of a log with a message, without their times and random parts.
func logLines(log *output.Buffer, message string) (lines []string) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "msg="+message) ||
			strings.Contains(line, fmt.Sprintf("msg=%q", message)) {
			lines = append(lines, line)
		}
	}
	return lines
}

func wantLine(t *testing.T, line string, attrs ...string) {
	t.Helper()
	for _, a := range attrs {
		if !strings.Contains(line, " "+a) {
			t.Errorf("no %s in %s", a, line)
		}
	}
}

// At the default level an operator sees who is refused and why, but not once for each call of a hot
// loop.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	var log output.Buffer
	now := time.Now()
	s := newStreamSite(t, func(o *Options) {
		o.Logger = logTo(&log)
		o.Clock = func() time.Time { return now }
	})
	for range 3 {
		s.call("/describeStream", `{"StreamName":"none"}`)
	}
	key, secret := s.signer.AccessKeyID, s.signer.SecretAccessKey
	s.signer.Credentials = auth.Credentials{AccessKeyID: "AKIDUNKNOWN", SecretAccessKey: "x"}
	for range 3 {
		s.dial("cam1").header()
	}
	lines := logLines(&log, "refused")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	wantLine(t, lines[0], "level=INFO", "operation=DescribeStream",
		"error_type=ResourceNotFoundException", "access_key="+key, "remote=127")
	wantLine(t, lines[1], "level=INFO", "operation=PutMedia", "stream=cam1",
		"claimed_key=AKIDUNKNOWN", "error=")
	s.signer.AccessKeyID, s.signer.SecretAccessKey = key, secret
	now = now.Add(throttle.NoteEvery)
	s.call("/describeStream", `{"StreamName":"none"}`)
	if lines = logLines(&log, "refused"); len(lines) != 3 {
		t.Fatalf("%d lines after the time: %q", len(lines), lines)
	}
	wantLine(t, lines[2], "repeated=2")
}

// A stranger with more addresses than are remembered cannot fill the log either.
func TestStrangersOfManyAddresses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := &Server{clock: func() time.Time { return now }, noteRates: throttle.New[string]()}
	s.notes = throttle.NewNotes[noteKind](s.clock)
	written, told := 0, 0
	for i := range 2 * throttle.MaxNotes {
		left, ok := s.due(s.noteRates, "", noteKind{who: fmt.Sprint("site ", i), what: "refused"})
		if told += left; ok {
			written++
		}
	}
	if written != noteBurst+1 || told != 0 {
		t.Errorf("%d lines, which tell of %d others", written, told)
	}
	now = now.Add(time.Second)
	left, ok := s.due(s.noteRates, "", noteKind{who: "another site", what: "refused"})
	if want := 2*throttle.MaxNotes - written; !ok || left != want {
		t.Errorf("a second later a line tells of %d others, want %d", left, want)
	}
}

// There is one line when a producer connects and one when it leaves, which says what became of its
// media.
func TestProducersAreLogged(t *testing.T) {
	t.Parallel()
	var log output.Buffer
	s := newStreamSite(t, func(o *Options) { o.Logger = logTo(&log) })
	now := time.Now().Add(-time.Minute).UnixMilli()
	p := s.dial("cam1", "User-Agent: camera/1.0")
	p.started()
	c := newCamera(t).cluster(now, 25, 100).cluster(now+1000, 4, 100)
	must(t, c.w.WriteFrame(1, now+1200, false, []byte("\x00\x00\x00\x01\x41\x9a\x01")))
	p.send(c.endOfFragment().take())
	p.until(fmt.Sprintf("PERSISTED %d", now+1000))
	must(t, p.conn.(*net.TCPConn).CloseWrite()) // without the last chunk, as kvssink does
	p.ended()
	s.stop() // waits for the session
	connected, ended := logLines(&log, "producer connected"), logLines(&log, "producer ended")
	if len(connected) != 1 || len(ended) != 1 {
		t.Fatalf("lines %q %q", connected, ended)
	}
	if odd := logLines(&log, "producer sends what cannot be played"); len(odd) != 1 {
		t.Errorf("lines %q", odd)
	} else {
		wantLine(t, odd[0], "level=INFO", "stream=cam1", "start codes (Annex B)")
	}
	wantLine(t, connected[0], "level=INFO", "stream=cam1", "remote=127", "access_key=",
		"user_agent=camera/1.0", "timecodes=ABSOLUTE")
	wantLine(t, ended[0], "level=INFO", "stream=cam1", `reason="connection closed"`, "fragments=2",
		"resends=0", "partials=0", "dropped=0", "frames=30")
	if !regexp.MustCompile(` bytes=[1-9]\d+ seconds=\d+(\.\d+)? `).MatchString(ended[0]) ||
		strings.Contains(ended[0], " error=") {
		t.Error(ended[0])
	}
}

// Producers connect again as soon as they have read an ERROR. One that always gets an ERROR is
// delayed, one that stores is not.
func TestRepeatedErrorsAreHeldBack(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	now := time.Now().Add(-time.Minute).UnixMilli()
	fail := func(media []byte) {
		p := s.dial("cam1")
		p.started()
		p.send(append(media, 0, 0, 0, 0))
		for a := p.ack(); a.EventType != "ERROR"; a = p.ack() {
		}
		p.conn.Close()
	}
	delayed := func(want string) {
		t.Helper()
		if text := s.get(s.url + "/metrics").body; !strings.Contains(text,
			"\nweir_http_delayed_errors_total "+want+"\n") {
			t.Errorf("not %s errors held back", want)
		}
	}
	for range throttle.FreePenalties {
		fail(nil)
	}
	delayed("0")
	fail(nil)
	delayed("1")
	fail(newCamera(t).cluster(now, 5, 100).endOfFragment().take())
	delayed("1")
	// it is stored already, which is no progress
	fail(newCamera(t).cluster(now, 5, 100).endOfFragment().take())
	for range throttle.FreePenalties - 2 {
		fail(nil)
	}
	delayed("1")
	fail(nil)
	delayed("2")
}
