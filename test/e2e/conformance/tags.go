package conformance

// place says where a tag may stand.
type place uint8

const (
	anywhere       place = iota // media and master playlists
	mediaHeader                 // applies to a media playlist as a whole; at most once
	beforeSegments              // as mediaHeader, and before the first segment
	mediaSegment                // applies to the next segment, or to all that follow
	mediaMetadata               // a media playlist, any number of times
	master                      // master playlists only
)

// form says what follows a tag's name.
type form uint8

const (
	noValue form = iota
	integer      // decimal-integer
	list         // attribute-list
	other        // checked by the code that reads the tag
)

// kind is the type of an attribute's value (RFC 8216 section 4.2).
type kind uint8

const (
	decimal kind = iota
	hexadecimal
	float
	signedFloat
	quoted
	enumerated
	resolution
	anyKind // client-defined: quoted, hexadecimal or float
)

type attribute struct {
	kind     kind
	required bool
	values   []string // of enumerated; nil for any
}

type tag struct {
	place      place
	form       form
	once       bool
	attributes map[string]attribute
}

func need(k kind, values ...string) attribute {
	return attribute{kind: k, required: true, values: values}
}
func allow(k kind, values ...string) attribute { return attribute{kind: k, values: values} }

// tagTable returns the tags of RFC 8216 section 4.3 and of the second edition's section 4.4.
func tagTable() map[string]tag {
	yesNo := []string{"YES", "NO"}
	key := map[string]attribute{
		"METHOD": need(enumerated, "NONE", "AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR"),
		"URI":    allow(quoted), "IV": allow(hexadecimal),
		"KEYFORMAT": allow(quoted), "KEYFORMATVERSIONS": allow(quoted),
	}
	variant := map[string]attribute{
		"BANDWIDTH": need(decimal), "AVERAGE-BANDWIDTH": allow(decimal), "SCORE": allow(float),
		"CODECS":              allow(quoted),
		"SUPPLEMENTAL-CODECS": allow(quoted), "RESOLUTION": allow(resolution),
		"HDCP-LEVEL":  allow(enumerated, "TYPE-0", "TYPE-1", "NONE"),
		"ALLOWED-CPC": allow(quoted), "VIDEO-RANGE": allow(enumerated, "SDR", "HLG", "PQ"),
		"REQ-VIDEO-LAYOUT":  allow(quoted),
		"STABLE-VARIANT-ID": allow(quoted), "VIDEO": allow(quoted), "PATHWAY-ID": allow(quoted),
		"PROGRAM-ID": allow(decimal),
	}
	full := map[string]attribute{
		"FRAME-RATE": allow(float), "AUDIO": allow(quoted), "SUBTITLES": allow(quoted),
		"CLOSED-CAPTIONS": allow(anyKind),
	}
	trick := map[string]attribute{"URI": need(quoted)}
	for name, a := range variant {
		full[name], trick[name] = a, a
	}
	return map[string]tag{
		"EXTM3U":                     {place: anywhere, once: true},
		"EXT-X-VERSION":              {place: anywhere, form: integer, once: true},
		"EXT-X-INDEPENDENT-SEGMENTS": {place: anywhere, once: true},
		"EXT-X-START": {place: anywhere, form: list, once: true,
			attributes: map[string]attribute{"TIME-OFFSET": need(signedFloat),
				"PRECISE": allow(enumerated, yesNo...)}},
		"EXT-X-DEFINE": {place: anywhere, form: list,
			attributes: map[string]attribute{"NAME": allow(quoted), "VALUE": allow(quoted),
				"IMPORT": allow(quoted), "QUERYPARAM": allow(quoted)}},
		"EXT-X-TARGETDURATION":         {place: mediaHeader, form: integer, once: true},
		"EXT-X-MEDIA-SEQUENCE":         {place: beforeSegments, form: integer, once: true},
		"EXT-X-DISCONTINUITY-SEQUENCE": {place: beforeSegments, form: integer, once: true},
		"EXT-X-ENDLIST":                {place: mediaHeader, once: true},
		"EXT-X-PLAYLIST-TYPE":          {place: mediaHeader, form: other, once: true},
		"EXT-X-I-FRAMES-ONLY":          {place: mediaHeader, once: true},
		"EXT-X-PART-INF": {place: mediaHeader, form: list, once: true,
			attributes: map[string]attribute{"PART-TARGET": need(float)}},
		"EXT-X-SERVER-CONTROL": {place: mediaHeader, form: list, once: true,
			attributes: map[string]attribute{"CAN-SKIP-UNTIL": allow(float),
				"CAN-SKIP-DATERANGES": allow(enumerated, "YES"), "HOLD-BACK": allow(float),
				"PART-HOLD-BACK": allow(float), "CAN-BLOCK-RELOAD": allow(enumerated, "YES")}},
		"EXTINF":              {place: mediaSegment, form: other},
		"EXT-X-BYTERANGE":     {place: mediaSegment, form: other},
		"EXT-X-DISCONTINUITY": {place: mediaSegment},
		"EXT-X-KEY":           {place: mediaSegment, form: list, attributes: key},
		"EXT-X-MAP": {place: mediaSegment, form: list,
			attributes: map[string]attribute{"URI": need(quoted), "BYTERANGE": allow(quoted)}},
		"EXT-X-PROGRAM-DATE-TIME": {place: mediaSegment, form: other},
		"EXT-X-GAP":               {place: mediaSegment},
		"EXT-X-BITRATE":           {place: mediaSegment, form: integer},
		"EXT-X-PART": {place: mediaSegment, form: list,
			attributes: map[string]attribute{"URI": need(quoted), "DURATION": need(float),
				"INDEPENDENT": allow(enumerated, "YES"), "BYTERANGE": allow(quoted),
				"GAP": allow(enumerated, "YES")}},
		"EXT-X-DATERANGE": {place: mediaMetadata, form: list,
			attributes: map[string]attribute{"ID": need(quoted), "CLASS": allow(quoted),
				"START-DATE": allow(quoted), "CUE": allow(quoted), "END-DATE": allow(quoted),
				"DURATION": allow(float), "PLANNED-DURATION": allow(float),
				"SCTE35-CMD": allow(hexadecimal), "SCTE35-OUT": allow(hexadecimal),
				"SCTE35-IN": allow(hexadecimal), "END-ON-NEXT": allow(enumerated, "YES")}},
		"EXT-X-SKIP": {place: mediaMetadata, form: list, once: true,
			attributes: map[string]attribute{"SKIPPED-SEGMENTS": need(decimal),
				"RECENTLY-REMOVED-DATERANGES": allow(quoted)}},
		"EXT-X-PRELOAD-HINT": {place: mediaMetadata, form: list,
			attributes: map[string]attribute{"TYPE": need(enumerated, "PART", "MAP"),
				"URI":             need(quoted),
				"BYTERANGE-START": allow(decimal), "BYTERANGE-LENGTH": allow(decimal)}},
		"EXT-X-RENDITION-REPORT": {place: mediaMetadata, form: list,
			attributes: map[string]attribute{"URI": need(quoted), "LAST-MSN": allow(decimal),
				"LAST-PART": allow(decimal)}},
		"EXT-X-MEDIA": {place: master, form: list,
			attributes: map[string]attribute{
				"TYPE": need(enumerated, "AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"),
				"URI":  allow(quoted), "GROUP-ID": need(quoted), "LANGUAGE": allow(quoted),
				"ASSOC-LANGUAGE": allow(quoted), "NAME": need(quoted),
				"STABLE-RENDITION-ID": allow(quoted), "DEFAULT": allow(enumerated, yesNo...),
				"AUTOSELECT": allow(enumerated, yesNo...),
				"FORCED":     allow(enumerated, yesNo...), "INSTREAM-ID": allow(quoted),
				"BIT-DEPTH": allow(decimal), "SAMPLE-RATE": allow(decimal),
				"CHARACTERISTICS": allow(quoted), "CHANNELS": allow(quoted)}},
		"EXT-X-STREAM-INF":         {place: master, form: list, attributes: full},
		"EXT-X-I-FRAME-STREAM-INF": {place: master, form: list, attributes: trick},
		"EXT-X-SESSION-DATA": {place: master, form: list,
			attributes: map[string]attribute{"DATA-ID": need(quoted), "VALUE": allow(quoted),
				"URI":    allow(quoted),
				"FORMAT": allow(enumerated, "JSON", "RAW"), "LANGUAGE": allow(quoted)}},
		"EXT-X-SESSION-KEY": {place: master, form: list, attributes: key},
		"EXT-X-CONTENT-STEERING": {place: master, form: list, once: true,
			attributes: map[string]attribute{"SERVER-URI": need(quoted),
				"PATHWAY-ID": allow(quoted)}},
	}
}
