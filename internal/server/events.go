package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"weir/internal/api"
	"weir/internal/ingest"
	"weir/internal/store"
)

// maxEvents is how many tagged fragments may wait to be handled. Handling takes microseconds, so
// the queue is only full when the disk does not answer.
const maxEvents = 1024

// Notifier delivers notifications; *webhook.Notifier is one.
type Notifier interface {
	Enabled() bool // whether they may go anywhere
	// Send never blocks. Before each attempt, to returns where the message goes, "" for nowhere.
	Send(sender string, to destination, body []byte)
	Hurry(sender string) // the destination of a sender's messages has changed
}

type destination = func(context.Context) (url string, err error)

// settings are the configuration and the creator of a stream, as its row has them, in JSON.
type settings struct {
	// Creator is the share (access.Principal.Share) that the stream counts against; "" for none
	Creator      string                            `json:"creator,omitempty"`
	Notification *api.NotificationConfiguration    `json:"notification,omitempty"`
	Images       *api.ImageGenerationConfiguration `json:"images,omitempty"`
}

// settingsOf reads the settings of a stream.
func settingsOf(stream *store.Stream) (s settings, err error) {
	if stream.Settings == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(stream.Settings), &s); err != nil {
		return s, fmt.Errorf("settings of stream %s: %w", stream.Name, err)
	}
	return s, nil
}

// notifies returns the URL to which notifications go; "" for none.
func (s *settings) notifies() string {
	if c := s.Notification; c != nil && c.Status == api.StatusEnabled {
		return c.DestinationConfig.Uri
	}
	return ""
}

// destination is where the notifications of a stream go, for each attempt: those that wait for a
// receiver that is away follow the stream's configuration, and are dropped when it is.
func (s *Server) destination(id store.StreamID) destination {
	return func(ctx context.Context) (string, error) {
		stream, err := s.store.StreamByID(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return "", nil
		} else if err != nil {
			return "", err
		}
		configured, err := settingsOf(&stream)
		return configured.notifies(), err
	}
}

// configure changes the settings of a stream.
func (s *Server) configure(ctx context.Context, stream *store.Stream,
	change func(*settings)) error {
	_, err := s.store.UpdateStream(ctx, stream.ID, "", func(st *store.Stream) error {
		now, err := settingsOf(st)
		if err != nil {
			return err
		}
		change(&now)
		text, err := json.Marshal(now)
		st.Settings = string(text)
		return err
	})
	return err
}

// event queues a fragment that its producer has tagged for more than storing. It never blocks.
func (s *Server) event(e ingest.Event) {
	select {
	case s.events <- e:
	default:
		s.metrics.eventsDropped.Inc()
	}
}

// inBackground runs something until the returned function is called.
func inBackground(do func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); do(ctx) }()
	return func() { cancel(); <-ended }
}

// handleEvents handles events until ctx ends, and deletes images that are old enough.
func (s *Server) handleEvents(ctx context.Context) {
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	s.sweepImages(ctx)
	for {
		select {
		case <-sweep.C:
			s.sweepImages(ctx)
		case e := <-s.events:
			if err := s.handleEvent(ctx, &e); err != nil && ctx.Err() == nil {
				s.log.Error("event of a fragment", "fragment", e.Fragment.Number, logError, err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) sweepImages(ctx context.Context) {
	if err := s.images.Sweep(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("images of deleted streams", logError, err)
	}
}

func (s *Server) handleEvent(ctx context.Context, e *ingest.Event) error {
	stream, err := s.store.StreamByID(ctx, e.Stream)
	if err != nil {
		return err
	}
	configured, err := settingsOf(&stream)
	if err != nil {
		return err
	}
	if e.Notification && s.notifier != nil && configured.notifies() != "" {
		body, err := json.Marshal(s.notification(&stream, e))
		if err != nil {
			return err
		}
		s.notifier.Send(stream.Name, s.destination(stream.ID), body)
	}
	if c := configured.Images; e.Images && s.folder != nil && c != nil &&
		c.Status == api.StatusEnabled {
		select {
		case s.generate <- imageTask{stream, *e, c}:
		default:
			s.metrics.eventsDropped.Inc()
		}
	}
	return nil
}

// notification is the body of a notification: the message that the service sends to SNS
// (docs/reference/service.md, "Notifications").
type notification struct {
	StreamArn                      string
	FragmentNumber                 string
	FragmentStartProducerTimestamp int64 // milliseconds since the Unix epoch
	FragmentStartServerTimestamp   int64
	NotificationType               string            // PERSISTED
	NotificationPayload            map[string]string // the fragment's own tags
}

func (s *Server) notification(stream *store.Stream, e *ingest.Event) *notification {
	n := &notification{
		StreamArn: s.arn(stream), FragmentNumber: stream.FormatNumber(e.Fragment.Number),
		FragmentStartProducerTimestamp: e.Fragment.ProducerTimestamp,
		FragmentStartServerTimestamp:   e.Fragment.ServerTimestamp,
		NotificationType:               "PERSISTED", NotificationPayload: map[string]string{},
	}
	for _, t := range e.Tags {
		n.NotificationPayload[t.Name] = t.Value
	}
	return n
}
