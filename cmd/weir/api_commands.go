package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"weir/internal/api"
	"weir/internal/client"
)

// apiCommands are the operations of the API with the flags of the AWS CLI. They are embedded in the root of the command line.
type apiCommands struct {
	CreateStream        createStreamCmd        `cmd:"" group:"api" help:"Create a stream."`
	DescribeStream      describeStreamCmd      `cmd:"" group:"api" help:"Describe a stream."`
	ListStreams         listStreamsCmd         `cmd:"" group:"api" help:"List the streams, all pages of them."`
	UpdateStream        updateStreamCmd        `cmd:"" group:"api" help:"Change a stream's device name or media type."`
	UpdateDataRetention updateDataRetentionCmd `cmd:"" group:"api" help:"Change how long a stream keeps its data."`
	DeleteStream        deleteStreamCmd        `cmd:"" group:"api" help:"Delete a stream and its data."`
	TagStream           tagStreamCmd           `cmd:"" group:"api" help:"Add tags to a stream."`
	UntagStream         untagStreamCmd         `cmd:"" group:"api" help:"Remove tags from a stream."`
	ListTagsForStream   listTagsForStreamCmd   `cmd:"" group:"api" help:"List the tags of a stream."`
	GetDataEndpoint     getDataEndpointCmd     `cmd:"" group:"api" help:"Print the endpoint of a data API of a stream."`

	GetHLSStreamingSessionURL getHLSStreamingSessionURLCmd `cmd:"" name:"get-hls-streaming-session-url" group:"api" help:"Open an HLS session and print its URL."`
}

type createStreamCmd struct {
	caller
	StreamName           string     `name:"stream-name" required:"" placeholder:"NAME" help:"Name of the stream: 1 to 256 of a-z A-Z 0-9 _ . -"`
	DataRetentionInHours *int       `name:"data-retention-in-hours" placeholder:"HOURS" help:"How long to keep the data; 0, the default, keeps it in memory only and plays nothing back."`
	DeviceName           string     `name:"device-name" placeholder:"NAME" help:"Name of the device; kept, without effect."`
	MediaType            string     `name:"media-type" placeholder:"TYPES" help:"Such as video/h264,audio/aac; kept, without effect."`
	KMSKeyID             string     `name:"kms-key-id" placeholder:"ID" help:"Kept, without effect."`
	Tags                 tagsFlag   `placeholder:"K=V,K=V" help:"Tags, in shorthand or JSON."`
	Storage              structFlag `name:"stream-storage-configuration" placeholder:"DefaultStorageTier=HOT" help:"Kept, without effect."`
}

// Help is shown by --help.
func (c *createStreamCmd) Help() string {
	return "Example:\n\n  weir create-stream --stream-name cam1 --data-retention-in-hours 24 --tags site=north,floor=2"
}

// Run calls CreateStream.
func (c *createStreamCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	b.text("StreamName", c.StreamName)
	b.number("DataRetentionInHours", c.DataRetentionInHours)
	b.text("DeviceName", c.DeviceName)
	b.text("MediaType", c.MediaType)
	b.text("KmsKeyId", c.KMSKeyID)
	b.texts("Tags", c.Tags)
	if c.Storage != nil {
		b["StreamStorageConfiguration"] = c.Storage
	}
	return c.call(ctx, std, "CreateStream", b)
}

type describeStreamCmd struct {
	caller
	streamFlags
}

// Help is shown by --help.
func (c *describeStreamCmd) Help() string {
	return "Example:\n\n  weir describe-stream --stream-name cam1 --query StreamInfo.Version"
}

// Run calls DescribeStream.
func (c *describeStreamCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	c.put(b)
	return c.call(ctx, std, "DescribeStream", b)
}

type listStreamsCmd struct {
	caller
	MaxResults *int       `name:"max-results" placeholder:"N" help:"One page of at most so many, instead of all."`
	NextToken  string     `name:"next-token" placeholder:"TOKEN" help:"One page: that after the one with this NextToken."`
	Condition  structFlag `name:"stream-name-condition" placeholder:"ComparisonOperator=BEGINS_WITH,ComparisonValue=PREFIX" help:"Only streams whose names begin so."`
}

// Help is shown by --help.
func (c *listStreamsCmd) Help() string {
	return "Example:\n\n  weir list-streams --stream-name-condition ComparisonOperator=BEGINS_WITH,ComparisonValue=cam"
}

// Run calls ListStreams, for every page unless one is asked for, as the AWS CLI does.
func (c *listStreamsCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	b.number("MaxResults", c.MaxResults)
	b.text("NextToken", c.NextToken)
	if c.Condition != nil {
		b["StreamNameCondition"] = c.Condition
	}
	if c.MaxResults != nil || c.NextToken != "" {
		return c.call(ctx, std, "ListStreams", b)
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	all := struct{ StreamInfoList []json.RawMessage }{StreamInfoList: []json.RawMessage{}}
	seen := map[string]bool{}
	for {
		var page struct {
			StreamInfoList []json.RawMessage
			NextToken      string
		}
		if err := cl.Call(ctx, "ListStreams", b, &page); err != nil {
			return err
		}
		all.StreamInfoList = append(all.StreamInfoList, page.StreamInfoList...)
		if page.NextToken == "" {
			break
		}
		if seen[page.NextToken] {
			return errors.New("the server gave the same NextToken twice")
		}
		seen[page.NextToken] = true
		b["NextToken"] = page.NextToken
	}
	answer, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return c.print(std.Out, answer)
}

type updateStreamCmd struct {
	caller
	streamFlags
	CurrentVersion string `name:"current-version" required:"" placeholder:"VERSION" help:"Version that describe-stream shows."`
	DeviceName     string `name:"device-name" placeholder:"NAME" help:"New name of the device."`
	MediaType      string `name:"media-type" placeholder:"TYPES" help:"New media type."`
}

// Run calls UpdateStream.
func (c *updateStreamCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	c.put(b)
	b.text("CurrentVersion", c.CurrentVersion)
	b.text("DeviceName", c.DeviceName)
	b.text("MediaType", c.MediaType)
	return c.call(ctx, std, "UpdateStream", b)
}

type updateDataRetentionCmd struct {
	caller
	streamFlags
	CurrentVersion string `name:"current-version" required:"" placeholder:"VERSION" help:"Version that describe-stream shows."`
	Operation      string `required:"" placeholder:"OPERATION" help:"INCREASE_DATA_RETENTION or DECREASE_DATA_RETENTION."`
	Change         *int   `name:"data-retention-change-in-hours" required:"" placeholder:"HOURS" help:"By how much."`
}

// Help is shown by --help.
func (c *updateDataRetentionCmd) Help() string {
	return "Example:\n\n  weir update-data-retention --stream-name cam1 --operation INCREASE_DATA_RETENTION \\\n" +
		"    --data-retention-change-in-hours 24 --current-version $(weir describe-stream --stream-name cam1 --query StreamInfo.Version)"
}

// Run calls UpdateDataRetention.
func (c *updateDataRetentionCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	c.put(b)
	b.text("CurrentVersion", c.CurrentVersion)
	b.text("Operation", c.Operation)
	b.number("DataRetentionChangeInHours", c.Change)
	return c.call(ctx, std, "UpdateDataRetention", b)
}

type deleteStreamCmd struct {
	caller
	StreamARN      string `name:"stream-arn" required:"" placeholder:"ARN" help:"ARN of the stream, which describe-stream shows."`
	CurrentVersion string `name:"current-version" placeholder:"VERSION" help:"Delete only this version."`
}

// Help is shown by --help.
func (c *deleteStreamCmd) Help() string {
	return "Example:\n\n  weir delete-stream --stream-arn $(weir describe-stream --stream-name cam1 --query StreamInfo.StreamARN)"
}

// Run calls DeleteStream.
func (c *deleteStreamCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	b.text("StreamARN", c.StreamARN)
	b.text("CurrentVersion", c.CurrentVersion)
	return c.call(ctx, std, "DeleteStream", b)
}

type tagStreamCmd struct {
	caller
	streamFlags
	Tags tagsFlag `required:"" placeholder:"K=V,K=V" help:"Tags, in shorthand or JSON."`
}

// Run calls TagStream.
func (c *tagStreamCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	c.put(b)
	b.texts("Tags", c.Tags)
	return c.call(ctx, std, "TagStream", b)
}

type untagStreamCmd struct {
	caller
	streamFlags
	Keys wordsFlag `name:"tag-key-list" required:"" placeholder:"KEY" help:"Keys of the tags to remove, one or more words."`
}

// Run calls UntagStream.
func (c *untagStreamCmd) Run(ctx context.Context, std stdio) error {
	b := body{"TagKeyList": c.Keys}
	c.put(b)
	return c.call(ctx, std, "UntagStream", b)
}

type listTagsForStreamCmd struct {
	caller
	streamFlags
	NextToken string `name:"next-token" placeholder:"TOKEN" help:"NextToken of the page before."`
}

// Run calls ListTagsForStream.
func (c *listTagsForStreamCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	c.put(b)
	b.text("NextToken", c.NextToken)
	return c.call(ctx, std, "ListTagsForStream", b)
}

type getDataEndpointCmd struct {
	caller
	streamFlags
	APIName string `name:"api-name" required:"" placeholder:"API" help:"PUT_MEDIA, GET_HLS_STREAMING_SESSION_URL, …"`
}

// Run calls GetDataEndpoint.
func (c *getDataEndpointCmd) Run(ctx context.Context, std stdio) error {
	b := body{}
	c.put(b)
	b.text("APIName", c.APIName)
	return c.call(ctx, std, "GetDataEndpoint", b)
}

type getHLSStreamingSessionURLCmd struct {
	caller
	streamFlags
	PlaybackMode             string     `name:"playback-mode" placeholder:"MODE" help:"LIVE (the default), LIVE_REPLAY or ON_DEMAND."`
	Selector                 structFlag `name:"hls-fragment-selector" placeholder:"SELECTOR" help:"Which fragments: FragmentSelectorType=SERVER_TIMESTAMP|PRODUCER_TIMESTAMP,TimestampRange={StartTimestamp=…,EndTimestamp=…}, or JSON. Timestamps are epoch seconds or ISO 8601."`
	ContainerFormat          string     `name:"container-format" placeholder:"FORMAT" help:"FRAGMENTED_MP4 (the default) or MPEG_TS."`
	DiscontinuityMode        string     `name:"discontinuity-mode" placeholder:"MODE" help:"ALWAYS, NEVER or ON_DISCONTINUITY."`
	DisplayFragmentTimestamp string     `name:"display-fragment-timestamp" placeholder:"WHEN" help:"ALWAYS or NEVER (the default)."`
	Expires                  *int       `placeholder:"SECONDS" help:"Life of the session: 300 (the default) to 43200."`
	MaxResults               *int       `name:"max-media-playlist-fragment-results" placeholder:"N" help:"Fragments in a playlist: 1 to 5000; 5 by default, 1000 for ON_DEMAND."`
}

// Help is shown by --help.
func (c *getHLSStreamingSessionURLCmd) Help() string {
	return `The endpoint is asked for with GetDataEndpoint first, which the AWS CLI leaves to you. Example:

  weir get-hls-streaming-session-url --stream-name cam1 --playback-mode ON_DEMAND --hls-fragment-selector \
    'FragmentSelectorType=PRODUCER_TIMESTAMP,TimestampRange={StartTimestamp=2026-01-31T12:00:00Z,EndTimestamp=2026-01-31T13:00:00Z}'`
}

// Run calls GetDataEndpoint, and GetHLSStreamingSessionURL there.
func (c *getHLSStreamingSessionURLCmd) Run(ctx context.Context, std stdio) error {
	b, err := c.body()
	if err != nil {
		return err
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	stream := api.StreamRef{StreamName: c.StreamName, StreamARN: c.StreamARN}
	data, err := cl.DataEndpoint(ctx, stream, api.APIGetHLSStreamingSessionURL)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := data.Call(ctx, "GetHLSStreamingSessionURL", b, &answer); err != nil {
		return err
	}
	return c.print(std.Out, answer)
}

func (c *getHLSStreamingSessionURLCmd) body() (body, error) {
	b := body{}
	c.put(b)
	b.text("PlaybackMode", c.PlaybackMode)
	b.text("ContainerFormat", c.ContainerFormat)
	b.text("DiscontinuityMode", c.DiscontinuityMode)
	b.text("DisplayFragmentTimestamp", c.DisplayFragmentTimestamp)
	b.number("Expires", c.Expires)
	b.number("MaxMediaPlaylistFragmentResults", c.MaxResults)
	if c.Selector == nil {
		return b, nil
	}
	if r, ok := c.Selector["TimestampRange"].(map[string]any); ok {
		for name, v := range r {
			text, ok := v.(string)
			if !ok {
				continue // a number of JSON
			}
			t, err := parseTimestamp(text)
			if err != nil {
				return nil, fmt.Errorf("--hls-fragment-selector: %s: %w", name, err)
			}
			r[name] = api.Timestamp(t.UnixMilli())
		}
	}
	b["HLSFragmentSelector"] = c.Selector
	return b, nil
}

// describe asks for what the other commands need of a stream.
func describe(ctx context.Context, c *client.Client, stream api.StreamRef) (api.StreamInfo, error) {
	var out struct{ StreamInfo api.StreamInfo }
	err := c.Call(ctx, "DescribeStream", &api.DescribeStreamInput{StreamRef: stream}, &out)
	return out.StreamInfo, err
}
