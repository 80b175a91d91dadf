package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/awscli"
	"weir/internal/clip"
	"weir/internal/terminal"
)

// clipCmd downloads a clip, or prints a link to it.
type clipCmd struct {
	rangeFlags
	Exact    bool `help:"Cut to the frame, not to whole fragments. What is cut off at both ends is still in the file: players leave it out."`
	KeepGaps bool `name:"keep-gaps" help:"Leave pauses of the recording as long as they were."`
	URL      bool `name:"url" help:"Print a link to the clip, which opens it without a key."`
	Expires  int  `default:"43200" placeholder:"SECONDS" help:"Life of the link: 300 to 43200."`
	serverFlags
	streamArgument
	File string `arg:"" optional:"" help:"File to write; without one the clip goes to standard output."`
}

// Help is shown by weir clip --help.
func (c *clipCmd) Help() string {
	return `Examples:

  weir clip cam1 door.mp4 --from "today 14:00" --to "today 14:05" --exact
  weir clip cam1 --from "10m ago" --url`
}

// Run downloads it.
func (c *clipCmd) Run(ctx context.Context, std stdio) error {
	in, err := c.input(time.Now())
	if err != nil {
		return err
	}
	life := time.Duration(0)
	switch {
	case c.URL && c.File != "":
		return withHint(errors.New("--url does not go with a file"),
			"a link is printed; without --url the clip is downloaded")
	case c.URL:
		life = time.Duration(c.Expires) * time.Second
	case c.File == "" && terminal.Is(std.Out):
		return withHint(errors.New("no file to write"),
			"name one after the stream, such as clip.mp4; --url prints a link instead")
	}
	connection, err := c.client(ctx)
	if err != nil {
		return err
	}
	data, err := connection.DataEndpoint(ctx, in.StreamRef, api.APIGetClip)
	if err != nil {
		return err
	}
	r := clip.Request{Exact: c.Exact, KeepGaps: c.KeepGaps}
	data.Query = r.Query(life)
	if c.URL {
		var out clip.LinkOutput
		if err := data.Call(ctx, "GetClip", in, &out); err != nil {
			return err
		}
		_, err = fmt.Fprintln(std.Out, out.ClipURL)
		return err
	}
	if c.File == "" {
		_, err = data.Stream(ctx, "GetClip", in, std.Out)
		return err
	}
	_, err = streamToFile(ctx, data, "GetClip", in, c.File)
	return err
}

// input is the API's input for the flags.
func (c *clipCmd) input(now time.Time) (*api.GetClipInput, error) {
	start, end, err := c.between(now)
	if err != nil {
		return nil, err
	}
	return &api.GetClipInput{StreamRef: c.ref(), ClipFragmentSelector: &api.FragmentSelector{
		FragmentSelectorType: c.selector(),
		TimestampRange:       &api.TimestampRange{StartTimestamp: &start, EndTimestamp: &end}}}, nil
}

// streamArgument names a stream.
type streamArgument struct {
	Stream string `arg:"" help:"Name or ARN of the stream."`
}

func (a *streamArgument) ref() (stream api.StreamRef) {
	if strings.HasPrefix(a.Stream, "arn:") {
		stream.StreamARN = a.Stream
	} else {
		stream.StreamName = a.Stream
	}
	return stream
}

// rangeFlags are a range of time in human terms.
type rangeFlags struct {
	From string `required:"" placeholder:"TIME" help:"Begin there: \"10m ago\", \"today 14:00\", a date, epoch seconds. A time without a zone is local, while timestamps of the API commands are UTC."`
	To   string `placeholder:"TIME" help:"End there, in the same forms; now by default."`
	clockFlag
}

// between returns both ends.
func (f *rangeFlags) between(now time.Time) (start, end api.Timestamp, err error) {
	from, err := awscli.ParseMoment(f.From, now)
	if err != nil {
		return 0, 0, fmt.Errorf("--from: %w", err)
	}
	to, err := awscli.ParseMoment(cmp.Or(f.To, "now"), now)
	if err != nil {
		return 0, 0, fmt.Errorf("--to: %w", err)
	}
	return api.Timestamp(from.UnixMilli()), api.Timestamp(to.UnixMilli()), nil
}

// clockFlag says whose times a range is in.
type clockFlag struct {
	Clock string `enum:"server,producer" default:"server" placeholder:"CLOCK" help:"Whose times --from and --to are: server or producer."`
}

func (f *clockFlag) selector() api.FragmentSelectorType {
	if f.Clock == "producer" {
		return api.SelectorProducerTimestamp
	}
	return api.SelectorServerTimestamp
}
