package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"time"

	"weir/internal/api"
	"weir/internal/awscli"
	"weir/internal/browser"
	"weir/internal/client"
)

// sessionFlags say what an HLS session shows, in simpler terms than the API.
type sessionFlags struct {
	From string        `placeholder:"TIME" help:"Begin there and not live: \"10m ago\", \"today 14:00\", a date, epoch seconds. A time without a zone is local, while timestamps of the API commands are UTC."`
	To   string        `placeholder:"TIME" help:"End there, in the same forms; now by default."`
	Mode string        `enum:"LIVE,LIVE_REPLAY,ON_DEMAND," default:"" placeholder:"MODE" help:"LIVE, LIVE_REPLAY or ON_DEMAND; LIVE by default, ON_DEMAND with --from."`
	DVR  time.Duration `name:"dvr" placeholder:"DURATION" help:"Live, with what was stored before to go back to: 30m, 2h. A playlist lists 5,000 fragments at most."`
	clockFlag
	Expires int `default:"43200" placeholder:"SECONDS" help:"Life of the URL: 300 to 43200."`
	serverFlags
	streamArgument
}

// open opens a session and returns its URL.
func (f *sessionFlags) open(ctx context.Context) (string, error) {
	now := time.Now()
	if err := f.checkDVR(); err != nil {
		return "", err
	}
	in, err := f.input(now)
	if err != nil {
		return "", err
	}
	c, err := f.client(ctx)
	if err != nil {
		return "", err
	}
	if f.DVR > 0 {
		n, err := c.DVRFragments(ctx, in.StreamRef, f.DVR, now)
		if errors.Is(err, client.ErrNothingStored) {
			err = withHint(err, "--from shows what was stored before, --mode LIVE_REPLAY goes on "+
				"from there")
		}
		if err != nil {
			return "", err
		}
		in.MaxMediaPlaylistFragmentResults = n
	}
	var out api.GetHLSStreamingSessionURLOutput
	err = c.HLSStreamingSessionURL(ctx, in, &out)
	return out.HLSStreamingSessionURL, err
}

// checkDVR refuses flags that exclude --dvr.
func (f *sessionFlags) checkDVR() error {
	switch {
	case f.DVR < 0:
		return fmt.Errorf("--dvr %s is negative", f.DVR)
	case f.DVR > 0 && (f.From != "" || f.Mode != "" && f.Mode != string(api.PlaybackModeLive)):
		return withHint(errors.New("--dvr is for live sessions"),
			"--from shows a recording, and --mode LIVE_REPLAY goes on from there")
	}
	return nil
}

// input is the API's input for the flags.
func (f *sessionFlags) input(now time.Time) (*api.GetHLSStreamingSessionURLInput, error) {
	in := &api.GetHLSStreamingSessionURLInput{StreamRef: f.ref(), Expires: f.Expires,
		PlaybackMode: api.PlaybackMode(f.Mode),
		// Neither of the API's defaults: players lose pictures at discontinuities where nothing is
		// missing, or wait at a gap without one.
		DiscontinuityMode: api.DiscontinuityOnDiscontinuity}
	if f.From == "" {
		if f.To != "" || f.Mode != "" && in.PlaybackMode != api.PlaybackModeLive {
			return nil, withHint(errors.New("--from is missing"),
				"a recording needs a beginning, such as --from \"10m ago\"")
		}
		in.PlaybackMode = api.PlaybackModeLive
		in.HLSFragmentSelector = &api.FragmentSelector{FragmentSelectorType: f.selector()}
		return in, nil
	}
	if in.PlaybackMode == api.PlaybackModeLive {
		return nil, withHint(errors.New("--from does not go with --mode LIVE"),
			"--mode LIVE_REPLAY begins in the past and goes on")
	}
	in.PlaybackMode = cmp.Or(in.PlaybackMode, api.PlaybackModeOnDemand)
	from, err := awscli.ParseMoment(f.From, now)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	start := api.Timestamp(from.UnixMilli())
	times := &api.TimestampRange{StartTimestamp: &start}
	if f.To != "" || in.PlaybackMode == api.PlaybackModeOnDemand {
		to, err := awscli.ParseMoment(cmp.Or(f.To, "now"), now)
		if err != nil {
			return nil, fmt.Errorf("--to: %w", err)
		}
		end := api.Timestamp(to.UnixMilli())
		times.EndTimestamp = &end
	}
	in.HLSFragmentSelector = &api.FragmentSelector{FragmentSelectorType: f.selector(),
		TimestampRange: times}
	return in, nil
}

// hlsCmd prints the URL of an HLS session.
type hlsCmd struct{ sessionFlags }

// Help is shown by weir hls --help.
func (c *hlsCmd) Help() string {
	return `Examples:

  ffplay "$(weir hls cam1)"
  ffmpeg -i "$(weir hls cam1 --from '10m ago')" -c copy last-ten-minutes.mp4`
}

// Run prints it and nothing else.
func (c *hlsCmd) Run(ctx context.Context, std stdio) error {
	u, err := c.open(ctx)
	if err == nil {
		_, err = fmt.Fprintln(std.Out, u)
	}
	return err
}

// playCmd shows a stream.
type playCmd struct{ sessionFlags }

// playerVariable is the environment variable that names the user's own player.
const playerVariable = "WEIR_PLAYER"

// Help is shown by weir play --help.
func (c *playCmd) Help() string {
	return `Opens the server's player page in the browser, or runs the command in WEIR_PLAYER, followed by the HLS URL.

Examples:

  weir play cam1
  weir play cam1 --dvr 2h
  WEIR_PLAYER=mpv weir play cam1 --from "today 14:00" --to "today 14:05"`
}

// Run opens a session and passes it to a player.
func (c *playCmd) Run(ctx context.Context, std stdio) error {
	hlsURL, err := c.open(ctx)
	if err != nil {
		return err
	}
	if player := os.Getenv(playerVariable); player != "" {
		cmd := exec.CommandContext(ctx, "sh", "-c", player+` "$1"`, "weir", hlsURL)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = std.In, std.Out, std.Err
		if err := cmd.Run(); err != nil {
			return withHint(fmt.Errorf("%s: %w", player, err),
				"%s is a command that takes a URL, such as mpv", playerVariable)
		}
		return nil
	}
	u, err := url.Parse(hlsURL)
	if err != nil {
		return fmt.Errorf("the server's URL: %w", err)
	}
	page := u.Scheme + "://" + u.Host + "/player#url=" + url.QueryEscape(hlsURL)
	if _, err := fmt.Fprintln(std.Out, page); err != nil {
		return err
	}
	if err := browser.Open(ctx, page); err != nil {
		return withHint(err, "open that page in a browser, or set %s=mpv", playerVariable)
	}
	return nil
}
