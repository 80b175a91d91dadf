package audit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var start = time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC)

// newLog opens a log that the end of the test closes.
func newLog(t *testing.T, o Options) *Log {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "audit", "audit.jsonl")
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func closeLog(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// ids returns the request ids of the events that a filter selects, read page by page.
func ids(t *testing.T, l *Log, f Filter) (all []string) {
	t.Helper()
	for pages := 0; ; pages++ {
		events, next, err := l.Read(t.Context(), f)
		if err != nil || pages > 1000 {
			t.Fatal(pages, err)
		}
		if f.Limit > 0 && len(events) > f.Limit {
			t.Fatalf("%d events, want %d at most", len(events), f.Limit)
		}
		for _, e := range events {
			all = append(all, e.RequestID)
		}
		if f.After = next; next == "" {
			return all
		}
	}
}

func TestFilters(t *testing.T) {
	l := newLog(t, Options{})
	for i, e := range []Event{
		{Action: "kinesisvideo:CreateStream", Stream: "cam1", Allowed: true, Outcome: OK,
			Principal: "arn:aws:iam::000000000000:user/ann", AccessKey: "AKIAANN"},
		{Action: "kinesisvideo:DeleteStream", Stream: "cam1", Reason: "no policy allows it",
			Principal: "arn:aws:iam::000000000000:user/bob", AccessKey: "AKIABOB"},
		{Action: "weir:CreateKey", Allowed: true, Principal: "arn:aws:iam::000000000000:root"},
		{Action: "kinesisvideo:PutMedia", Event: Begin, Stream: "cam2", Allowed: true,
			Principal: "arn:aws:sts::000000000000:assumed-role/camera/cam2"},
		{Event: Lost, Lost: 3},
	} {
		e.RequestID, e.Time = fmt.Sprint(i), start.Add(time.Duration(i)*time.Minute)
		l.Write(e)
	}
	closeLog(t, l)
	for want, f := range map[string]Filter{
		"0 1 2 3 4": {},
		"0 1":       {Stream: "cam1"},
		"0":         {Principal: "ann"},
		"1":         {Principal: "AKIABOB"},
		"3":         {Principal: "cam2"},
		"2":         {Principal: "arn:aws:iam::000000000000:root"},
		"":          {Principal: "nn"},
		"1 ":        {Denied: true},
		"0 2 3":     {Allowed: true},
		"1  ":       {Action: "deletestream"},
		"2 ":        {Action: "weir:CreateKey"},
		"2 3":       {From: start.Add(2 * time.Minute), Until: start.Add(4 * time.Minute)},
	} {
		for f.Limit = range 3 {
			if got := strings.Join(ids(t, l, f), " "); got != strings.TrimSpace(want) {
				t.Errorf("%+v: %q, want %q", f, got, want)
			}
		}
	}
	for _, bad := range []string{"x", "1", "1-x", "-1-2", "1--2"} {
		if _, _, err := l.Read(t.Context(), Filter{After: bad}); err != ErrCursor {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
	info, err := os.Stat(l.o.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others can read it", info, err)
	}
}

// A stranger's input cannot make a line of its own.
func TestLinesCannotBeForged(t *testing.T) {
	l := newLog(t, Options{})
	l.Write(Event{RequestID: "1", UserAgent: "x\"}\n{\"time\":\"2026-01-01T00:00:00Z\"}\u2028\xff"})
	closeLog(t, l)
	if got := ids(t, l, Filter{}); !slices.Equal(got, []string{"1"}) {
		t.Error(got)
	}
}

func TestRotation(t *testing.T) {
	now := start
	o := Options{Path: filepath.Join(t.TempDir(), "audit.jsonl"), MaxBytes: 2000, Keep: 3,
		MaxAge: time.Hour, Clock: func() time.Time { return now }}
	var want []string
	write := func(n int) {
		l := newLog(t, o) // every start continues the file
		for range n {
			id := fmt.Sprint(len(want))
			want = append(want, id)
			l.Write(Event{RequestID: id, Allowed: true})
		}
		closeLog(t, l)
	}
	files := func() int {
		names, err := rotated(o.Path)
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	write(1)
	now = now.Add(time.Hour - time.Second)
	write(1)
	if n := files(); n != 0 {
		t.Errorf("%d files were moved aside", n)
	}
	now = now.Add(2 * time.Second)
	write(1) // age
	if n := files(); n != 1 {
		t.Errorf("%d files were moved aside after an hour, want 1", n)
	}
	write(40) // beyond the size
	write(1)
	if n := files(); n < 2 { // more if the lines went into several writes
		t.Errorf("%d files were moved aside beyond the size, want 2 or 3", n)
	}
	for _, limit := range []int{0, 1, 7} { // cursors lead from file to file
		if got := ids(t, newLog(t, o), Filter{Limit: limit}); !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
	for range 5 {
		write(40)
	}
	if n := files(); n != 3 {
		t.Errorf("%d files are kept, want 3", n)
	}
	got := ids(t, newLog(t, o), Filter{})
	if len(got) == 0 || !slices.Equal(got, want[len(want)-len(got):]) {
		t.Errorf("%v are not the newest of %v", got, want)
	}
}

// fullFile is a file on a disk that fills up.
type fullFile struct {
	file
	disk *disk
}

type disk struct {
	mu   sync.Mutex
	room int // bytes; -1: no end
}

func (d *disk) set(room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

func (f fullFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.room < 0 || len(p) <= f.disk.room {
		return f.file.Write(p)
	}
	n, err := f.file.Write(p[:f.disk.room])
	f.disk.room -= n
	if err == nil {
		err = syscall.ENOSPC
	}
	return n, err
}

// On a full disk events wait, then get lost, and both the metric and the log say how many. No line
// is duplicated or broken.
func TestFullDisk(t *testing.T) {
	d := &disk{room: 250} // a line and a half
	l := newLog(t, Options{Queue: 10, tick: time.Millisecond, open: func(p string) (file, error) {
		f, err := openFile(p)
		return fullFile{f, d}, err
	}})
	const events = 30
	for i := range events {
		l.Write(Event{RequestID: fmt.Sprint(i), Allowed: true}) // does not wait
	}
	lost := int64(count(t, l.lost))
	if lost < events-2*10 {
		t.Fatalf("%d events were lost of %d, with place for 10", lost, events)
	}
	d.set(-1)
	for l.Write(Event{RequestID: "after", Allowed: true}); ; { // until there is place for it
		if events, _, err := l.Read(t.Context(), Filter{Principal: ""}); err != nil {
			t.Fatal(err)
		} else if slices.ContainsFunc(events, func(e Event) bool { return e.Event == Lost }) {
			break
		}
		time.Sleep(time.Millisecond)
		l.Write(Event{RequestID: "after", Allowed: true})
	}
	closeLog(t, l)
	all, _, err := l.Read(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var written, told int64
	last := int64(0)
	for _, e := range all {
		if e.Sequence <= last {
			t.Errorf("event %d comes after %d", e.Sequence, last)
		}
		last = e.Sequence
		told += e.Lost
		if e.Event != Lost && e.RequestID != "after" {
			written++
		}
	}
	if now := int64(count(t, l.lost)); told != now {
		t.Errorf("the log tells of %d lost events, the metric of %d", told, now)
	}
	if written+lost != events {
		t.Errorf("%d events are there and %d were lost, of %d", written, lost, events)
	}
	if n := int64(count(t, l.written)); n != int64(len(all)) {
		t.Errorf("%d events were counted, %d are there", n, len(all))
	}
}

// stuckFile is a file on a disk that does not answer.
type stuckFile struct {
	file
	release chan struct{}
}

func (f stuckFile) Write(p []byte) (int, error) {
	<-f.release
	return f.file.Write(p)
}

func TestStuckDiskHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	l := newLog(t, Options{Queue: 5, open: func(p string) (file, error) {
		f, err := openFile(p)
		return stuckFile{f, release}, err
	}})
	for range 100 {
		l.Write(Event{})
	}
	if lost := count(t, l.lost); lost < 80 {
		t.Errorf("%v events were lost", lost)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ctx); err == nil {
		t.Error("the log was closed while its disk was stuck")
	}
	close(release)
	closeLog(t, l)
}

// Close reports events that can never be written.
func TestCloseTellsOfWhatIsLost(t *testing.T) {
	broken := false
	l := newLog(t, Options{tick: time.Hour, open: func(p string) (file, error) {
		if broken {
			return nil, fs.ErrPermission
		}
		broken = true
		f, err := openFile(p)
		return fullFile{f, new(disk)}, err
	}})
	l.Write(Event{})
	if err := l.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "1 events") {
		t.Error(err)
	}
	if lost := count(t, l.lost); lost != 1 {
		t.Errorf("%v events were counted as lost", lost)
	}
}

// A server and its successor write to one file, even when one of them moves it aside, and continue
// after a line that a power cut has torn.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	torn := `{"time":"2026-11-29T06:00:00Z","request_id":"torn","ev`
	if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := newLog(t, Options{Path: path, MaxBytes: 1000}), newLog(t, Options{Path: path})
	want := map[string]bool{}
	for i := range 50 {
		for name, l := range map[string]*Log{"a": a, "b": b} {
			id := fmt.Sprint(name, i)
			want[id] = true
			l.Write(Event{RequestID: id, Allowed: true})
			for len(ids(t, l, Filter{})) < len(want) {
				time.Sleep(time.Millisecond)
			}
		}
	}
	closeLog(t, a)
	closeLog(t, b)
	if names, err := rotated(path); err != nil || len(names) < 5 {
		t.Errorf("%d files, %v", len(names), err)
	}
	for _, id := range ids(t, a, Filter{}) {
		if !want[id] {
			t.Errorf("%q is there, or twice", id)
		}
		delete(want, id)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}
