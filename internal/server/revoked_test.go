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

// When a camera is disabled, its connection is asked to end at once, and cut off within five
// seconds even if its producer goes on sending and reads no acknowledgements.
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
		req.verdict = &verdict{action: "kinesisvideo:PutMedia",
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

// What a policy allows until some time of day, or because of a tag, ends then or with the tag, even
// for connections that last.
func TestConnectionsEndWithTimesAndTags(t *testing.T) {
	for what, condition := range map[string]string{
		"time": `{"DateLessThan":{"aws:CurrentTime":"` +
			time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC).Format(time.RFC3339) + `"}}`,
		"tag": `{"StringEquals":{"aws:ResourceTag/site":"north"}}`,
	} {
		synctest.Test(t, func(t *testing.T) { // the clock starts in the year 2000
			st := memory.New(time.Now)
			who, _ := openAccess(t, st, t.TempDir())
			ctx, stop := context.WithCancel(t.Context())
			defer func() { stop(); synctest.Wait() }()
			_, err := who.PutPolicy(ctx, "p", "", []byte(statement("Allow", "*", "*", condition)),
				store.NewDocument)
			must(t, err)
			_, pair, err := who.CreateUser(ctx, "ann", nil, []string{"p"})
			must(t, err)
			_, principal, err := who.Find(pair.AccessKeyID, "")
			must(t, err)
			stream, err := st.CreateStream(ctx, store.Stream{Name: "cam1", RetentionHours: 1,
				Tags: map[string]string{"site": "north"}})
			must(t, err)
			s := &Server{access: who, store: inMemory{st}, clock: time.Now,
				stopping: make(chan struct{})}
			req := &request{Request: &http.Request{}, principal: principal, target: stream}
			req.verdict = &verdict{action: "kinesisvideo:GetMedia",
				resource: anyResource, request: req, tags: stream.Tags}
			began := time.Now()
			_, watch := s.last(ctx, req)
			defer watch.release()
			time.Sleep(30 * time.Minute)
			select {
			case <-watch.closing:
				t.Fatalf("%s: the connection ends although nothing has changed", what)
			default:
			}
			if what == "tag" {
				must(t, st.TagStream(ctx, stream.ID, func(tags map[string]string) error {
					tags["site"] = "south"
					return nil
				}))
				began = time.Now().Add(-time.Hour)
			}
			<-watch.closing
			if late := time.Since(began) - time.Hour; late < 0 || late > decideAgain {
				t.Errorf("%s: it is asked to end %s late", what, late)
			}
		})
	}
}
