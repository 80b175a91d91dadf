package server

import (
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/localtest"
	"weir/internal/store/local/volume"
	"weir/test/output"
)

// On a full disk, calls that need space say so in words and log no internal failure; calls that
// free space work.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := localtest.NewDisk(1 << 30)
	open := func() *local.Store {
		rows, err := index.OpenSQLite(t.Context(), filepath.Join(dir, "index.db"))
		must(t, err)
		volumes, err := volume.Open("/volumes", volume.Options{FS: disk})
		must(t, err)
		st, err := local.New(t.Context(),
			local.Options{Index: rows, Volumes: volumes, MinFree: 1 << 20})
		must(t, err)
		return st
	}
	st := open()
	cam, err := st.CreateStream(t.Context(), store.Stream{
		Name: "cam1", RetentionHours: 24, Tags: map[string]string{"place": "door"},
	})
	must(t, err)
	must(t, st.Close())
	disk.SetRoom(0)
	st = open()
	t.Cleanup(func() { must(t, st.Close()) })
	var log output.Buffer
	s := newSite(t, func(o *Options) { o.Store, o.Logger = st, logTo(&log) })

	if a := s.do(s.request("GET", "/readyz", "")); a.status != 200 || a.body != textDiskFull {
		t.Errorf("readyz: %d %q", a.status, a.body)
	}
	retention := func(operation string) string {
		row, err := st.Stream(t.Context(), "cam1")
		must(t, err)
		return `{"StreamName":"cam1","DataRetentionChangeInHours":1,"CurrentVersion":"` +
			row.Version +
			`","Operation":"` + operation + `"}`
	}
	for _, c := range [][2]string{
		{"/createStream", `{"StreamName":"cam2","DataRetentionInHours":1}`},
		{"/tagStream", `{"StreamName":"cam1","Tags":{"floor":"1"}}`},
		{"/updateStream", `{"StreamName":"cam1","DeviceName":"lens","CurrentVersion":"` +
			cam.Version + `"}`},
		{"/updateDataRetention", retention("INCREASE_DATA_RETENTION")},
	} {
		s.call(c[0], c[1]).fails(t, 503, "ServiceUnavailable", "disk of the server is full")
	}
	s.ok("/untagStream", `{"StreamName":"cam1","TagKeyList":["place"]}`)
	s.ok("/updateDataRetention", retention("DECREASE_DATA_RETENTION"))
	s.ok("/deleteStream", `{"StreamARN":"`+s.server.arn(&cam)+`"}`)
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log:\n%s", log.String())
	}
}
