package api

import "time"

// Limits of the service that Weir keeps. Sources: QUOTA is the developer guide's page "Kinesis Video Streams service quotas"
// (limits.md); M-KV, M-AM and M-MD are the service models; DG20 is the developer guide of May 2020; SEED is the AWS CLI page of
// get-hls-streaming-session-url of 2018; PIC is the producers' C core; "Weir" marks our own, with the reason.
// What packages below this one hold to (codec private data in mkv, the buffer of streams without retention in store) is told there.
const (
	// PutMedia.
	MaxFragmentBytes        = 50_000_000       // QUOTA: fragment size 50 MB; ack error 4001 beyond
	MaxFragmentDuration     = 20 * time.Second // QUOTA: fragment duration (10 s in DG20); ack error 4002 beyond
	MaxTracks               = 3                // QUOTA: tracks per stream; ack error 4012 beyond
	MaxFragmentTags         = 10               // QUOTA: metadata items per fragment; ack error 4009 beyond
	MaxFragmentTagName      = 128              // QUOTA, PIC MKV_MAX_TAG_NAME_LEN: bytes of a metadata name
	MaxFragmentTagValue     = 256              // QUOTA, PIC MKV_MAX_TAG_VALUE_LEN: bytes of a metadata value
	MaxPutMediaConnection   = 45 * time.Minute // QUOTA: life of a connection; producers renew after 40 minutes (PIC)
	MaxAckBytes             = 1024             // PIC AckParser: a longer HTTP chunk is refused whole
	MaxFragmentNumberLength = 128              // M-AM FragmentNumberString; PIC parser

	// Control plane.
	MaxStreamTags           = 50      // M-KV ResourceTags, TagsPerResourceExceededLimitException
	MaxTagKey               = 128     // M-KV TagKey, characters
	MaxTagValue             = 256     // M-KV TagValue, characters
	MaxStreamName           = 256     // M-KV StreamName
	MaxDeviceName           = 128     // M-KV DeviceName
	MaxMediaType            = 128     // M-KV MediaType
	MaxKmsKeyID             = 2048    // M-KV KmsKeyId
	MaxARN                  = 1024    // M-KV ResourceARN
	MaxVersion              = 64      // M-KV Version
	MaxRetentionHours       = 87_600  // M-KV CreateStream text: ten years
	MaxListStreams          = 10_000  // M-KV ListStreamsInputLimit, also the default
	DefaultListStreams      = 10_000  // M-KV ListStreams text
	MaxListStreamsNextToken = 1024    // M-KV NextToken
	MaxBodyBytes            = 1 << 20 // Weir: a JSON body; the largest legal one (50 tags of 384 characters) stays below 128 KiB

	// Playback.
	MinExpires              = 300                   // M-AM Expires, seconds
	MaxExpires              = 43_200                // M-AM Expires, seconds
	DefaultExpires          = 300                   // M-AM GetHLSStreamingSessionURL text
	MinMaxFragmentResults   = 1                     // M-AM HLSMaxResults
	MaxMaxFragmentResults   = 5000                  // M-AM HLSMaxResults (1000 in SEED)
	DefaultLiveResults      = 5                     // M-AM: LIVE and LIVE_REPLAY
	DefaultOnDemandResults  = 1000                  // M-AM: ON_DEMAND
	MaxSelectorRange        = 24 * time.Hour        // M-AM HLSTimestampRange: End within 24 hours of Start
	MaxSessionsPerStream    = 5                     // SEED: HLS sessions; the sixth closes the oldest
	MaxSessionURLsPerSecond = 25                    // QUOTA: GetHLSStreamingSessionURL per stream
	LiveFreshness           = 30 * time.Second      // M-AM: LIVE needs a fragment of the last 30 s, at the start and in mid-session
	DiscontinuityTolerance  = 50 * time.Millisecond // M-AM HLSDiscontinuityMode ON_DISCONTINUITY
)

// Quotas that Weir does not enforce: they share a service among its customers, or bound its cost.
const (
	MaxCodecIDBytes            = 32         // QUOTA: codec ID of a track
	MaxPutMediaPerSecond       = 5          // QUOTA: PutMedia calls per stream and second
	MaxPutMediaBytesSecond     = 12_500_000 // QUOTA: bandwidth of PutMedia per stream, 100 Mbit/s
	MaxFragmentsPerSecond      = 5          // QUOTA: fragments per second and stream
	MaxStreams                 = 10_000     // QUOTA: streams per account
	MaxAccountCallsSecond      = 50         // QUOTA: most control calls, per account
	MaxStreamCallsSecond       = 5          // QUOTA: most control calls, per stream
	MaxDescribesSecond         = 300        // QUOTA: DescribeStream and GetDataEndpoint, per account
	MaxMasterPlaylistsSecond   = 5          // QUOTA: GetHLSMasterPlaylist and GetMP4InitFragment, per session
	MaxMediaPlaylistsSecond    = 5          // QUOTA: GetHLSMediaPlaylist, per session
	MaxMediaFragmentsSecond    = 20         // QUOTA: GetMP4MediaFragment and GetTSFragment, per session
	MaxMetadataPointsSecond    = 10_000     // QUOTA: fragment metadata points per stream; a media playlist costs its MaxMediaPlaylistFragmentResults
	MaxMediaPointsSecond       = 500        // QUOTA: fragment media points per stream; one media fragment costs 1
	MaxCodecPrivateDataChanges = 500        // TRACK page: codec private data changes in one HLS session
)
