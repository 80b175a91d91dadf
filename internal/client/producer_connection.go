package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
)

// endTimeout is how long a connection may stay open when there is nothing left to say.
const endTimeout = 5 * time.Second

// connect makes one PutMedia call: it sends everything that is not settled, and what the source
// adds. It returns nil once the source has ended and everything is settled.
func (p *Producer) connect(ctx context.Context) error {
	if p.data == nil {
		data, err := p.o.Client.DataEndpoint(ctx, p.o.Stream, api.APIPutMedia)
		if err != nil {
			return err
		}
		p.data = data
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header, start := p.window.rewind()
	body, sending := io.Pipe()
	defer body.CloseWithError(errEnded)
	req, err := p.request(ctx, body, start)
	if err != nil {
		return err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		sending.CloseWithError(p.send(ctx, sending, header))
	}()
	defer func() {
		cancel(nil)
		body.CloseWithError(errEnded)
		<-sent
	}()

	watch := time.AfterFunc(p.o.AckTimeout, func() { cancel(errNoAcks) })
	defer watch.Stop()
	resp, err := p.http.RoundTrip(req)
	if err != nil {
		p.data = nil // perhaps another node takes it
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return &ConnectError{URL: req.URL.String(), Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.data = nil
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAck)) // the status alone says enough
		return answerError("PutMedia", resp, text)
	}
	p.summary.Connections++
	acks := newAckReader(resp.Body)
	for {
		ack, err := acks.next()
		if err != nil {
			if p.window.finished() {
				return nil
			}
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return errEnded
			}
			return fmt.Errorf("read acknowledgements: %w", err)
		}
		watch.Reset(p.o.AckTimeout)
		if err := p.take(ack); err != nil {
			return err
		}
		if p.window.finished() {
			watch.Reset(endTimeout)
		}
	}
}

// request makes the signed request whose body will follow, as the AWS producers make theirs
// (docs/reference/producers.md, "Requests"). start is the first frame's time in ms.
func (p *Producer) request(
	ctx context.Context, body io.Reader, start int64,
) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.data.Endpoint+"/putMedia", body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEndpoint, err)
	}
	h := req.Header
	if p.o.Stream.StreamARN != "" {
		h.Set(api.HeaderStreamARN, p.o.Stream.StreamARN)
	} else {
		h.Set(api.HeaderStreamName, p.o.Stream.StreamName)
	}
	h.Set(api.HeaderTimecodeType, string(p.o.Timecodes))
	h.Set(api.HeaderProducerStart, fmt.Sprintf("%d.%03d", start/1000, start%1000))
	h.Set(api.HeaderAcknowledgment, "1")
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", userAgent)
	signer, err := p.data.signer(ctx)
	if err != nil {
		return nil, err
	}
	signer.SignPutMedia(req)
	return req, nil
}

// send writes the body: the header, every fragment that is not settled, whatever the source adds,
// and at its end the tag that completes the last fragment. Then it keeps the body open until the
// last acknowledgement has come.
func (p *Producer) send(ctx context.Context, body io.Writer, header []byte) error {
	if _, err := body.Write(header); err != nil {
		return err
	}
	var pos position
	for {
		data, end, err := p.window.read(ctx, &pos, p.o.Clock.Now)
		if err != nil {
			return err
		}
		if end {
			break
		}
		if _, err := body.Write(data); err != nil {
			return err
		}
	}
	if err := mkv.NewWriter(body).WriteTags([]media.Tag{{Name: endOfFragment}}); err != nil {
		return err
	}
	return p.window.empty(ctx)
}
