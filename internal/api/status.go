package api

// Values of StreamStatus.State.
const (
	StateReceiving = "RECEIVING" // fragments come in
	StateSilent    = "SILENT"    // there are fragments, but none comes in
	StateNoData    = "NO_DATA"   // there are none within retention
)

// Values of TrackStatus.Kind.
const (
	KindVideoTrack = "VIDEO"
	KindAudioTrack = "AUDIO"
	KindOtherTrack = "OTHER"
)

// GetStreamStatusInput is the body of /weir/getStreamStatus.
type GetStreamStatusInput struct {
	given
	StreamNames []string `json:"StreamNames,omitempty"` // required
}

// GetStreamStatusOutput answers /weir/getStreamStatus. Streams that do not exist, or that the
// caller may not ask about, are left out.
type GetStreamStatusOutput struct {
	StreamStatusList []StreamStatus `json:"StreamStatusList"`
}

// StreamStatus is what a stream holds, and whether it is receiving.
type StreamStatus struct {
	StreamName         string        `json:"StreamName"`
	StreamARN          string        `json:"StreamARN"`
	State              string        `json:"State"`
	FirstFragmentTime  *Timestamp    `json:"FirstFragmentTime"` // producer's clock; null: none
	LastFragmentTime   *Timestamp    `json:"LastFragmentTime"`  // producer's clock: its end
	LastReceivedTime   *Timestamp    `json:"LastReceivedTime"`  // server's clock: its end
	LastFragmentNumber *string       `json:"LastFragmentNumber"`
	Tracks             []TrackStatus `json:"Tracks"`           // of the last fragment
	BitRate            *int64        `json:"BitRate"`          // bits a second, of the last fragments
	StoredBytes        *int64        `json:"StoredBytes"`      // null: the store does not know
	StoredBytesLimit   *int64        `json:"StoredBytesLimit"` // null: none
	// DiskFull when the last fragment was refused by a limit of stored bytes, its own or its
	// creator's
	StorageState         string            `json:"StorageState"`
	DataRetentionInHours int               `json:"DataRetentionInHours"`
	Tags                 map[string]string `json:"Tags"`
}

// TrackStatus is one track of a stream's last fragment.
type TrackStatus struct {
	TrackNumber  int    `json:"TrackNumber"`
	Kind         string `json:"Kind"`
	Codec        string `json:"Codec"` // RFC 6381 name, else Matroska's codec ID
	Width        int    `json:"Width"` // pixels; 0 if it is not video, or unknown
	Height       int    `json:"Height"`
	SamplingRate int    `json:"SamplingRate"` // Hz; 0 if it is not audio, or unknown
	Channels     int    `json:"Channels"`
}

// ListFragmentTagsInput is the body of /weir/listFragmentTags. It selects fragments like
// ListFragments.
type ListFragmentTagsInput struct {
	given
	StreamRef
	// 1 to MaxTaggedFragments fragments to check; absent: that many, or as in the token
	MaxResults int `json:"MaxResults,omitempty"`
	// from the answer before; alone it names the rest of its fragments
	NextToken string `json:"NextToken,omitempty"`
	// required without NextToken, ignored with one
	FragmentSelector *FragmentSelector `json:"FragmentSelector,omitempty"`
}

func (in *ListFragmentTagsInput) rules() error {
	list := ListFragmentsInput{StreamRef: in.StreamRef, NextToken: in.NextToken,
		FragmentSelector: in.FragmentSelector}
	return list.rules()
}

// ListFragmentTagsOutput answers /weir/listFragmentTags: those of the checked fragments that have
// tags. An answer without any may still have a token, because more fragments follow.
type ListFragmentTagsOutput struct {
	FragmentTags []FragmentTags `json:"FragmentTags"` // never nil; ascending numbers
	NextToken    *string        `json:"NextToken"`    // null on the last page
}

// FragmentTags are the tags that a producer sent with a fragment. GetMedia sends them with it, too.
type FragmentTags struct {
	FragmentNumber    string        `json:"FragmentNumber"`
	ProducerTimestamp Timestamp     `json:"ProducerTimestamp"`
	ServerTimestamp   Timestamp     `json:"ServerTimestamp"`
	Tags              []FragmentTag `json:"Tags"` // in the order received
}

// FragmentTag is one of them, a SimpleTag of Matroska (RFC 9559, section 5.1.8.1.2).
type FragmentTag struct {
	Name  string `json:"Name"`
	Value string `json:"Value"`
}

// GetServerStatusInput is the body of /weir/getServerStatus.
type GetServerStatusInput struct {
	given
	Minutes int `json:"Minutes,omitempty"`
}

// DefaultStatusMinutes is how far back GetServerStatus reports by default.
const DefaultStatusMinutes = 60

// GetServerStatusOutput answers /weir/getServerStatus.
type GetServerStatusOutput struct {
	Version     string    `json:"Version"`
	CurrentTime Timestamp `json:"CurrentTime"`
	StartTime   Timestamp `json:"StartTime"`
	// of the data directory's file system; null: the store has none
	Disk *DiskStatus `json:"Disk"`
	// of the listener that the call came to; null: it has none
	CertificateEndTime *Timestamp `json:"CertificateEndTime"`
	// one a minute, oldest first
	Samples []ServerSample `json:"Samples"`
}

// Values of DiskStatus.State.
const (
	DiskWritable = "WRITABLE"
	DiskFull     = "FULL" // fragments are refused for want of space
)

// DiskStatus is how full the disk is.
type DiskStatus struct {
	FreeBytes  int64  `json:"FreeBytes"`
	TotalBytes int64  `json:"TotalBytes"`
	State      string `json:"State"`
	// when it will be full at the rate of the samples; null: not in sight
	FullTime *Timestamp `json:"FullTime"`
}

// ServerSample is what was done in the minute up to a moment, and what there was at that moment.
type ServerSample struct {
	Time            Timestamp `json:"Time"`
	IngestBytes     int64     `json:"IngestBytes"` // payload stored
	IngestFragments int64     `json:"IngestFragments"`
	SentBytes       int64     `json:"SentBytes"`     // of all answers
	Producers       int64     `json:"Producers"`     // connections of PutMedia
	StoreMicros     int64     `json:"StoreMicros"`   // average time to make a fragment durable
	LatencyMicros   int64     `json:"LatencyMicros"` // time from a frame's arrival to a follower
	FreeBytes       int64     `json:"FreeBytes"`
}

// GetPermissionsInput is the body of /weir/getPermissions.
type GetPermissionsInput struct {
	given
	Questions []PermissionQuestion `json:"Questions,omitempty"` // required
}

// PermissionQuestion asks whether the caller may do an action on a resource.
type PermissionQuestion struct {
	ActionName  string `json:"ActionName,omitempty"`  // required
	ResourceARN string `json:"ResourceARN,omitempty"` // required
}

// GetPermissionsOutput answers /weir/getPermissions, in the order of the questions.
type GetPermissionsOutput struct {
	Permissions []Permission `json:"Permissions"`
}

// Permission says whether the caller may do an action on a resource, as far as the request in which
// it asks shows: conditions on tags that a call would set are not met.
type Permission struct {
	ActionName  string `json:"ActionName"`
	ResourceARN string `json:"ResourceARN"`
	Decision    string `json:"Decision"` // DecisionAllowed or DecisionDenied
}

// CreateSignInCodeInput is the body of /weir/createSignInCode: temporary credentials of the caller.
type CreateSignInCodeInput struct {
	given
	AccessKeyId     string     `json:"AccessKeyId,omitempty"`     // required
	SecretAccessKey string     `json:"SecretAccessKey,omitempty"` // required
	SessionToken    string     `json:"SessionToken,omitempty"`    // required
	Expiration      *Timestamp `json:"Expiration,omitempty"`      // required
	DurationSeconds int        `json:"DurationSeconds,omitempty"`
}

// CreateSignInCodeOutput answers /weir/createSignInCode.
type CreateSignInCodeOutput struct {
	Code           string    `json:"Code"`
	ExpirationTime Timestamp `json:"ExpirationTime"` // of the code
}
