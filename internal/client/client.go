// Package client calls any server that speaks the Kinesis Video Streams API. It signs and sends the
// JSON operations, and has a PutMedia producer (producer.go) that reconnects without losing a
// fragment. Package recut makes the fragments that the producer sends.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/recut"
)

// maxAnswer bounds the body of an answer in bytes. The largest is a page of ListStreams: 10,000
// streams of about 500 bytes. An answer with images may have MaxImagesPage times the greatest
// ImageContent of the service model, and a little more around each.
const (
	maxAnswer       = 16 << 20
	maxImagesAnswer = api.MaxImagesPage*(6<<20) + 1<<20
)

const getImages = "GetImages"

// userAgent is sent with each call, and signed as the AWS producers sign theirs.
const userAgent = "weir-client"

// callTimeout bounds a call. A call for images waits for its turn, and then for the images.
const (
	callTimeout   = 30 * time.Second
	imagesTimeout = 3 * time.Minute
)

// ErrEndpoint says that the endpoint is not an http or https URL.
var ErrEndpoint = errors.New("invalid endpoint")

// Client calls operations of one server.
type Client struct {
	Endpoint    string           // URL without a trailing slash, such as http://127.0.0.1:8480
	Region      string           // of the signature, such as us-west-2
	Credentials auth.Credentials // of the signature
	// Renew returns the credentials anew before each request, for keys that expire. If it is nil,
	// Credentials do not expire.
	Renew func(context.Context) (auth.Credentials, error)
	HTTP  *http.Client // nil: one with a timeout of 30 s
	TLS   *tls.Config  // of PutMedia connections, which HTTP does not make; nil: the defaults
	Clock recut.Clock  // nil: recut.SystemClock
	// ArchivedMedia is the URL of the endpoint of sessions; "" asks for it with GetDataEndpoint.
	ArchivedMedia string
	Query         string // of the URLs of calls, without question mark
}

// Error is the answer of the service to a call that failed.
type Error struct {
	Operation string        // as SDKs spell it, such as DescribeStream
	Code      api.ErrorCode // the AWS error name; Unknown when the answer had none
	Message   string        // for people, may be empty
	Status    int           // HTTP status
	RequestID string        // may be empty
}

// Error returns operation, name and message.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s (HTTP %d)", e.Operation, e.Code, e.Status)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Is makes errors.Is(err, &Error{Code: c}) match any answer with that name.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Operation == "" && t.Message == "" && t.Status == 0
}

// ConnectError says that no answer came: the server is not there, or broke the connection.
type ConnectError struct {
	URL string // that was called
	Err error  // why it failed
}

// Error names the URL and the cause.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("could not connect to the endpoint URL %q: %v", e.URL, e.Err)
}

// Unwrap is the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

func (c *Client) http() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return &http.Client{Timeout: callTimeout}
}

// signer makes what signs the next request.
func (c *Client) signer(ctx context.Context) (*auth.Signer, error) {
	s := &auth.Signer{Credentials: c.Credentials, Region: c.Region}
	if c.Renew != nil {
		var err error
		if s.Credentials, err = c.Renew(ctx); err != nil {
			return nil, err
		}
	}
	if c.Clock != nil {
		s.Clock = c.Clock.Now
	}
	return s, nil
}

// Call performs an operation with a JSON body and decodes the answer into out, which may be nil, or
// a *json.RawMessage for the answer as it is. Errors are *Error or *ConnectError, or that of ctx.
func (c *Client) Call(ctx context.Context, operation string, in, out any) error {
	resp, err := c.post(ctx, operation, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := readAnswer(ctx, operation, resp)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return answerError(operation, resp, answer)
	}
	if out == nil {
		return nil
	}
	if raw, ok := out.(*json.RawMessage); ok {
		*raw = answer
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: the answer is not what the API says: %w", operation, err)
	}
	return nil
}

// Stream performs an operation whose answer is media, writes the media to w, and returns the
// answer's header. It writes nothing of an answer that is an error. Errors are those of Call and
// of w, and one that wraps io.ErrUnexpectedEOF if the answer breaks off.
func (c *Client) Stream(
	ctx context.Context, operation string, in any, w io.Writer,
) (http.Header, error) {
	resp, err := c.post(ctx, operation, in)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, err := readAnswer(ctx, operation, resp)
		if err != nil {
			return nil, err
		}
		return nil, answerError(operation, resp, answer)
	}
	n, err := io.Copy(w, resp.Body)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%s: after %d bytes of %d: %w", operation, n, resp.ContentLength,
			err)
	}
	return resp.Header, nil
}

// post sends a signed request with a JSON body. The caller closes the body of the response.
func (c *Client) post(ctx context.Context, operation string, in any) (*http.Response, error) {
	op := api.Find(operation)
	if op == nil {
		return nil, fmt.Errorf("unknown operation %s", operation)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	target := strings.TrimSuffix(c.Endpoint, "/") + op.Path
	if u, err := url.Parse(c.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" ||
		u.Host == "" {
		return nil, fmt.Errorf("%w: %s", ErrEndpoint, c.Endpoint)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	req.URL.RawQuery = c.Query
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	signer, err := c.signer(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	signer.Sign(req, body)
	h := c.http()
	if operation == getImages && h.Timeout == callTimeout {
		patient := *h
		patient.Timeout = imagesTimeout
		h = &patient
	}
	if op.Streams { // which may take as long as it likes, once it has begun
		untimed := *h
		untimed.Timeout = 0
		h = &untimed
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, connectError(ctx, target, err)
	}
	return resp, nil
}

// readAnswer reads an answer that is JSON.
func readAnswer(ctx context.Context, operation string, resp *http.Response) ([]byte, error) {
	most := maxAnswer
	if operation == getImages {
		most = maxImagesAnswer
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err != nil {
		return nil, connectError(ctx, resp.Request.URL.String(), err)
	}
	if len(answer) > most {
		return nil, fmt.Errorf("%s: the answer is larger than %d bytes", operation, most)
	}
	return answer, nil
}

// connectError wraps what net/http says, without its repetition of method and URL.
func connectError(ctx context.Context, target string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	return &ConnectError{URL: target, Err: err}
}

// answerError makes an *Error of an answer that is not 200. The name is in a header, the text in
// the body under Message or, from the signature check, message (docs/reference/service.md,
// "Errors").
func answerError(operation string, resp *http.Response, body []byte) error {
	e := &Error{
		Operation: operation,
		Code:      "Unknown",
		Status:    resp.StatusCode,
		RequestID: resp.Header.Get("x-amzn-RequestId"),
	}
	for _, h := range []string{"x-amzn-ErrorType", "x-amz-ErrorType"} {
		if name := resp.Header.Get(h); name != "" {
			name, _, _ = strings.Cut(name, ":") // some services append a URL
			e.Code = api.ErrorCode(name)
			break
		}
	}
	var text map[string]json.RawMessage
	if json.Unmarshal(body, &text) == nil {
		for _, key := range []string{"Message", "message"} {
			if json.Unmarshal(text[key], &e.Message) == nil && e.Message != "" {
				break
			}
		}
	}
	if from := resp.Header.Get("Server"); e.Code == "Unknown" && e.Message == "" && from != "" {
		e.Message = fmt.Sprintf("this is no answer of the API; it came from %.100q", from)
	}
	return e
}

// At returns a client of another endpoint with the same credentials, as GetDataEndpoint wants.
func (c *Client) At(endpoint string) *Client {
	other := *c
	other.Endpoint = endpoint
	return &other
}

// DataEndpoint asks where an API of a stream is served (GetDataEndpoint), and returns a client of
// that endpoint. stream names the stream by name or ARN; apiName is, for example, PUT_MEDIA. If
// ArchivedMedia is set, it is the endpoint of sessions.
func (c *Client) DataEndpoint(
	ctx context.Context, stream api.StreamRef, apiName string,
) (*Client, error) {
	archived := slices.ContainsFunc(api.Operations(), func(op *api.Operation) bool {
		return op.DataAPI == apiName && op.Service == api.ArchivedMedia
	})
	if archived && c.ArchivedMedia != "" {
		return c.At(c.ArchivedMedia), nil
	}
	var out api.GetDataEndpointOutput
	if err := c.Call(ctx, "GetDataEndpoint", &api.GetDataEndpointInput{StreamRef: stream,
		APIName: apiName}, &out); err != nil {
		return nil, err
	}
	return c.At(out.DataEndpoint), nil
}

// HLSStreamingSessionURL opens an HLS session as the AWS CLI does: GetDataEndpoint, then
// GetHLSStreamingSessionURL there.
func (c *Client) HLSStreamingSessionURL(ctx context.Context, in *api.GetHLSStreamingSessionURLInput,
	out any) error {
	data, err := c.DataEndpoint(ctx, in.StreamRef, api.APIGetHLSStreamingSessionURL)
	if err != nil {
		return err
	}
	return data.Call(ctx, "GetHLSStreamingSessionURL", in, out)
}
