package volume

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// Records selects records of a volume; the zero value selects all.
type Records struct {
	Offset   int64  // where the record begins; 0: anywhere
	Fragment string // the fragment's number, as clients see it or as in the index; "": any record
}

func (r Records) all() bool { return r == Records{} }

// Inspect prints a volume, or an object of a cluster, as text: a line for each record, or the
// selected records with their frames. It changes nothing, and a server may be writing the file. An
// error about the content is worded to follow the file's name.
func Inspect(w io.Writer, f *os.File, records Records) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() // what is appended from now on is ignored
	one := !records.all()
	stream, from, err := printHeader(w, f, size, one)
	if err != nil {
		return err
	}
	shown, damaged := 0, 0
	end, why, err := Walk(f, size, from, func(r FoundRecord) error {
		if r.Header.Type == record.TypeStream { // an object of a cluster has those of many
			if st, err := record.DecodeStream(r.Head); err == nil {
				stream = st
			}
		}
		if one && !records.selects(&r, stream) {
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
		return errors.New("has no such record")
	case why != nil && !one:
		return fmt.Errorf("ends in %d bytes that are no record", size-end)
	case damaged > 0:
		return fmt.Errorf("has %d damaged records", damaged)
	}
	return nil
}

// printHeader prints what a file says before its records, unless only one is to be shown. It
// returns the stream of a volume, and where the records begin.
func printHeader(
	w io.Writer, f *os.File, size int64, one bool,
) (stream *store.Stream, from int64, err error) {
	begin := make([]byte, 4)
	if _, err := f.ReadAt(begin, 0); err == nil && record.Begins(begin) {
		if !one {
			fmt.Fprintf(w, "object of a cluster, %d bytes\n", size)
		}
		return &store.Stream{}, 0, nil
	}
	h, err := readHeader(f)
	if err != nil {
		return nil, 0, err
	}
	if !one {
		fmt.Fprintf(w,
			"volume version %d of stream %s, number tag %016x, first fragment %s, %d bytes\n",
			h.Version, h.Stream, h.NumberTag, instant(h.Created.UnixMilli()), size)
	}
	from = HeaderSize
	if h.Hollow {
		if from = h.Footer; one {
			return nil, 0, errors.New("has its records in an object store")
		}
		fmt.Fprintf(w, "%10d  %d bytes of records, in an object store\n", HeaderSize,
			h.Footer-HeaderSize)
	}
	return &store.Stream{ID: h.Stream, NumberTag: h.NumberTag}, from, nil
}

func (s Records) selects(r *FoundRecord, stream *store.Stream) bool {
	if s.Fragment == "" {
		return r.Offset == s.Offset
	}
	number := r.Header.Number
	return number > 0 && (s.Fragment == stream.FormatNumber(number) ||
		s.Fragment == strconv.FormatInt(int64(number), 10)) &&
		(s.Offset == 0 || r.Offset == s.Offset)
}

func instant(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}

// printRecord prints one record, with its frames if asked to.
func printRecord(w io.Writer, f io.ReaderAt, stream *store.Stream, r *FoundRecord,
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
			h.Length, plural(t.Count, "fragment"), plural(len(t.Sets), "track set"),
			len(t.Replaced))
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

// frameLetter says what a frame is: K random access point, O start of an open group, L leading
// picture, + more of the access unit before, - no picture.
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

// printFrames prints the frames of a run whose payload begins at an offset of the file. Their bytes
// are shown as a CRC-32 (IEEE).
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

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
