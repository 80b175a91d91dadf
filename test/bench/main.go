// Command bench reads what `go test -bench` prints and prints it as a table, with the limit beside
// each figure that has one and a word on whether it is kept, below what the figures depend on:
// processors and congestion control. `make bench` pipes its runs through it.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
)

// limit is what a figure should be.
type limit struct {
	benchmark *regexp.Regexp // of the name without "Benchmark" and the number of processors
	unit      string
	value     float64
	least     bool // the figure should be at least value; else at most
	what      string
}

var limits = []limit{
	{regexp.MustCompile(`^Append/`), "ratio", 0.85, true,
		"of plain write and fdatasync of the same bytes"},
	{regexp.MustCompile(`^Encryption/ingest`), "cpu-ratio", 1.6, false,
		"encrypted by plain, processor time of the storing thread"},
	{regexp.MustCompile(`^Encryption/playback`), "cpu-ratio", 7, false,
		"encrypted by plain, which the kernel sends by itself"},
	{regexp.MustCompile(`^ClusterIngest`), "ratio", 0.6, true,
		"of bare puts of the same bytes in objects of 8 MiB"},
	{regexp.MustCompile(`^ClusterAcks`), "ack-p99-ms", 500, false,
		"200 producers of a fragment every two seconds"},
	{regexp.MustCompile(`^ClusterAcks`), "visible-p99-ms", 300, false,
		"from the acknowledgement to who waits at another node"},
	{regexp.MustCompile(`^ClusterFirstByte`), "ratio", 1.3, false,
		"of a bare range read of an object"},
	{regexp.MustCompile(`^ClusterList/`), "p50-ms", 5, false, "1,000 fragments out of ten million"},
	{regexp.MustCompile(`^Together/`), "ratio", 0.9, true,
		"of the same beside work on another store"},
	{regexp.MustCompile(`^Together/`), "p99-ratio", 0.8, true, "likewise"},
	{regexp.MustCompile(`^SegmentServing/http/`), "cpu-ratio", 1.3, false,
		"of nginx sending the same bytes as a file"},
	{regexp.MustCompile(`^SegmentServing/https/`), "cpu-ratio", 1, false,
		"of nginx doing the same over TLS"},
	{regexp.MustCompile(`^SegmentServing/`), "req-ratio", 0.8, true, "of nginx doing the same"},
	{regexp.MustCompile(`^ClipServing`), "cpu-ratio", 1.5, false,
		"of nginx sending the same bytes as a file"},
	{regexp.MustCompile(`^ClipServing`), "simplest-ratio", 1, false,
		"of the simplest form: fragments read into memory and written"},
	{regexp.MustCompile(`^ClipServing`), "first-byte-ms", 5, false, "ten seconds of two hours"},
	{regexp.MustCompile(`^MediaServing`), "simplest-ratio", 1, false,
		"of the simplest form: records read into memory, rebuilt there and written"},
	{regexp.MustCompile(`^MediaFollowing$`), "persisted-to-reader-ms", 50, false,
		"from PERSISTED to the end of the fragment's chunk"},
	{regexp.MustCompile(`^Day$`), "heap-MB", 64, false, "while a clip of 24 hours is made"},
	{regexp.MustCompile(`^Day$`), "again-ms", 100, false, "once its header is there"},
	{regexp.MustCompile(`^Hundred/`), "heap-MB", 256, false, "a hundred clips at a time"},
	{regexp.MustCompile(`^ImagePage$`), "page-ms", 1500, false,
		"25 images of 1080p key frames, on one processor"},
	{regexp.MustCompile(`^ImagePage$`), "cpu-ms", 1500, false,
		"25 images of 1080p key frames, on one processor"},
	{regexp.MustCompile(`^HundredImageCalls$`), "server-MB", 256, false,
		"a hundred callers of GetImages at a time"},
	{regexp.MustCompile(`^MediaPlaylist/.*/first$`), "cpu-ms/op", 10, false,
		"a session's first playlist of 1,800 fragments"},
	{regexp.MustCompile(`^MediaPlaylist/.*/(same|new)$`), "cpu-ms/op", 1, false, "a later one"},
	{regexp.MustCompile(`^DASHManifest/.*/(same|reload)$`), "ns/op", 1_000_000, false,
		"a manifest of 1,800 segments after the first"},
	{regexp.MustCompile(`^OpenSession/`), "cpu-ms/op", 2, false,
		"whatever sessions the stream has had"},
	{regexp.MustCompile(`^Console$`), "first-view-ms", 1000, false,
		"to the names of 10,000 streams, signed in"},
	{regexp.MustCompile(`^Console$`), "list-task-ms", 50, false,
		"searching and scrolling 10,000 streams"},
	{regexp.MustCompile(`^Console$`), "timeline-task-ms", 50, false,
		"zooming, moving and scrubbing a month of fragments"},
	{regexp.MustCompile(`^Console$`), "month-pages", 300, false,
		"answers of ListFragments that show a month of 260,000"},
}

func main() {
	control := "not known here"
	if name, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control"); err == nil {
		control = strings.TrimSpace(string(name))
	}
	fmt.Printf("%d processors; the machine's own congestion control: %s\n\n", runtime.NumCPU(),
		control)
	if err := table(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// table writes a row for each figure of each benchmark. Lines that are not results go to w as they
// are, so that a failure shows.
func table(w io.Writer, r io.Reader) error {
	rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "benchmark\tfigure\tunit\tlimit\t")
	lines := bufio.NewScanner(r)
	processors := regexp.MustCompile(`-\d+$`)
	failed := false
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			if strings.Contains(lines.Text(), "FAIL") {
				failed = true
				fmt.Fprintln(w, lines.Text())
			}
			continue
		}
		name := strings.TrimPrefix(processors.ReplaceAllString(fields[0], ""), "Benchmark")
		shown := name
		for i := 2; i+1 < len(fields); i += 2 {
			figure, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("%s: figure %q", name, fields[i])
			}
			fmt.Fprintf(rows, "%s\t%s\t%s\t%s\t\n", shown, fields[i], fields[i+1],
				judge(name, fields[i+1], figure))
			shown = ""
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := rows.Flush(); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("a benchmark failed")
	}
	return nil
}

// judge says what limit a figure has and whether it is kept; empty for one without a limit.
func judge(name, unit string, figure float64) string {
	for _, l := range limits {
		if l.unit != unit || !l.benchmark.MatchString(name) {
			continue
		}
		sign, kept := "at most", figure <= l.value
		if l.least {
			sign, kept = "at least", figure >= l.value
		}
		verdict := "missed"
		if kept {
			verdict = "kept"
		}
		return fmt.Sprintf("%s %g, %s (%s)", sign, l.value, verdict, l.what)
	}
	return ""
}
