package conformance

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Master is a master playlist (multivariant playlist in the second edition).
type Master struct {
	Version   int
	Variants  []Variant
	IFrames   []Variant // EXT-X-I-FRAME-STREAM-INF
	Rendition []Rendition
}

// Variant is an EXT-X-STREAM-INF or EXT-X-I-FRAME-STREAM-INF.
type Variant struct {
	URI              string
	Bandwidth        int64 // bits per second
	AverageBandwidth int64 // 0: not given
	Codecs           []string
	Resolution       string // WIDTHxHEIGHT, or empty
	FrameRate        string // as it stands there, or empty
	Audio            string // group
}

// Rendition is an EXT-X-MEDIA.
type Rendition struct {
	Type, Group, Name, URI string
	Default                bool
}

// ParseMaster reads a master playlist and holds it to every rule that it alone can show.
func ParseMaster(text []byte) (*Master, Findings) {
	entries, f := scan(text)
	m := &Master{Version: 1}
	need := versions{}
	waiting := false // a STREAM-INF wants its URI
	for i := range entries {
		e := &entries[i]
		if waiting && e.name != "" {
			f.add(VariantURI, line(e.line), "%s where the URI of a variant belongs", e.name)
			waiting = false
		}
		switch {
		case e.name == "" && waiting:
			m.Variants[len(m.Variants)-1].URI, waiting = e.value, false
		case e.name == "":
			f.add(VariantURI, line(e.line), "a URI without EXT-X-STREAM-INF")
		case e.tag.place != master && e.tag.place != anywhere:
			f.add(MixedPlaylist, line(e.line), "%s in a master playlist", e.name)
		case e.name == "EXT-X-VERSION":
			m.Version = int(number(e.value))
		case e.name == "EXT-X-STREAM-INF":
			m.Variants = append(m.Variants, variant(&f, e))
			waiting = true
			if e.attrs["REQ-VIDEO-LAYOUT"] != "" {
				need.at(12, "REQ-VIDEO-LAYOUT")
			}
		case e.name == "EXT-X-I-FRAME-STREAM-INF":
			v := variant(&f, e)
			v.URI = e.attrs["URI"]
			m.IFrames = append(m.IFrames, v)
		case e.name == "EXT-X-MEDIA":
			m.Rendition = append(m.Rendition, rendition(&f, e))
			if strings.HasPrefix(e.attrs["INSTREAM-ID"], "SERVICE") {
				need.at(7, "SERVICE in INSTREAM-ID")
			}
		case e.name == "EXT-X-DEFINE":
			need.at(8, e.name)
		}
	}
	if waiting {
		f.add(VariantURI, "playlist", "no URI follows the last EXT-X-STREAM-INF")
	}
	if len(m.Variants) == 0 {
		f.add(NoVariant, "playlist", "no EXT-X-STREAM-INF")
	}
	need.check(&f, m.Version)
	m.groups(&f)
	return m, f
}

func variant(f *Findings, e *entry) Variant {
	v := Variant{
		Bandwidth:        number(e.attrs["BANDWIDTH"]),
		AverageBandwidth: number(e.attrs["AVERAGE-BANDWIDTH"]),
		Resolution:       e.attrs["RESOLUTION"], FrameRate: e.attrs["FRAME-RATE"],
		Audio: e.attrs["AUDIO"],
	}
	if v.AverageBandwidth > v.Bandwidth {
		f.add(AverageBandwidth, line(e.line), "AVERAGE-BANDWIDTH %d above BANDWIDTH %d",
			v.AverageBandwidth, v.Bandwidth)
	}
	if text := e.attrs["CODECS"]; text == "" {
		f.add(Codecs, line(e.line), "no CODECS, which every variant should have")
	} else {
		for _, c := range strings.Split(text, ",") {
			if c = strings.TrimSpace(c); !strings.Contains(c, ".") {
				f.add(Codecs, line(e.line), "%q is no full RFC 6381 codec", c)
			}
			v.Codecs = append(v.Codecs, c)
		}
	}
	return v
}

func rendition(f *Findings, e *entry) Rendition {
	r := Rendition{Type: e.attrs["TYPE"], Group: e.attrs["GROUP-ID"], Name: e.attrs["NAME"],
		URI: e.attrs["URI"], Default: e.attrs["DEFAULT"] == "YES"}
	refuse := func(why string) { f.add(RenditionAttribute, line(e.line), "%s", why) }
	if r.Type == "CLOSED-CAPTIONS" && (r.URI != "" || e.attrs["INSTREAM-ID"] == "") {
		refuse("CLOSED-CAPTIONS has INSTREAM-ID and no URI")
	}
	if r.Type != "CLOSED-CAPTIONS" && e.attrs["INSTREAM-ID"] != "" {
		refuse("INSTREAM-ID belongs to CLOSED-CAPTIONS")
	}
	if r.Type == "SUBTITLES" && r.URI == "" {
		refuse("SUBTITLES needs a URI")
	}
	if e.attrs["FORCED"] != "" && r.Type != "SUBTITLES" {
		refuse("FORCED belongs to SUBTITLES")
	}
	if r.Default && e.attrs["AUTOSELECT"] == "NO" {
		refuse("DEFAULT=YES with AUTOSELECT=NO")
	}
	return r
}

// groups holds renditions to one another and variants to their groups.
func (m *Master) groups(f *Findings) {
	type key struct{ kind, group, name string }
	names, defaults := map[key]bool{}, map[key]bool{}
	for _, r := range m.Rendition {
		k := key{r.Type, r.Group, r.Name}
		if names[k] {
			f.add(GroupNames, "playlist", "two renditions %q in group %q", r.Name, r.Group)
		}
		names[k] = true
		if k.name = ""; r.Default {
			if defaults[k] {
				f.add(GroupDefault, "playlist", "two defaults in group %q", r.Group)
			}
			defaults[k] = true
		}
	}
	for _, v := range m.Variants {
		if v.Audio != "" &&
			!slices.ContainsFunc(m.Rendition,
				func(r Rendition) bool { return r.Type == "AUDIO" && r.Group == v.Audio }) {
			f.add(GroupMissing, "playlist", "AUDIO=%q has no EXT-X-MEDIA", v.Audio)
		}
	}
}

// CheckCodecs holds CODECS to what the media of a variant and its renditions are; have comes from
// their initialization sections or transport streams.
func CheckCodecs(v *Variant, have []string) (f Findings) {
	a, b := slices.Sorted(slices.Values(v.Codecs)), slices.Sorted(slices.Values(have))
	if !slices.Equal(a, b) {
		f.add(CodecsMatch, "variant", "CODECS says %q, the media are %q", v.Codecs, have)
	}
	return f
}

// Piece is one segment's time and size, for the bit rates.
type Piece struct {
	Duration time.Duration
	Bytes    int64
}

// PeakAndAverage returns the peak segment bit rate and the average segment bit rate of a playlist
// (RFC 8216 section 4.1): the peak is that of any contiguous segments that together last between
// half and one and a half target durations.
func PeakAndAverage(pieces []Piece, target time.Duration) (peak, average int64) {
	var bytes int64
	var length time.Duration
	rate := func(bytes int64, d time.Duration) int64 {
		return int64(float64(bytes) * 8 / d.Seconds())
	}
	for i := range pieces {
		bytes, length = bytes+pieces[i].Bytes, length+pieces[i].Duration
		var b int64
		var d time.Duration
		for _, p := range pieces[i:] {
			b, d = b+p.Bytes, d+p.Duration
			if d > target*3/2 {
				break
			}
			if d >= target/2 {
				peak = max(peak, rate(b, d))
			}
		}
	}
	if length > 0 {
		average = rate(bytes, length)
	}
	return peak, average
}

// CheckBandwidth holds BANDWIDTH and AVERAGE-BANDWIDTH to the measured rates: neither may be below,
// for a variant all of whose segments exist.
func CheckBandwidth(v *Variant, peak, average int64) (f Findings) {
	if v.Bandwidth < peak {
		f.add(BandwidthLow, "variant", "BANDWIDTH %d, measured peak %d", v.Bandwidth, peak)
	}
	if v.AverageBandwidth > 0 && v.AverageBandwidth < average {
		f.add(AverageLow, "variant", "AVERAGE-BANDWIDTH %d, measured %d", v.AverageBandwidth,
			average)
	}
	return f
}

// CheckPicture holds RESOLUTION and FRAME-RATE to the media: width and height in pixels, rate in
// frames per second as measured over segments, which may differ by a twentieth from what one
// segment shows.
func CheckPicture(v *Variant, width, height int, rate float64) (f Findings) {
	if have := fmt.Sprintf("%dx%d", width, height); v.Resolution != "" && v.Resolution != have {
		f.add(Resolution, "variant", "RESOLUTION=%s, the media are %s", v.Resolution, have)
	}
	if v.FrameRate == "" {
		return f
	}
	said, err := strconv.ParseFloat(v.FrameRate, 64)
	_, decimals, _ := strings.Cut(v.FrameRate, ".")
	if err != nil || len(decimals) > 3 || math.Abs(said-rate) > rate/20 {
		f.add(FrameRate, "variant", "FRAME-RATE=%s, the media have %.3f", v.FrameRate, rate)
	}
	return f
}
