// Package conformance holds HLS playlists, DASH manifests and media segments against the documents
// that define them: RFC 8216, its second edition (draft-pantos-hls-rfc8216bis), ISO/IEC 23009-1
// with the DASH-IF Interoperability Points, ISO/IEC 14496-12, 14496-14 and 14496-15, and ISO/IEC
// 13818-1.
//
// It is pure: bytes in, findings out, no network and no server of ours. It shares no code with the
// server, so that a mistake is not made on both sides alike. Nothing is repaired or guessed; what a
// lenient player would swallow is a finding here. Each finding names a rule of the table in
// rules.go, and the tests break a good playlist or segment once for every rule.
//
// What is left out, because nothing that Weir serves has it: the meaning of encryption, date
// ranges, content steering and variables. Their tags are known, and their attributes are held to
// their syntax. Of the second edition's rules for low latency, how soon a part must follow another
// is left out too: that is the source's matter.
package conformance

import (
	"fmt"
	"strings"
)

// Finding is one broken rule.
type Finding struct {
	Rule   Rule
	Where  string // "line 7", "segment 12", "init"
	Detail string // what stands there, and what should
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Rule, f.Where, f.Detail) }

// Findings are broken rules in the order in which they were met.
type Findings []Finding

func (f *Findings) add(rule Rule, where, format string, args ...any) {
	*f = append(*f, Finding{Rule: rule, Where: where, Detail: fmt.Sprintf(format, args...)})
}

func (f Findings) String() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// Has reports whether a rule is among the findings.
func (f Findings) Has(rule Rule) bool {
	for i := range f {
		if f[i].Rule == rule {
			return true
		}
	}
	return false
}

func line(n int) string { return fmt.Sprintf("line %d", n) }

func segmentAt(sequence int64) string { return fmt.Sprintf("segment %d", sequence) }
