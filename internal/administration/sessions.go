package administration

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"weir/internal/api"
	"weir/internal/audit"
	"weir/internal/auth"
	"weir/internal/store"
)

// SessionStore is what Sessions asks of the store.
type SessionStore interface {
	StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error)
	ListSessions(ctx context.Context, q store.SessionQuery) ([]store.Session, error)
	CloseSession(ctx context.Context, id string) error
}

// TokenKeys seal the tokens of sessions; *auth.TokenKeys is one.
type TokenKeys interface {
	Rotate(revoke bool) (auth.Rotation, error)
}

// Sessions performs the operations on playback sessions, the keys of their tokens, and the audit
// log.
type Sessions struct {
	Store  SessionStore
	Tokens TokenKeys // nil: they cannot be rotated
	// makes a new key that seals temporary credentials, as Tokens.Rotate does; nil: there are no
	// such keys
	RotateCredentials func(ctx context.Context, revoke bool) error
	Audit             *audit.Log              // nil: no events
	Protocol          func(kind uint8) string // api.ProtocolHLS or api.ProtocolDASH
	Region            string                  // of ARNs
	Account           string
}

// closePage is how many sessions are closed at a time.
const closePage = 1000

func (s *Sessions) streamARN(stream *store.Stream) string {
	return api.FormatARN(s.Region, s.Account, stream.Name, stream.CreatedMillis)
}

// ListSessions lists open sessions by ID.
func (s *Sessions) ListSessions(
	ctx context.Context, c *Call, in *api.ListSessionsInput,
) (*api.ListSessionsOutput, error) {
	after, err := api.DecodeNextToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	q := store.SessionQuery{Stream: c.Stream, Principal: in.Principal, Limit: in.Limit() + 1}
	if text, err := hex.DecodeString(after); err == nil {
		q.After = string(text)
	}
	list, err := s.Store.ListSessions(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &api.ListSessionsOutput{SessionInfoList: []api.SessionInfo{}}
	if len(list) > in.Limit() {
		list = list[:in.Limit()]
		next := api.EncodeNextToken(hex.EncodeToString([]byte(list[len(list)-1].ID)))
		out.NextToken = &next
	}
	for i := range list {
		info, err := s.info(ctx, &list[i])
		if errors.Is(err, store.ErrNotFound) { // the stream was deleted, and the session with it
			continue
		} else if err != nil {
			return nil, err
		}
		out.SessionInfoList = append(out.SessionInfoList, info)
	}
	return out, nil
}

func (s *Sessions) info(ctx context.Context, p *store.Session) (api.SessionInfo, error) {
	stream, err := s.Store.StreamByID(ctx, p.Stream)
	if err != nil {
		return api.SessionInfo{}, err
	}
	return api.SessionInfo{
		SessionId: hex.EncodeToString([]byte(p.ID)), StreamName: stream.Name,
		StreamARN: s.streamARN(&stream), Protocol: s.Protocol(p.Kind),
		Principal: api.NullIfEmpty(p.Principal), Address: api.NullIfEmpty(p.Address),
		CreationTime:   api.Timestamp(p.CreatedMillis),
		ExpirationTime: api.Timestamp(p.ExpiresMillis)}, nil
}

// CloseSessions closes one session, or those of a stream, of a principal, or of both.
func (s *Sessions) CloseSessions(
	ctx context.Context, c *Call, in *api.CloseSessionsInput,
) (*api.CloseSessionsOutput, error) {
	if in.SessionId != "" {
		return s.closeOne(ctx, in.SessionId)
	}
	n, err := s.closeAll(ctx, store.SessionQuery{Stream: c.Stream, Principal: in.Principal})
	return &api.CloseSessionsOutput{Closed: n}, err
}

func (s *Sessions) closeOne(ctx context.Context, text string) (*api.CloseSessionsOutput, error) {
	id, err := hex.DecodeString(text)
	if err != nil {
		return nil, err // not reached: the table of the API has checked it
	}
	err = s.Store.CloseSession(ctx, string(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, api.NewError(api.ResourceNotFoundException, "The session is not open.")
	} else if err != nil {
		return nil, err
	}
	return &api.CloseSessionsOutput{Closed: 1}, nil
}

// closeAll closes the sessions that a query selects, and returns how many there were.
func (s *Sessions) closeAll(ctx context.Context, q store.SessionQuery) (n int64, err error) {
	for q.Limit = closePage; ; {
		list, err := s.Store.ListSessions(ctx, q)
		if err != nil {
			return n, err
		}
		for _, p := range list {
			switch err := s.Store.CloseSession(ctx, p.ID); {
			case err == nil:
				n++
			case !errors.Is(err, store.ErrNotFound):
				return n, err
			}
		}
		if len(list) < q.Limit {
			return n, nil
		}
		q.After = list[len(list)-1].ID
	}
}

// RotateTokenKey makes new keys for the tokens of sessions and of temporary credentials. With
// OlderKeysRevoke, all tokens issued so far become invalid.
func (s *Sessions) RotateTokenKey(
	ctx context.Context, _ *Call, in *api.RotateTokenKeyInput,
) (*api.RotateTokenKeyOutput, error) {
	if s.Tokens == nil {
		return nil, api.NewError(api.ServiceUnavailable, "The keys are not this server's.")
	}
	revoke := in.OlderKeys == api.OlderKeysRevoke
	var made auth.Rotation
	var err error
	if s.RotateCredentials != nil {
		err = s.RotateCredentials(ctx, revoke)
	}
	if err == nil {
		made, err = s.Tokens.Rotate(revoke)
	}
	if errors.Is(err, auth.ErrTokenKeysBusy) {
		return nil, api.Errorf(api.LimitExceededException, "There is no new key: %v.", err)
	} else if err != nil {
		return nil, err
	}
	out := &api.RotateTokenKeyOutput{KeyId: fmt.Sprintf("%02x", made.ID),
		CreationTime: api.Timestamp(made.Created.UnixMilli()), OlderKeys: int64(made.Opening)}
	if revoke { // servers remember opened tokens, not which key sealed them
		out.Closed, err = s.closeAll(ctx, store.SessionQuery{})
	}
	return out, err
}

// ListAuditEvents lists events of the audit log, oldest first.
func (s *Sessions) ListAuditEvents(
	ctx context.Context, _ *Call, in *api.ListAuditEventsInput,
) (*api.ListAuditEventsOutput, error) {
	after, err := api.DecodeNextToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	events, next, err := s.Audit.Read(ctx, audit.Filter{
		From: timeOf(in.StartTime), Until: timeOf(in.EndTime), Principal: in.Principal,
		Stream: in.StreamName, Action: in.ActionName, After: after, Limit: in.Limit(),
		Denied: in.Decision == api.DecisionDenied, Allowed: in.Decision == api.DecisionAllowed})
	if errors.Is(err, audit.ErrCursor) {
		return nil, api.NewError(api.InvalidArgumentException, "NextToken is invalid.")
	} else if err != nil {
		return nil, err
	}
	out := &api.ListAuditEventsOutput{AuditEvents: make([]api.AuditEvent, 0, len(events))}
	if next != "" {
		text := api.EncodeNextToken(next)
		out.NextToken = &text
	}
	for _, e := range events {
		decision := api.DecisionAllowed
		if !e.Allowed {
			decision = api.DecisionDenied
		}
		out.AuditEvents = append(out.AuditEvents, api.AuditEvent{
			Time: api.Timestamp(e.Time.UnixMilli()), Event: e.Event, Action: e.Action,
			Decision: decision, Outcome: e.Outcome, Reason: e.Reason, Principal: e.Principal,
			AccessKeyId: e.AccessKey, RemoteAddress: e.Remote, UserAgent: e.UserAgent,
			StreamName: e.Stream, ResourceARN: e.Resource, SessionId: e.Session,
			RequestId: e.RequestID, Bytes: e.Bytes, DurationInMillis: e.Millis,
			Repeated: e.Repeated, Lost: e.Lost})
	}
	return out, nil
}

func timeOf(t *api.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time()
}
