package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"weir/internal/fmp4"
	"weir/internal/mkv"
	"weir/internal/mpegts"
	"weir/internal/store/local"
)

// inspectCmd prints the content of a file as text.
type inspectCmd struct {
	File     string `arg:"" type:"existingfile" help:"A volume of the data directory, an object of a cluster, a media segment or initialization segment, or Matroska."`
	Offset   int64  `placeholder:"N" help:"Of a volume or an object, print only the record at this offset, with its frames."`
	Fragment string `placeholder:"NUMBER" help:"Of a volume or an object, print only the fragment with this number, with its frames."`
}

// Help is shown by weir inspect --help.
func (c *inspectCmd) Help() string {
	return `It recognises what the file is. Nothing is changed, and the server may be running. The exit code is 1 when the file is damaged;
what could be read is printed.

Examples:

  weir inspect weir-data/volumes/*/2026031409-*.vol
  weir inspect --offset 300 weir-data/volumes/*/2026031409-*.vol
  weir inspect segment.mp4
  weir inspect camera.mkv`
}

// Run prints the file.
func (c *inspectCmd) Run(std stdio) (err error) {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	begin := make([]byte, 189)
	n, err := f.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	begin = begin[:n]
	w := bufio.NewWriter(std.Out)
	defer func() { err = errors.Join(err, w.Flush()) }()
	hasRecords := local.HasRecords(begin)
	if !hasRecords && (c.Offset != 0 || c.Fragment != "") {
		return withHint(fmt.Errorf("%s is neither a volume nor an object", c.File),
			"--offset and --fragment name records of a volume or an object")
	}
	switch {
	case hasRecords:
		records := local.Records{Offset: c.Offset, Fragment: c.Fragment}
		if err := local.Inspect(w, f, records); err != nil {
			return fmt.Errorf("%s %w", c.File, err)
		}
		return nil
	case strings.HasPrefix(string(begin), "\x1a\x45\xdf\xa3"):
		return mkv.Dump(w, bufio.NewReader(f))
	case strings.HasPrefix(string(begin), "SQLite format 3"):
		return withHint(fmt.Errorf("%s is the index", c.File),
			"weir check verifies it; the sqlite3 command reads it")
	case len(begin) >= 8 && isBox(string(begin[4:8])):
		return dumpWhole(w, f, fmp4.Dump)
	case len(begin) == 189 && begin[0] == 'G' && begin[188] == 'G': // sync bytes of two packets
		return dumpWhole(w, f, mpegts.Dump)
	}
	return withHint(fmt.Errorf("%s is no file that weir knows", c.File),
		"it knows volumes, objects of a cluster, MP4 and MPEG-TS segments, and Matroska")
}

func dumpWhole(w io.Writer, f io.Reader, dump func(io.Writer, []byte) error) error {
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	return dump(w, data)
}

// isBox reports whether an MP4 file may begin with such a box.
func isBox(typ string) bool {
	switch typ {
	case "ftyp", "styp", "moof", "moov", "sidx", "prft", "emsg", "free":
		return true
	}
	return false
}
