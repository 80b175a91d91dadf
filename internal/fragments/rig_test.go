package fragments

import (
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// rig is a service over a store with one stream and its camera.
type rig struct {
	*testing.T
	store   *cameratest.Store
	stream  store.Stream
	camera  *cameratest.Camera
	service *Service
}

func newRig(t *testing.T, tracks ...media.Track) *rig {
	r := &rig{T: t, store: cameratest.NewStore(t)}
	r.stream = r.store.Stream
	r.camera = cameratest.NewCamera(r.store, tracks...)
	r.service = New(Options{Store: r.store, Clock: r.store.Clock})
	return r
}

// another makes another stream in the store.
func (r *rig) another() store.Stream {
	r.Helper()
	stream, err := r.store.CreateStream(r.Context(), store.Stream{Name: "other", RetentionHours: 1})
	if err != nil {
		r.Fatal(err)
	}
	return stream
}
