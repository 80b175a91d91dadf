package playback

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// rfc checks reloads of one playlist against RFC 8216 section 6.2.
type rfc struct {
	t         *testing.T
	sequences map[string]int // URI → media sequence number
	discs     map[string]int // URI → discontinuity sequence number
	extinf    map[string]string
	byNumber  map[int]string    // media sequence number → URI
	maps      map[string]string // URI → EXT-X-MAP that applies to it
	ended     bool
	first     int
	last      int
	target    int
}

var (
	mediaSequence = regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)\n`)
	discSequence  = regexp.MustCompile(`#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)\n`)
	targetSeconds = regexp.MustCompile(`#EXT-X-TARGETDURATION:(\d+)\n`)
)

func newRFC(t *testing.T) *rfc {
	return &rfc{t: t, sequences: map[string]int{}, discs: map[string]int{},
		extinf: map[string]string{}, byNumber: map[int]string{}, maps: map[string]string{},
		last: -1}
}

func (r *rfc) number(re *regexp.Regexp, text string) int {
	if m := re.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}

func (r *rfc) reload(text string) {
	r.t.Helper()
	sequence, disc, target := r.number(mediaSequence, text), r.number(discSequence, text),
		r.number(targetSeconds, text)
	if sequence < r.first {
		r.t.Fatalf("media sequence went back from %d to %d", r.first, sequence)
	}
	if r.target != 0 && target != r.target {
		r.t.Fatalf("target duration went from %d to %d", r.target, target)
	}
	r.first, r.target = sequence, target
	var extinf, init string
	if r.ended && !strings.HasSuffix(text, "#EXT-X-ENDLIST\n") {
		r.t.Fatal("a playlist that had ended goes on")
	}
	r.ended = strings.HasSuffix(text, "#EXT-X-ENDLIST\n")
	for _, line := range strings.Split(text, "\n") {
		switch {
		case line == "#EXT-X-DISCONTINUITY":
			disc++
		case strings.HasPrefix(line, "#EXT-X-MAP:"):
			init = line
		case strings.HasPrefix(line, "#EXTINF:"):
			extinf = line
			seconds, err := strconv.ParseFloat(strings.TrimSuffix(line[8:], ","), 64)
			if err != nil || int(math.Floor(seconds+0.5)) > target {
				r.t.Fatalf("%s with target duration %d", line, target)
			}
		case line != "" && line[0] != '#':
			if was, ok := r.sequences[line]; ok &&
				(was != sequence || r.discs[line] != disc || r.extinf[line] != extinf) {
				r.t.Fatalf("segment changed from number %d, discontinuity %d, %s to %d, %d, %s",
					was, r.discs[line], r.extinf[line], sequence, disc, extinf)
			}
			if was, ok := r.byNumber[sequence]; ok && was != line {
				r.t.Fatalf("media sequence number %d names two segments", sequence)
			}
			if was, ok := r.maps[line]; ok && was != init {
				r.t.Fatalf("the init segment of a media segment changed from %s to %s", was, init)
			}
			r.maps[line] = init
			r.sequences[line], r.discs[line], r.extinf[line], r.byNumber[sequence] = sequence, disc,
				extinf, line
			sequence++
		}
	}
	if sequence-1 < r.last {
		r.t.Fatalf("the playlist ends at %d, it ended at %d before", sequence-1, r.last)
	}
	r.last = sequence - 1
}
