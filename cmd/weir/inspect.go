package main

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
	"weir/internal/store/local/volume"
	"weir/internal/store/record"
)

// inspectCmd prints what is in a file as text.
type inspectCmd struct {
	File     string `arg:"" type:"existingfile" help:"A volume of the data directory, a media segment or initialization segment, or Matroska."`
	Offset   int64  `placeholder:"N" help:"Of a volume only the record at this offset, with its frames."`
	Fragment string `placeholder:"NUMBER" help:"Of a volume only the fragment with this number, with its frames."`
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
	begin := make([]byte, 16)
	n, err := f.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	begin = begin[:n]
	w := bufio.NewWriter(std.Out)
	defer func() { err = errors.Join(err, w.Flush()) }()
	isVolume := volume.Is(begin)
	if !isVolume && (c.Offset != 0 || c.Fragment != "") {
		return withHint(fmt.Errorf("%s is not a volume", c.File),
			"--offset and --fragment name records of a volume")
	}
	switch {
	case isVolume:
		return c.volume(w, f)
	case strings.HasPrefix(string(begin), "\x1a\x45\xdf\xa3"):
		return mkv.Dump(w, bufio.NewReader(f))
	case strings.HasPrefix(string(begin), "SQLite format 3"):
		return withHint(fmt.Errorf("%s is the index", c.File),
			"weir check verifies it; the sqlite3 command reads it")
	case len(begin) >= 8 && isBox(string(begin[4:8])):
		data, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		return fmp4.Dump(w, data)
	}
	return withHint(fmt.Errorf("%s is no file that weir knows", c.File),
		"it knows volumes, MP4 segments and Matroska")
}

// isBox tells whether an MP4 file may begin with such a box.
func isBox(typ string) bool {
	switch typ {
	case "ftyp", "styp", "moof", "moov", "sidx", "prft", "emsg", "free":
		return true
	}
	return false
}

// volume prints a volume, a line for each record, or one record with its frames.
func (c *inspectCmd) volume(w io.Writer, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() // what is appended from now on is not looked at
	h, err := volume.ReadHeader(f)
	if err != nil {
		return err
	}
	stream := &store.Stream{ID: h.Stream, NumberTag: h.NumberTag}
	one := c.Offset != 0 || c.Fragment != ""
	if !one {
		fmt.Fprintf(w,
			"volume version %d of stream %s, number tag %016x, first fragment %s, %d bytes\n",
			h.Version, h.Stream, h.NumberTag, instant(h.Created.UnixMilli()), size)
	}
	shown, damaged := 0, 0
	end, why, err := volume.Walk(f, size, volume.HeaderSize, func(r volume.FoundRecord) error {
		if one && !c.selects(&r, stream) {
			return nil
		}
		shown++
		if r.Err != nil {
			damaged++
		}
		return printRecord(w, f, stream, &r, one)
	})
	if err != nil {
		return err
	}
	if why != nil && !one {
		fmt.Fprintf(w, "%10d  %d bytes that are no record: %v\n", end, size-end, why)
	}
	switch {
	case one && shown == 0:
		return fmt.Errorf("%s has no such record", c.File)
	case why != nil && !one:
		return fmt.Errorf("%s ends in %d bytes that are no record", c.File, size-end)
	case damaged > 0:
		return fmt.Errorf("%s has %d damaged records", c.File, damaged)
	}
	return nil
}

func (c *inspectCmd) selects(r *volume.FoundRecord, stream *store.Stream) bool {
	if c.Fragment == "" {
		return r.Offset == c.Offset
	}
	number := r.Header.Number
	return number > 0 && (c.Fragment == stream.FormatNumber(number) ||
		c.Fragment == strconv.FormatInt(int64(number), 10)) &&
		(c.Offset == 0 || r.Offset == c.Offset)
}

func instant(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}

// printRecord prints one record, with its frames when asked to.
func printRecord(w io.Writer, f io.ReaderAt, stream *store.Stream, r *volume.FoundRecord,
	frames bool) error {
	h := &r.Header
	fmt.Fprintf(w, "%10d  ", r.Offset)
	switch h.Type {
	case record.TypeStream:
		fmt.Fprintf(w, "stream, %d bytes: %s\n", h.Length, r.Head[record.HeaderSize:])
		return nil
	case record.TypeFooter:
		footer := make([]byte, h.Length) // bounded by the file's size
		if _, err := f.ReadAt(footer, r.Offset); err != nil {
			return err
		}
		t, err := record.DecodeFooter(footer)
		if err != nil {
			fmt.Fprintf(w, "footer, %d bytes: %v\n", h.Length, err)
			return nil
		}
		fmt.Fprintf(w, "footer, %d bytes: %s, %s, %d replaced\n",
			h.Length, count(t.Count, "fragment"), count(len(t.Sets), "track set"), len(t.Replaced))
		return nil
	case record.TypeFragment:
	default:
		fmt.Fprintf(w, "record of unknown type %d, %d bytes\n", h.Type, h.Length)
		return nil
	}
	fmt.Fprintf(w, "fragment %s, %d bytes, producer %s, server %s", stream.FormatNumber(h.Number),
		h.Length, instant(h.Producer), instant(h.ServerTimestamp))
	if h.Partial {
		fmt.Fprint(w, ", partial")
	}
	if h.Replaces != 0 {
		fmt.Fprintf(w, ", replaces %s", stream.FormatNumber(h.Replaces))
	}
	if r.Err != nil {
		fmt.Fprintf(w, ", DAMAGED: %v", r.Err)
	}
	fmt.Fprintln(w)
	_, fragment, err := record.DecodeFragment(r.Head)
	if err != nil {
		fmt.Fprintf(w, "%12s%v\n", "", err)
		return nil
	}
	at := r.Offset + h.MetaLength
	for i := range fragment.Runs {
		run := &fragment.Runs[i]
		t := fragment.Track(run.Track) // declared, or the record would not decode
		fmt.Fprintf(w,
			"%12strack %d %s %q: %d frames, %d bytes, decode time %d, duration %d of 1/%d s\n", "",
			run.Track, t.CodecID, t.Name, len(run.Frames), run.Size(), run.BaseDecodeTime,
			run.Duration(), t.Timescale)
		if frames {
			if err := printFrames(w, f, run, at); err != nil {
				return err
			}
		}
		at += run.Size()
	}
	if frames {
		for _, tag := range fragment.Tags {
			fmt.Fprintf(w, "%12stag %q = %q\n", "", tag.Name, tag.Value)
		}
		fmt.Fprintf(w, "%12sproducer's header of %d bytes, timecode %d\n", "", len(fragment.Header),
			fragment.Timecode)
	}
	return nil
}

// frameLetter tells a frame's place: K random access point, O start of an open group, L leading
// picture, + more of the access unit before,
// - no picture.
func frameLetter(fr *media.Frame) string {
	switch {
	case fr.Key:
		return "K"
	case fr.Marks&media.Joined != 0:
		return "+"
	case fr.Marks&media.Bare != 0:
		return "-"
	case fr.Marks&media.Open != 0:
		return "O"
	case fr.Marks&media.Leading != 0:
		return "L"
	}
	return " "
}

// printFrames prints the frames of a run whose payload begins at an offset of the file. Bytes are
// told by their CRC-32 (IEEE).
func printFrames(w io.Writer, f io.ReaderAt, run *media.Run, at int64) error {
	decode := run.BaseDecodeTime
	for i, fr := range run.Frames {
		key := frameLetter(&fr)
		crc := crc32.NewIEEE()
		if _, err := io.Copy(crc, io.NewSectionReader(f, at, int64(fr.Size))); err != nil {
			return err
		}
		fmt.Fprintf(w, "%14s%4d %s decode %d present %d duration %d size %d at %d crc %08x\n", "",
			i, key, decode, decode+int64(fr.CompositionOffset), fr.Duration, fr.Size, at,
			crc.Sum32())
		decode += int64(fr.Duration)
		at += int64(fr.Size)
	}
	return nil
}
