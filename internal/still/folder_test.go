package still

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A folder deletes its oldest files to keep to its space, and writes whole files, only below
// itself.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "images")
	f, err := OpenFolder(dir, 10*2*cacheBlock)
	must(t, err)
	put := func(name string, size int64) error {
		return f.Put(name, size, strings.NewReader(strings.Repeat("x", cacheBlock)))
	}
	for i := range 11 {
		name := fmt.Sprintf("a/%02d", i)
		must(t, put(name, cacheBlock))
		at := time.Unix(int64(1_700_000_000+i), 0)
		must(t, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	names := func() string {
		t.Helper()
		all, err := filepath.Glob(filepath.Join(dir, "a", "*"))
		must(t, err)
		for i := range all {
			all[i] = filepath.Base(all[i])
		}
		return strings.Join(all, " ")
	}
	if got := names(); got != "02 03 04 05 06 07 08 09 10" {
		t.Errorf("kept %s", got)
	}
	if err := put("a/short", cacheBlock+1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too short: %v", err)
	}
	for _, name := range []string{"../x", "/x", "a/../../x", ""} {
		if put(name, cacheBlock) == nil {
			t.Errorf("%q was written", name)
		}
	}
	if put("a/huge", 1<<40) == nil {
		t.Error("more than the folder was written")
	}
	killed := filepath.Join(dir, "a", folderTemporary+"1") // left by a killed process
	must(t, os.WriteFile(killed, nil, 0o600))
	long := time.Now().Add(-2 * folderAbandoned)
	must(t, os.Chtimes(killed, long, long))
	written := filepath.Join(dir, "a", folderTemporary+"2") // by the server that this one follows
	must(t, os.WriteFile(written, nil, 0o600))
	f, err = OpenFolder(dir, 5*2*cacheBlock)
	must(t, err)
	left, err := os.ReadDir(filepath.Join(dir, "a"))
	must(t, err)
	if got := names(); got != ".new-2 07 08 09 10" || len(left) != 5 ||
		f.bytes != 4*2*cacheBlock {
		t.Errorf("afterwards %s, %d files, %d bytes", got, len(left), f.bytes)
	}
	if err := os.Rename(written, filepath.Join(dir, "a", "11")); err != nil {
		t.Errorf("what another server writes: %v", err)
	}
}

// Less urgent work waits while anybody else waits.
func TestEnterLast(t *testing.T) {
	t.Parallel()
	d := NewDecoder("ffmpeg", Limits{Processes: 1}, nil)
	first, err := d.Enter(t.Context())
	must(t, err)
	waits := make(chan func(), 1)
	go func() {
		leave, err := d.Enter(t.Context())
		if err != nil {
			t.Error(err)
		}
		waits <- leave
	}()
	entered := make(chan func())
	go func() {
		leave, err := d.EnterLast(t.Context())
		if err != nil {
			t.Error(err)
		}
		entered <- leave
	}()
	select {
	case <-entered:
		t.Error("it went first")
	case <-time.After(3 * lastPause):
	}
	first()
	second := <-waits
	select {
	case <-entered:
		t.Error("it went before who has waited")
	case <-time.After(3 * lastPause):
	}
	second()
	leave := <-entered
	if _, ok := d.turns.Try(); ok {
		t.Error("it has no turn")
	}
	leave()
}
