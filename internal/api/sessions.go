package api

// Values of SessionInfo.Protocol.
const (
	ProtocolHLS  = "HLS"
	ProtocolDASH = "DASH"
)

// Values of RotateTokenKeyInput.OlderKeys.
const (
	OlderKeysKeep   = "KEEP"
	OlderKeysRevoke = "REVOKE"
)

// DecisionDenied is AuditEvent.Decision for what was denied, besides DecisionAllowed.
const DecisionDenied = "denied"

// SessionInfo is an open playback session, without its token, which only its viewers know.
type SessionInfo struct {
	SessionId      string    `json:"SessionId"`
	StreamName     string    `json:"StreamName"`
	StreamARN      string    `json:"StreamARN"`
	Protocol       string    `json:"Protocol"`
	Principal      *string   `json:"Principal"` // ARN; null: an earlier version opened it
	Address        *string   `json:"Address"`   // null: it is not bound
	CreationTime   Timestamp `json:"CreationTime"`
	ExpirationTime Timestamp `json:"ExpirationTime"`
}

// ListSessionsInput is the body of /weir/listSessions.
type ListSessionsInput struct {
	given
	PageRef
	StreamName string `json:"StreamName,omitempty"`
	Principal  string `json:"Principal,omitempty"`
}

// ListSessionsOutput answers /weir/listSessions.
type ListSessionsOutput struct {
	SessionInfoList []SessionInfo `json:"SessionInfoList"`
	NextToken       *string       `json:"NextToken"`
}

// CloseSessionsInput is the body of /weir/closeSessions.
type CloseSessionsInput struct {
	given
	SessionId  string `json:"SessionId,omitempty"`
	StreamName string `json:"StreamName,omitempty"`
	Principal  string `json:"Principal,omitempty"`
}

// rules demands a selection, so that nobody closes all sessions by mistake.
func (in *CloseSessionsInput) rules() error {
	of := in.StreamName != "" || in.Principal != ""
	if (in.SessionId != "") == of {
		return NewError(InvalidArgumentException,
			"Either SessionId, or StreamName, Principal or both must be specified.")
	}
	return nil
}

// CloseSessionsOutput answers /weir/closeSessions.
type CloseSessionsOutput struct {
	Closed int64 `json:"Closed"` // sessions
}

// RotateTokenKeyInput is the body of /weir/rotateTokenKey.
type RotateTokenKeyInput struct {
	given
	OlderKeys string `json:"OlderKeys,omitempty"`
}

// RotateTokenKeyOutput answers /weir/rotateTokenKey.
type RotateTokenKeyOutput struct {
	KeyId        string    `json:"KeyId"` // as the key file has it
	CreationTime Timestamp `json:"CreationTime"`
	OlderKeys    int64     `json:"OlderKeys"` // that still open what they sealed
	Closed       int64     `json:"Closed"`    // sessions
}

// ListAuditEventsInput is the body of /weir/listAuditEvents.
type ListAuditEventsInput struct {
	given
	PageRef
	StartTime  *Timestamp `json:"StartTime,omitempty"`
	EndTime    *Timestamp `json:"EndTime,omitempty"`
	Principal  string     `json:"Principal,omitempty"`
	StreamName string     `json:"StreamName,omitempty"`
	ActionName string     `json:"ActionName,omitempty"`
	Decision   string     `json:"Decision,omitempty"`
}

// AuditEvent is a line of the audit log (docs/operations.md, "The audit log").
type AuditEvent struct {
	Time             Timestamp `json:"Time"`
	Event            string    `json:"Event"`
	Action           string    `json:"Action,omitempty"`
	Decision         string    `json:"Decision"`
	Outcome          string    `json:"Outcome,omitempty"`
	Reason           string    `json:"Reason,omitempty"`
	Principal        string    `json:"Principal,omitempty"`
	AccessKeyId      string    `json:"AccessKeyId,omitempty"`
	RemoteAddress    string    `json:"RemoteAddress,omitempty"`
	UserAgent        string    `json:"UserAgent,omitempty"`
	StreamName       string    `json:"StreamName,omitempty"`
	ResourceARN      string    `json:"ResourceARN,omitempty"`
	SessionId        string    `json:"SessionId,omitempty"`
	RequestId        string    `json:"RequestId,omitempty"`
	Bytes            int64     `json:"Bytes,omitempty"`
	DurationInMillis int64     `json:"DurationInMillis,omitempty"`
	Repeated         int64     `json:"Repeated,omitempty"`
	Lost             int64     `json:"Lost,omitempty"`
}

// ListAuditEventsOutput answers /weir/listAuditEvents. An empty page need not be the last one.
type ListAuditEventsOutput struct {
	AuditEvents []AuditEvent `json:"AuditEvents"`
	NextToken   *string      `json:"NextToken"`
}
