package server

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/access"
	"weir/internal/store"
	"weir/internal/store/memory"
)

// A connection of a camera that is disabled is asked to end at once, and cut within five seconds
// even if its producer goes on and takes no acknowledgements.
func TestDisabledCameraIsCutWithinFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		who, _ := openAccess(t, memory.New(time.Now), t.TempDir())
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = who.Run(ctx) }()
		defer func() { stop(); synctest.Wait() }()
		camera, err := who.PutCamera(ctx, access.CameraInfo{Name: "cam1",
			Policies: []string{"administrator"}}, store.NewDocument)
		must(t, err)
		who.SetTemporary(oneToken{access.Claims{AccessKeyID: "ASIA1", Secret: "s",
			Kind: access.Camera, Name: "cam1", Thing: "cam1", ThingID: camera.ID,
			Expires: time.Now().Add(time.Hour)}, "token"})
		_, principal, err := who.Find("ASIA1", "token")
		must(t, err)
		s := &Server{access: who, clock: time.Now, stopping: make(chan struct{})}
		req := &request{Request: &http.Request{}, principal: principal, operation: opPutMedia}
		req.verdict = &verdict{principal: principal, action: "kinesisvideo:PutMedia",
			resource: anyResource, request: req}
		running, watch := s.last(ctx, req)
		defer watch.release()
		time.Sleep(10 * time.Minute)
		select {
		case <-watch.closing:
			t.Fatal("the connection ends although nothing has changed")
		default:
		}
		began := time.Now()
		must(t, who.DisableCamera(ctx, "cam1"))
		<-watch.closing
		if waited := time.Since(began); waited != 0 {
			t.Errorf("it is asked to end after %s", waited)
		}
		<-running.Done()
		if waited := time.Since(began) + lastAcks; waited > 5*time.Second ||
			!errors.Is(context.Cause(running), errRevoked) {
			t.Errorf("it is cut after %s: %v", waited, context.Cause(running))
		}
	})
}
