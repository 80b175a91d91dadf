package record

import (
	"bytes"
	"encoding/json"
	"fmt"

	"weir/internal/store"
)

// streamMeta is the stream record's metadata: JSON, because it is written once per volume and may
// grow fields.
type streamMeta struct {
	ID             store.StreamID    `json:"id"`
	Name           string            `json:"name"`
	CreatedMillis  int64             `json:"createdMillis"`
	Version        string            `json:"version"`
	RetentionHours int               `json:"retentionHours"`
	DeviceName     string            `json:"deviceName,omitempty"`
	MediaType      string            `json:"mediaType,omitempty"`
	KMSKeyID       string            `json:"kmsKeyId,omitempty"`
	StorageTier    string            `json:"storageTier,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	Settings       string            `json:"settings,omitempty"`
	NumberTag      uint64            `json:"numberTag"`
}

func marshalStream(s *store.Stream) ([]byte, error) {
	b, err := json.Marshal(streamMeta(*s))
	if err != nil {
		return nil, fmt.Errorf("encode stream: %w", err)
	}
	return b, nil
}

func unmarshalStream(b []byte) (*store.Stream, error) {
	var m streamMeta
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: stream record: %v", store.ErrCorrupt, err)
	}
	s := store.Stream(m)
	if !s.ID.Valid() || s.Name == "" {
		return nil, fmt.Errorf("%w: stream record without a stream", store.ErrCorrupt)
	}
	if s.Tags == nil {
		s.Tags = map[string]string{}
	}
	return &s, nil
}
