package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/client"
	"weir/internal/recut"
)

// demoClip is eight seconds of H.264 and AAC that can be repeated without a seam
// (test/media/demo.sh makes it).
//
//go:embed demo.mkv
var demoClip []byte

// demoCmd shows Weir at work.
type demoCmd struct {
	Listen string `default:"127.0.0.1:8480" env:"WEIR_LISTEN" placeholder:"ADDR" help:"Address to listen on; port 0 takes a free one."`
	Data   string `default:"./weir-data" env:"WEIR_DATA" type:"path" placeholder:"DIR" help:"Data directory, made at the first start."`
}

// demoStream is the sample camera's stream.
const demoStream = "demo"

// demoFragments is how many fragments must be stored before the demo sends a player there, because
// players wait with fewer in a live playlist.
const demoFragments = 3

// Help is shown by weir demo --help.
func (c *demoCmd) Help() string {
	return `Runs the server as weir serve does and plays a sample camera into the stream "demo", through the API, as a real one would.
Ctrl-C stops both. What was recorded stays in the data directory.

Example:

  weir demo`
}

// Run serves and plays until ctx ends.
func (c *demoCmd) Run(ctx context.Context, std stdio) error {
	// the camera stops first
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	ready := make(chan string, 1)
	served := make(chan error, 1)
	var serve serveCmd
	if err := kong.ApplyDefaults(&serve); err != nil {
		return err
	}
	serve.Listen, serve.Data, serve.LogLevel = c.Listen, c.Data, "warn"
	serve.ready = func(endpoint string) { ready <- endpoint }
	go func() { served <- serve.Run(serving, stdio{In: std.In, Out: io.Discard, Err: std.Err}) }()

	var endpoint string
	select {
	case endpoint = <-ready:
	case err := <-served:
		return err
	}
	played := c.play(ctx, std, endpoint, served)
	stopServing()
	return errors.Join(played, <-served)
}

// play is the camera, until ctx ends, and prints how to watch it.
func (c *demoCmd) play(ctx context.Context, std stdio, endpoint string, served chan error) error {
	keys, err := auth.LoadOrCreateKeys(filepath.Join(c.Data, credentialsFile))
	if err != nil {
		return err
	}
	cl := &client.Client{Endpoint: endpoint, Region: defaultRegion,
		Credentials: keys.Default().Credentials()}
	if err := ensureStream(ctx, cl, demoStream, 24); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stored := make(chan struct{}, demoFragments)
	clock := recut.SystemClock{}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(demoClip)), nil }
	producer := client.NewProducer(client.ProducerOptions{
		Client: cl, Stream: api.StreamRef{StreamName: demoStream},
		OnAck: func(a client.Ack) {
			if a.Type == api.AckPersisted.String() {
				select {
				case stored <- struct{}{}:
				default:
				}
			}
		},
		OnRetry: func(err error, wait time.Duration) {
			fmt.Fprintf(std.Err,
				"weir: sample camera: %v\n", err)
		},
	})
	sent := make(chan error, 1)
	go func() {
		_, err := producer.Run(ctx, recut.OnClock(recut.Pace(recut.Loop(open, nil), clock),
			time.Time{}, clock))
		sent <- err
	}()
	for range demoFragments {
		select {
		case <-stored:
		case err := <-sent:
			return err
		case err := <-served:
			served <- err // for Run
			return nil
		}
	}
	hlsURL, err := c.session(ctx, cl)
	var link string
	if err == nil {
		link, err = signInLink(ctx, cl, "/streams/"+demoStream,
			api.MaxSignInCodeSeconds*time.Second)
	}
	if err == nil {
		err = c.tell(std.Out, endpoint, hlsURL, link)
	}
	if err != nil && ctx.Err() == nil {
		stop()
		return errors.Join(err, <-sent)
	}
	select {
	case err := <-sent:
		return err
	case err := <-served:
		served <- err
		return nil
	}
}

// session opens a live HLS session with the longest lifetime.
func (c *demoCmd) session(ctx context.Context, cl *client.Client) (string, error) {
	var out api.GetHLSStreamingSessionURLOutput
	err := cl.HLSStreamingSessionURL(ctx, &api.GetHLSStreamingSessionURLInput{
		StreamRef:    api.StreamRef{StreamName: demoStream},
		PlaybackMode: api.PlaybackModeLive,
		HLSFragmentSelector: &api.FragmentSelector{
			FragmentSelectorType: api.SelectorProducerTimestamp},
		DiscontinuityMode: api.DiscontinuityOnDiscontinuity,
		Expires:           api.MaxExpires,
	}, &out)
	return out.HLSStreamingSessionURL, err
}

// tell prints where to look and how to go on.
func (c *demoCmd) tell(w io.Writer, endpoint, hlsURL, link string) error {
	dir := " --data " + quote(c.Data)
	self := "weir"
	if filepath.Base(os.Args[0]) != os.Args[0] { // not found through PATH
		self = quote(os.Args[0])
	}
	_, err := fmt.Fprintf(w, `Weir is running, and a sample camera plays into the stream %[1]s.

  Watch it here:  %[2]s/player#url=%[3]s

  HLS URL, for Safari, VLC, ffplay or hls.js, good for 12 hours:
  %[4]s

  Endpoint:       %[2]s

To use it from another shell:

  eval "$(%[6]s env%[5]s)"
  %[6]s describe-stream --stream-name %[1]s
  aws kinesisvideo list-streams
  aws kinesis-video-archived-media get-hls-streaming-session-url --stream-name %[1]s --playback-mode LIVE

Your own camera, through ffmpeg:

  ffmpeg -i rtsp://camera/ -c copy -f matroska - | %[6]s put-media --create --stream-name cam1 -

The console, signed in; the link works once, within an hour, and %[6]s open makes another:

  %[7]s

Ctrl-C stops it.
`, demoStream, endpoint, url.QueryEscape(hlsURL), hlsURL, dir, self, link)
	return err
}
