package mkv

import "fmt"

// Element IDs, with the marker bits, as RFC 8794 section 11 and RFC 9559 section 5 list them.
const (
	idEBML               = 0x1A45DFA3
	idEBMLReadVersion    = 0x42F7
	idEBMLMaxIDLength    = 0x42F2
	idEBMLMaxSizeLength  = 0x42F3
	idEBMLVersion        = 0x4286
	idDocType            = 0x4282
	idDocTypeVersion     = 0x4287
	idDocTypeReadVersion = 0x4285
	idVoid               = 0xEC
	idCRC32              = 0xBF

	idSegment = 0x18538067

	idInfo           = 0x1549A966
	idSegmentUUID    = 0x73A4
	idTimestampScale = 0x2AD7B1
	idTitle          = 0x7BA9
	idMuxingApp      = 0x4D80
	idWritingApp     = 0x5741

	idTracks              = 0x1654AE6B
	idTrackEntry          = 0xAE
	idTrackNumber         = 0xD7
	idTrackUID            = 0x73C5
	idTrackType           = 0x83
	idName                = 0x536E
	idCodecID             = 0x86
	idCodecPrivate        = 0x63A2
	idDefaultDuration     = 0x23E383
	idVideo               = 0xE0
	idPixelWidth          = 0xB0
	idPixelHeight         = 0xBA
	idAudio               = 0xE1
	idSamplingFrequency   = 0xB5
	idChannels            = 0x9F
	idContentEncodings    = 0x6D80
	idContentEncoding     = 0x6240
	idContentEncodingType = 0x5033
	idContentEncodingScop = 0x5032
	idContentCompression  = 0x5034
	idContentCompAlgo     = 0x4254
	idContentCompSettings = 0x4255

	idCluster        = 0x1F43B675
	idTimestamp      = 0xE7
	idSimpleBlock    = 0xA3
	idBlockGroup     = 0xA0
	idBlock          = 0xA1
	idBlockDuration  = 0x9B
	idReferenceBlock = 0xFB
	idDiscardPadding = 0x75A2
	idEncryptedBlock = 0xAF

	idTags             = 0x1254C367
	idTag              = 0x7373
	idTargets          = 0x63C0
	idTagTrackUID      = 0x63C5
	idTagEditionUID    = 0x63C9
	idTagChapterUID    = 0x63C4
	idTagAttachmentUID = 0x63C6
	idSimpleTag        = 0x67C8
	idTagName          = 0x45A3
	idTagString        = 0x4487
	idTagBinary        = 0x4485
)

// kind says how the reader handles an element.
type kind uint8

const (
	// a master whose children are read one by one; only such an element may have an unknown size
	streamed kind = iota + 1
	whole         // a master that is read into memory, then parsed
	number        // unsigned or signed integer, 0 to 8 bytes
	float         // 0, 4 or 8 bytes
	text          // string, ends at the first NUL
	opaque        // bytes
	block         // SimpleBlock or Block
	skipped       // known, not needed here
	refused       // known, and a reason to stop
)

// Values of element.parent that are not the ID of an element.
const (
	atTop    = 0 // level 0: beside the EBML header and the Segment
	anywhere = 1 // global elements
)

// Values of element.max that stand for one of the Limits.
const (
	byHeader = -1 - iota
	byCodecPrivate
	byFragment
	byTags
	byTagName
	byTagString
	bySkip
	noLimit
)

// element is a row of the table of elements that the reader knows. It skips any other element, of
// at most Limits.Skip bytes.
type element struct {
	id     uint32
	name   string
	kind   kind
	parent uint32 // ID, atTop or anywhere
	max    int64  // bytes, or one of the Limits
}

var elements = [...]element{
	{idVoid, "Void", skipped, anywhere, bySkip},
	{idCRC32, "CRC-32", skipped, anywhere, 4},

	{idEBML, "EBML", whole, atTop, 4 << 10},
	{idEBMLVersion, "EBMLVersion", number, idEBML, 8},
	{idEBMLReadVersion, "EBMLReadVersion", number, idEBML, 8},
	{idEBMLMaxIDLength, "EBMLMaxIDLength", number, idEBML, 8},
	{idEBMLMaxSizeLength, "EBMLMaxSizeLength", number, idEBML, 8},
	{idDocType, "DocType", text, idEBML, 64},
	{idDocTypeVersion, "DocTypeVersion", number, idEBML, 8},
	{idDocTypeReadVersion, "DocTypeReadVersion", number, idEBML, 8},

	{idSegment, "Segment", streamed, atTop, noLimit},
	{idSeekHead, "SeekHead", skipped, idSegment, bySkip},
	{idCues, "Cues", skipped, idSegment, bySkip},
	{0x1941A469, "Attachments", skipped, idSegment, bySkip},
	{0x1043A770, "Chapters", skipped, idSegment, bySkip},

	{idInfo, "Info", whole, idSegment, 64 << 10},
	{idSegmentUUID, "SegmentUUID", opaque, idInfo, 64},
	{idTimestampScale, "TimestampScale", number, idInfo, 8},

	{idTracks, "Tracks", whole, idSegment, byHeader},
	{idTrackEntry, "TrackEntry", whole, idTracks, byHeader},
	{idTrackNumber, "TrackNumber", number, idTrackEntry, 8},
	{idTrackType, "TrackType", number, idTrackEntry, 8},
	{idName, "Name", text, idTrackEntry, 1 << 10},
	{idCodecID, "CodecID", text, idTrackEntry, 256},
	{idCodecPrivate, "CodecPrivate", opaque, idTrackEntry, byCodecPrivate},
	{idDefaultDuration, "DefaultDuration", number, idTrackEntry, 8},
	{idVideo, "Video", whole, idTrackEntry, byHeader},
	{idPixelWidth, "PixelWidth", number, idVideo, 8},
	{idPixelHeight, "PixelHeight", number, idVideo, 8},
	{idAudio, "Audio", whole, idTrackEntry, byHeader},
	{idSamplingFrequency, "SamplingFrequency", float, idAudio, 8},
	{idChannels, "Channels", number, idAudio, 8},
	{idContentEncodings, "ContentEncodings", whole, idTrackEntry, 4 << 10},
	{idContentEncoding, "ContentEncoding", whole, idContentEncodings, 4 << 10},
	{idContentEncodingType, "ContentEncodingType", number, idContentEncoding, 8},
	{idContentEncodingScop, "ContentEncodingScope", number, idContentEncoding, 8},
	{idContentCompression, "ContentCompression", whole, idContentEncoding, 4 << 10},
	{idContentCompAlgo, "ContentCompAlgo", number, idContentCompression, 8},
	// a start code or ADTS header; small, because every frame grows by it
	{idContentCompSettings, "ContentCompSettings", opaque, idContentCompression, 16},

	// checkCluster holds its children to Limits.Fragment: by then its Timestamp is known
	{idCluster, "Cluster", streamed, idSegment, noLimit},
	{idTimestamp, "Timestamp", number, idCluster, 8},
	{0xA7, "Position", skipped, idCluster, 8},
	{0xAB, "PrevSize", skipped, idCluster, 8},
	{0x5854, "SilentTracks", skipped, idCluster, 4 << 10},
	{idSimpleBlock, "SimpleBlock", block, idCluster, byFragment},
	{idEncryptedBlock, "EncryptedBlock", refused, idCluster, noLimit},
	{idBlockGroup, "BlockGroup", whole, idCluster, byFragment},
	{idBlock, "Block", block, idBlockGroup, byFragment},
	{idBlockDuration, "BlockDuration", number, idBlockGroup, 8},
	{idReferenceBlock, "ReferenceBlock", number, idBlockGroup, 8},
	{idDiscardPadding, "DiscardPadding", number, idBlockGroup, 8},
	{0xFA, "ReferencePriority", skipped, idBlockGroup, 8},
	{0xA4, "CodecState", skipped, idBlockGroup, byFragment},
	{0x75A1, "BlockAdditions", skipped, idBlockGroup, byFragment},

	{idTags, "Tags", whole, idSegment, byTags},
	{idTag, "Tag", whole, idTags, byTags},
	{idTargets, "Targets", whole, idTag, byTags},
	{idTagTrackUID, "TagTrackUID", number, idTargets, 8},
	{idTagEditionUID, "TagEditionUID", number, idTargets, 8},
	{idTagChapterUID, "TagChapterUID", number, idTargets, 8},
	{idTagAttachmentUID, "TagAttachmentUID", number, idTargets, 8},
	{idSimpleTag, "SimpleTag", whole, idTag, byTags},
	{idTagName, "TagName", text, idSimpleTag, byTagName},
	{idTagString, "TagString", text, idSimpleTag, byTagString},
	{idTagBinary, "TagBinary", opaque, idSimpleTag, byTags},
}

// byID is read only.
var byID = func() map[uint32]*element {
	m := make(map[uint32]*element, len(elements))
	for i := range elements {
		m[elements[i].id] = &elements[i]
	}
	return m
}()

// limit returns how many bytes the element may have, or -1 for no limit. A nil e is an unknown
// element.
func (l *Limits) limit(e *element) int64 {
	if e == nil {
		return l.Skip
	}
	switch e.max {
	case byHeader:
		return l.Header
	case byCodecPrivate:
		return l.CodecPrivate
	case byFragment:
		return l.Fragment
	case byTags:
		return l.Tags
	case byTagName:
		return l.TagName
	case byTagString:
		return l.TagString
	case bySkip:
		return l.Skip
	case noLimit:
		return -1
	}
	return e.max
}

// nameOf returns the element's name, or its ID in hexadecimal.
func nameOf(id uint32) string {
	if e := byID[id]; e != nil {
		return e.name
	}
	return fmt.Sprintf("0x%X", id)
}

// pathOf returns the element's name after those of its parents. parent is where it was found, for
// an element that may stand anywhere or is unknown.
func pathOf(id, parent uint32) string {
	e := byID[id]
	if e != nil && e.parent != anywhere {
		parent = e.parent
	}
	if parent == atTop || parent == anywhere {
		return nameOf(id)
	}
	return pathOf(parent, atTop) + "/" + nameOf(id)
}

// errorKind returns the kind of Error for an element that is too large.
func errorKind(id uint32) ErrorKind {
	if id == idCluster {
		return FragmentSize
	}
	if e := byID[id]; e != nil {
		switch e.max {
		case byFragment:
			return FragmentSize
		case byTags, byTagName, byTagString:
			return Metadata
		}
	}
	return Invalid
}
