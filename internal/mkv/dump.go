package mkv

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Dump reads Matroska from r to its end and writes it to w as text. Each streamed element has a
// line: offset, indented name, size. Under it, each event has a line with its values; of a frame's
// bytes it shows the CRC-32 (IEEE). The last line says how the input ended. Dump returns the error
// of reading or writing, nil if the input ended cleanly.
func Dump(w io.Writer, r io.Reader) error {
	out := bufio.NewWriter(w)
	rd := NewReader(r, DefaultLimits())
	rd.trace = func(depth int, h *header) {
		fmt.Fprintf(out, "%8d %*s%s ", h.off, 2*depth, "", nameOf(h.id))
		if h.size == unknownSize {
			fmt.Fprintf(out, "size=unknown\n")
		} else {
			fmt.Fprintf(out, "size=%d\n", h.size)
		}
	}
	var buf []byte
	var err error
	for {
		var ev Event
		if ev, err = rd.Next(); err != nil {
			break
		}
		if ev.Kind == Frame {
			if buf, err = rd.AppendPayload(buf[:0]); err != nil {
				break
			}
		}
		dumpEvent(out, rd, &ev, buf)
	}
	if errors.Is(err, io.EOF) {
		err = nil
		fmt.Fprintf(out, "%8d end\n", rd.Offset())
	} else {
		fmt.Fprintf(out, "%8d error: %v\n", rd.Offset(), err)
	}
	return errors.Join(err, out.Flush())
}

func dumpEvent(w io.Writer, r *Reader, ev *Event, payload []byte) {
	const indent = "       > "
	fmt.Fprint(w, indent, ev.Kind)
	switch ev.Kind {
	case TracksReady:
		fmt.Fprintf(w, " scale=%d\n", r.TimestampScale())
		for _, t := range r.Tracks() {
			fmt.Fprintf(w, "%strack %d kind=%d codec=%q name=%q", indent, t.Number, t.Kind,
				t.CodecID, t.Name)
			if t.Width > 0 || t.Height > 0 {
				fmt.Fprintf(w, " %dx%d", t.Width, t.Height)
			}
			if t.SampleRate > 0 {
				fmt.Fprintf(w, " %dHz channels=%d", t.SampleRate, t.Channels)
			}
			fmt.Fprintf(w, " default-duration=%d private=%X\n", t.DefaultDuration, t.CodecPrivate)
		}
		return
	case ClusterStart:
		fmt.Fprintf(w, " timecode=%d header=%d scale=%d", ev.Timecode, len(r.Header()),
			r.TimestampScale())
	case ClusterEnd:
		fmt.Fprintf(w, " complete=%t", ev.Complete)
	case TagsEvent:
		for _, t := range ev.Tags {
			fmt.Fprintf(w, " %q=%q", t.Name, t.Value)
		}
	case Frame:
		fmt.Fprintf(w, " track=%d timecode=%d", ev.Track, ev.Timecode)
		if ev.Laced {
			fmt.Fprint(w, " laced")
		}
		if ev.Key {
			fmt.Fprint(w, " key")
		}
		if ev.KeyUnknown {
			fmt.Fprint(w, "?")
		}
		if ev.Duration >= 0 {
			fmt.Fprintf(w, " duration=%d", ev.Duration)
		}
		if ev.DiscardPadding != 0 {
			fmt.Fprintf(w, " discard-padding=%d", ev.DiscardPadding)
		}
		fmt.Fprintf(w, " size=%d crc=%08x", ev.Size, crc32.ChecksumIEEE(payload))
	}
	fmt.Fprintln(w)
}
