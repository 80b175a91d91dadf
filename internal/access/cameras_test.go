package access

import (
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/store"
)

// Credentials that a camera got with its certificate, its own or those of a role, end when the
// camera is disabled, when that certificate is revoked, and when the camera is deleted, even if a
// new one gets its name.
func TestCredentialsOfCameras(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	role, err := s.CreateRole(ctx, RoleInput{Name: "viewers", Policies: []string{"viewer"},
		Trust: trust})
	s.must(err)
	thing, err := s.PutCamera(ctx, CameraInfo{Name: "cam1", Policies: []string{"camera"}},
		store.NewDocument)
	s.must(err)
	expires := time.Now().Add(time.Hour)
	s.tokens["ASIAOWN"] = Claims{Kind: Camera, AccessKeyID: "ASIAOWN", Name: "cam1",
		Thing: "cam1", ThingID: thing.ID, Certificate: "01", Expires: expires}
	s.tokens["ASIAROLE"] = Claims{Kind: Role, AccessKeyID: "ASIAROLE", Name: "viewers",
		ID: role.ID, SessionName: "cam1", Thing: "cam1", ThingID: thing.ID, Certificate: "02",
		Expires: expires}
	principals := map[string]*Principal{}
	for id := range s.tokens {
		_, principals[id], err = s.Find(id, id)
		s.must(err)
	}
	works := func(id string, want bool) {
		t.Helper()
		action := map[string]string{"ASIAOWN": "PutMedia", "ASIAROLE": "GetMedia"}[id]
		s.may(principals[id], action, "cam1", want)
		if want {
			_, _, err := s.Find(id, id)
			s.must(err)
		} else {
			s.refused(id, id, auth.UnrecognizedClient)
		}
	}
	works("ASIAOWN", true)
	works("ASIAROLE", true)

	s.must(s.DisableCamera(ctx, "cam1"))
	works("ASIAOWN", false)
	works("ASIAROLE", false)
	s.must(s.EnableCamera(ctx, "cam1"))
	thing, err = s.Camera("cam1")
	s.must(err)
	thing.Revoked = []string{"02"}
	thing, err = s.PutCamera(ctx, thing, thing.Revision)
	s.must(err)
	works("ASIAOWN", true)
	works("ASIAROLE", false)

	s.must(s.DeleteCamera(ctx, "cam1"))
	works("ASIAOWN", false)
	thing.ID = ""
	_, err = s.PutCamera(ctx, thing, store.NewDocument)
	s.must(err)
	works("ASIAOWN", false)
}
