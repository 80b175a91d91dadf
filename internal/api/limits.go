package api

import "time"

// Limits that no flag sets; package quota has the others. The keys of docs/reference/README.md,
// "Sources", name where they come from; "Weir" marks our own, with the reason. Packages below this
// one have their own limits (codec private data in mkv, the buffer of streams without retention in
// store).
const (
	// PutMedia.
	MaxFragmentBytes = 50_000_000 // QUOTA: fragment size 50 MB; ack error 4001 beyond
	// QUOTA: fragment duration (10 s in DG20); ack error 4002 beyond
	MaxFragmentDuration = 20 * time.Second
	// Weir: wall clock; 20 s of media and a pause of PutMediaIdle, at any rate
	MaxFragmentPatience = 110 * time.Second
	// Weir: bytes a second of a fragment that takes longer; ack error 4002 below
	MinFragmentRate = 64 << 10
	// Weir: wall clock of a fragment at any rate; 50 MB at 170 kB/s; ack error 4002 beyond
	MaxFragmentTime = 5 * time.Minute
	MaxTracks       = 3 // QUOTA: tracks per stream; ack error 4012 beyond
	// QUOTA: metadata items per fragment; ack error 4009 beyond
	MaxFragmentTags = 10
	// QUOTA, PIC MKV_MAX_TAG_NAME_LEN: bytes of a metadata name
	MaxFragmentTagName = 128
	// QUOTA, PIC MKV_MAX_TAG_VALUE_LEN: bytes of a metadata value
	MaxFragmentTagValue = 256
	// QUOTA: life of a connection; ack error 4003 beyond; producers renew after 40 minutes (PIC)
	MaxPutMediaConnection = 45 * time.Minute
	// Weir: without data; DG20 says 30 s, but producers pause for 36 s
	// (docs/reference/producers.md, "Reconnecting")
	PutMediaIdle = 90 * time.Second
	// Weir: of a producer timestamp before our clock; ack error 4007 beyond, see below
	MaxProducerAhead        = 24 * time.Hour
	MaxAckBytes             = 1024 // PIC AckParser: a longer HTTP chunk is refused whole
	MaxFragmentNumberLength = 128  // M-AM FragmentNumberString; PIC parser

	// Control plane.
	MaxStreamTags           = 50     // M-KV ResourceTags, TagsPerResourceExceededLimitException
	MaxTagKey               = 128    // M-KV TagKey, characters
	MaxTagValue             = 256    // M-KV TagValue, characters
	MaxStreamName           = 256    // M-KV StreamName
	MaxDeviceName           = 128    // M-KV DeviceName
	MaxMediaType            = 128    // M-KV MediaType
	MaxKmsKeyID             = 2048   // M-KV KmsKeyId
	MaxARN                  = 1024   // M-KV ResourceARN
	MaxVersion              = 64     // M-KV Version
	MaxRetentionHours       = 87_600 // M-KV CreateStream text: ten years
	MaxListStreams          = 10_000 // M-KV ListStreamsInputLimit, also the default
	DefaultListStreams      = 10_000 // M-KV ListStreams text
	MaxListStreamsNextToken = 1024   // M-KV NextToken
	// Weir: a JSON body; the largest legal one (50 tags of 384 characters) stays below 128 KiB
	MaxBodyBytes = 256 << 10

	// Access control. Sources: IAM user guide, "IAM and AWS STS quotas".
	MaxUsers         = 5000
	MaxKeysPerUser   = 2
	MaxPolicies      = 1500
	MaxRoles         = 1000
	MaxAttached      = 10        // policies of a user, role or camera
	MaxPrincipalTags = 50        // likewise, tags
	MaxUserName      = 64        // characters; of a role too
	MaxPolicyName    = 128       // characters
	MaxDescription   = 1000      // characters
	MinRoleSession   = time.Hour // a role's maximum session duration
	MaxRoleSession   = 12 * time.Hour
	// Weir: of a list of the administration API, and of what SimulatePolicy is asked at once
	MaxAdministrationPage = 1000
	MaxSimulated          = 10
	// Weir: what the console asks for at once
	MaxStatusStreams       = 100
	MaxTaggedFragments     = MaxListFragments // checked for tags within TaggedFragmentsTime
	TaggedFragmentsTime    = time.Second
	MaxPermissionQuestions = 100
	MaxStatusMinutes       = 24 * 60
	MaxSignInCodeSeconds   = 3600
	// Weir: characters with white space; the quota of package policy counts them without
	MaxPolicyText = 64 << 10
	MaxCameras    = 10_000 // Weir: each takes a kilobyte of memory
	MaxThingName  = 128    // PIC MAX_IOT_THING_NAME_LEN

	// Temporary credentials. Sources: STS API reference, "AssumeRole" and "GetSessionToken".
	MaxFormBytes           = 64 << 10 // Weir: a call of STS; a web identity token has 20,000
	MaxSessionToken        = 2048     // characters; PROD-C Include.h
	MinTemporary           = 15 * time.Minute
	MaxUserSession         = 36 * time.Hour // of GetSessionToken
	DefaultUserSession     = 12 * time.Hour
	MaxRootSession         = time.Hour
	DefaultRoleSession     = time.Hour
	MaxChainedSession      = time.Hour // IAM user guide, "Roles terms and concepts", role chaining
	MinRoleARN, MaxRoleARN = 20, 2048
	MaxExternalID          = 1224
	// STS API reference, "AssumeRoleWithWebIdentity"; IAM API reference,
	// "CreateOpenIDConnectProvider"
	MaxWebIdentityToken = 20_000
	MaxSubject          = 255
	MaxIssuer           = 255
	MaxClientIDs        = 100
	MaxClientID         = 255
	MaxProviders        = 100
	MaxProviderKeys     = 100       // Weir
	MaxProviderAnswer   = 256 << 10 // Weir: bytes of a set of keys, or of a configuration

	// Certificates of cameras. Weir's own, unless a source is named.
	MaxCertificateRequest      = 16 << 10 // bytes of PEM; one for RSA 4096 has 1.7 KB
	MaxCertificateChain        = 8        // certificates that a client sends
	MaxCameraCertificates      = 5        // accepted ones of a camera at a time
	MaxRevoked                 = 100      // likewise, that are refused
	MaxCameraRoles             = 10       // of a camera, besides its own
	DefaultCertificateLifetime = 365 * 24 * time.Hour
	MinCertificateLifetime     = 24 * time.Hour
	MaxCertificateLifetime     = 3650 * 24 * time.Hour
	CertificateWarning         = 30 * 24 * time.Hour // before the end; it is logged

	// Connections and requests that are not verified yet.

	// Weir: the header section of a request, as large as nginx takes by default; SigV4 with a long
	// session token stays below 8 KiB
	MaxHeaderBytes = 32 << 10
	// Weir: of a request, not counted in the budgets below; net/http has a buffer of this size for
	// each connection anyway
	FreeUnverifiedBytes = 4 << 10
	// Weir: of all requests together that are not verified yet
	MaxUnverifiedBytes = 16 << 20
	// Weir: the same for one address, except this machine's own, so that one stranger cannot take
	// all
	MaxUnverifiedBytesPerAddress = 4 << 20

	// The listener for players, whose requests are short and have no bodies.

	// Weir: the header section of a request of a player: a session URL, and a cookie or two of the
	// same host
	MaxPlayerHeaderBytes = 16 << 10
	// RFC 9113 section 6.5.2: no fewer than 100 streams of a connection are recommended; a player
	// uses ten at most
	MaxPlayerStreams = 100
	// Weir: what a request over HTTP/2 takes besides its header section, from the budgets above, if
	// a stranger has more than one at a time: a goroutine, its writer and its maps
	StreamBytes = 16 << 10

	// Fragments.
	MaxListFragments     = 1000 // M-AM ListFragmentsMaxResults, also the default
	MaxArchivedNextToken = 4096 // M-AM NextToken
	MaxFragmentList      = 1000 // M-AM FragmentNumberList
	MaxContentType       = 128  // M-AM ContentType, of answers
	MaxContinuationToken = 128  // M-MD ContinuationToken

	// Playback.
	MinExpires             = 300    // M-AM Expires, seconds
	MaxExpires             = 43_200 // M-AM Expires, seconds
	DefaultExpires         = 300    // M-AM GetHLSStreamingSessionURL text
	MinMaxFragmentResults  = 1      // M-AM HLSMaxResults
	MaxMaxFragmentResults  = 5000   // M-AM HLSMaxResults (1000 in CLI18)
	DefaultLiveResults     = 5      // M-AM: LIVE and LIVE_REPLAY
	DefaultOnDemandResults = 1000   // M-AM: ON_DEMAND
	// M-AM HLSTimestampRange: End within 24 hours of Start
	MaxSelectorRange = 24 * time.Hour
	// Weir: fragments of a clip, 24 hours of three a second; the service has 200 (M-AM GetClip;
	// --clip-max-fragments). Each takes about 120 bytes while the clip is made.
	MaxClipFragments = 260_000
	// Weir: requests of a session that wait for low-latency playlists and parts: a player has four,
	// and some may be left from an earlier connection
	DefaultWaitingRequests = 64
	// Weir: players that may share a session, set with --viewers-per-session; one by default
	MaxViewers = 100_000
	// Weir: how many seconds' worth of playlists may be requested at once
	RateBurstSeconds = 5
	// Weir: how often everything in a playlist may be fetched at once, besides a second's worth
	FragmentReadsBurst = 4
	// TRACK page: codec private data changes in one HLS session
	MaxCodecPrivateDataChanges = 500
	// M-AM: a LIVE session begins with a fragment of the last 30 s
	LiveFreshness          = 30 * time.Second
	DiscontinuityTolerance = 50 * time.Millisecond // M-AM HLSDiscontinuityMode ON_DISCONTINUITY

	MaxDestinationURI = 255 // M-KV DestinationUri

	// Images.
	MaxImagesRange   = 300 * time.Second // M-AM GetImages EndTimestamp text
	MaxImagesPage    = 25                // M-AM GetImages MaxResults text
	MaxImagesResults = 100               // M-AM GetImagesMaxResults
	// M-AM SamplingInterval text, milliseconds
	MinSamplingInterval = 200
	// Weir: the model has no default; this was the service's first minimum; milliseconds
	DefaultSamplingInterval = 3000
	DefaultJPEGQuality      = 80   // M-AM FormatConfig text
	MaxJPEGQuality          = 100  // M-AM FormatConfig text
	MaxImageWidth           = 3840 // M-AM WidthPixels
	MaxImageHeight          = 2160 // M-AM HeightPixels
)

// About MaxProducerAhead: the service refuses what is "far in the future" without saying how far. A
// day admits every wrong time zone, and catches wrong units and broken clocks, which would
// otherwise be at the live edge of the stream for as long as they are wrong.
