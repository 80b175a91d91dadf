package access

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

// CameraInfo is a thing that has a certificate. Data is what package cameras knows about it, in
// JSON.
type CameraInfo struct {
	Name     string // thing name
	ID       string // "" for a new one, which gets a random ID
	Created  time.Time
	Disabled bool
	Tags     map[string]string
	Policies []string // attached
	// Revoked are serial numbers of revoked certificates. Credentials that were obtained with them
	// open nothing.
	Revoked  []string
	Data     json.RawMessage
	Revision int64
}

// PutCamera writes a camera and returns it. revision is the one that was read, store.NewDocument
// for a new one, or store.AnyRevision. ErrInvalid, ErrExists, ErrVersion, ErrLimit; ErrNotFound for
// a policy.
func (r *Registry) PutCamera(
	ctx context.Context, c CameraInfo, revision int64,
) (CameraInfo, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	err := errors.Join(checkName("camera", c.Name, things, api.MaxThingName), checkTags(c.Tags),
		r.checkPolicies(c.Policies))
	if err != nil {
		return CameraInfo{}, err
	}
	if cameras := r.snapshot.Load().cameras; cameras[c.Name] == nil &&
		len(cameras) >= api.MaxCameras {
		return CameraInfo{}, fmt.Errorf("%d cameras: %w", len(cameras), ErrLimit)
	}
	about := cameraDocument{Created: r.now().UnixMilli(), Disabled: c.Disabled, Tags: c.Tags,
		ID: cmp.Or(c.ID, newID("")), Policies: c.Policies, Revoked: c.Revoked,
		Data: c.Data}
	if !c.Created.IsZero() {
		about.Created = c.Created.UnixMilli()
	}
	if err := r.put(ctx, kindCamera, c.Name, &about, revision); err != nil {
		return CameraInfo{}, fmt.Errorf("camera %q: %w", c.Name, err)
	}
	return r.Camera(c.Name)
}

// Camera returns a camera. ErrNotFound.
func (r *Registry) Camera(name string) (CameraInfo, error) {
	c := r.snapshot.Load().cameras[name]
	if c == nil {
		return CameraInfo{}, fmt.Errorf("camera %q: %w", shorten(name), ErrNotFound)
	}
	return c.info(), nil
}

func (c *camera) info() CameraInfo {
	return CameraInfo{Name: c.name, ID: c.about.ID, Created: fromMillis(c.about.Created),
		Disabled: c.about.Disabled, Tags: maps.Clone(c.about.Tags),
		Policies: slices.Clone(c.about.Policies),
		Revoked:  slices.Clone(c.about.Revoked), Data: c.about.Data, Revision: c.revision}
}

// Cameras lists the cameras by name.
func (r *Registry) Cameras() (list []CameraInfo) {
	for _, c := range r.snapshot.Load().cameras {
		list = append(list, c.info())
	}
	slices.SortFunc(list, func(a, b CameraInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// DisableCamera makes a camera's credentials useless. ErrNotFound.
func (r *Registry) DisableCamera(ctx context.Context, name string) error {
	return r.setCameraDisabled(ctx, name, true)
}

// EnableCamera reverses DisableCamera. ErrNotFound.
func (r *Registry) EnableCamera(ctx context.Context, name string) error {
	return r.setCameraDisabled(ctx, name, false)
}

func (r *Registry) setCameraDisabled(ctx context.Context, name string, disabled bool) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return change(ctx, r, kindCamera, name, store.AnyRevision, func(c *cameraDocument) error {
		c.Disabled = disabled
		return nil
	})
}

// DeleteCamera deletes a camera; its credentials are useless from then on. ErrNotFound.
func (r *Registry) DeleteCamera(ctx context.Context, name string) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := r.DeleteDocument(ctx, kindCamera, name, store.AnyRevision); err != nil {
		return fmt.Errorf("camera %q: %w", shorten(name), err)
	}
	return nil
}
