package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"time"

	"weir/internal/api"
	"weir/internal/status"
	"weir/internal/store"
)

// getStreamStatus reports on the streams that the caller may ask about.
func (s *Server) getStreamStatus(ctx context.Context, req *request,
	_ *api.GetStreamStatusInput) (*api.GetStreamStatusOutput, error) {
	out := &api.GetStreamStatusOutput{StreamStatusList: []api.StreamStatus{}}
	for i := range req.targets {
		stream := &req.targets[i]
		one, err := status.Of(ctx, s.store, stream, s.clock())
		if errors.Is(err, store.ErrNotFound) { // deleted meanwhile
			continue
		} else if err != nil {
			return nil, err
		}
		one.StreamName, one.StreamARN = stream.Name, s.arn(stream)
		limit, full := s.storage.Limit(stream.ID)
		one.StoredBytesLimit, one.StorageState = limit, api.DiskWritable
		if full {
			one.StorageState = api.DiskFull
		}
		out.StreamStatusList = append(out.StreamStatusList, one)
	}
	return out, nil
}

func (s *Server) getServerStatus(_ context.Context, req *request,
	in *api.GetServerStatusInput) (*api.GetServerStatusOutput, error) {
	if s.sampler == nil {
		return nil, api.NewError(api.ServiceUnavailable, "The server keeps no samples.")
	}
	minutes := in.Minutes
	if minutes == 0 {
		minutes = api.DefaultStatusMinutes
	}
	out := s.sampler.Status(s.clock(), minutes)
	out.CertificateEndTime = certificateEnd(req.Request)
	return out, nil
}

// certificateEnd is when the certificate that a request's connection was shown expires; nil without
// TLS.
func certificateEnd(r *http.Request) *api.Timestamp {
	srv, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if r.TLS == nil || srv == nil || srv.TLSConfig == nil || srv.TLSConfig.GetCertificate == nil {
		return nil
	}
	shown, err := srv.TLSConfig.GetCertificate(&tls.ClientHelloInfo{ServerName: r.TLS.ServerName,
		SupportedVersions: []uint16{r.TLS.Version}, CipherSuites: []uint16{r.TLS.CipherSuite}})
	if err != nil || len(shown.Certificate) == 0 {
		return nil
	}
	leaf := shown.Leaf
	if leaf == nil {
		if leaf, err = x509.ParseCertificate(shown.Certificate[0]); err != nil {
			return nil
		}
	}
	t := api.Timestamp(leaf.NotAfter.UnixMilli())
	return &t
}

// permitOwn decides on a call that is about the caller itself. It needs no permission, like STS
// GetSessionToken, but a policy may deny it.
func (s *Server) permitOwn(req *request) error {
	v := &verdict{request: req, resource: anyResource, action: api.Find(req.operation).Action()}
	if s.access.Decide(req.principal, v.action, v.resource, s.conditions(v)).Explicit {
		return s.judge(v)
	}
	v.allowed = true
	s.decided(v)
	return nil
}

// getPermissions tells callers what the calls themselves would answer.
func (s *Server) getPermissions(ctx context.Context, req *request,
	in *api.GetPermissionsInput) (*api.GetPermissionsOutput, error) {
	out := &api.GetPermissionsOutput{Permissions: make([]api.Permission, 0, len(in.Questions))}
	for _, q := range in.Questions {
		v := &verdict{request: req, action: q.ActionName, resource: q.ResourceARN}
		if arn, err := api.ParseARN(q.ResourceARN); err == nil {
			if stream, err := s.store.Stream(ctx, arn.Name); err == nil {
				v.tags = stream.Tags
			}
		}
		answer := api.Permission{ActionName: q.ActionName, ResourceARN: q.ResourceARN,
			Decision: api.DecisionDenied}
		if s.decide(v); v.allowed {
			answer.Decision = api.DecisionAllowed
		}
		out.Permissions = append(out.Permissions, answer)
	}
	return out, nil
}

// createSignInCode keeps credentials for whoever has the code. The caller may give them away, as it
// could without a code.
func (s *Server) createSignInCode(_ context.Context, req *request,
	in *api.CreateSignInCodeInput) (*api.CreateSignInCodeOutput, error) {
	return s.codes.Put(in, req.principal.ARN, req.principal.Share(), s.clock())
}

// maxCode limits the body of a sign-in, which is a code.
const maxCode = 64

// signIn returns the credentials of a code, once. The code is the only right that it needs.
func (s *Server) signIn(_ context.Context, req *request) (response, error) {
	code, err := io.ReadAll(io.LimitReader(req.Body, maxCode+1))
	if err != nil || len(code) > maxCode {
		return nil, api.NewError(api.InvalidArgumentException, "The body is no sign-in code.")
	}
	held, by, ok := s.codes.Take(string(code), s.clock())
	if !ok {
		return nil, api.NewError(api.ResourceNotFoundException,
			"The sign-in code has been used, or its time is over.")
	}
	req.identity, req.handed = by, held.AccessKeyId
	req.vouch()
	return jsonResponse{credentialsResponse{held.AccessKeyId, held.SecretAccessKey,
		held.SessionToken, held.Expiration.Time()}}, nil
}

// credentialsResponse has temporary credentials with the names and the time format of the
// credential process of AWS's tools (SDKs and tools reference guide, "Process credential
// provider").
type credentialsResponse struct {
	AccessKeyId     string
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time
}
