package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"weir/internal/api"
	"weir/internal/browser"
	"weir/internal/client"
)

// openCmd opens the console.
type openCmd struct {
	Print bool `help:"Print the link instead of opening it."`
	serverFlags
	Stream string `arg:"" optional:"" help:"Name of a stream to show at once."`
}

// Help is shown by weir open --help.
func (c *openCmd) Help() string {
	return `Opens the server's console in the browser, signed in. The link works once, within a minute: its code is exchanged for
temporary credentials that end with the browser's tab, or after twelve hours (those of root after one). Your key does not leave this
machine.

Examples:

  weir open
  weir open cam1
  weir open --print --profile guard`
}

// Run makes a link and opens it.
func (c *openCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.client(ctx)
	if err != nil {
		return err
	}
	place := ""
	if c.Stream != "" {
		place = "/streams/" + url.PathEscape(c.Stream)
	}
	link, err := signInLink(ctx, cl, place, time.Minute)
	if err != nil {
		return err
	}
	if c.Print {
		_, err = fmt.Fprintln(std.Out, link)
		return err
	}
	if err := browser.Open(ctx, link); err != nil {
		return withHint(err, "weir open --print prints a link for a browser elsewhere")
	}
	return nil
}

// signInLink makes a link to a place in the console, such as /streams/cam1, that signs in the first
// one who opens it.
func signInLink(
	ctx context.Context, cl *client.Client, place string, good time.Duration,
) (string, error) {
	made, ends, err := cl.Temporary(ctx)
	if err != nil {
		return "", err
	}
	end := api.Timestamp(ends.UnixMilli())
	var out api.CreateSignInCodeOutput
	err = cl.Call(ctx, "CreateSignInCode", &api.CreateSignInCodeInput{
		AccessKeyId: made.AccessKeyID, SecretAccessKey: made.SecretAccessKey,
		SessionToken: made.SessionToken, Expiration: &end,
		DurationSeconds: int(good / time.Second)}, &out)
	if err != nil {
		return "", err
	}
	return cl.Endpoint + "/#sign-in=" + out.Code + place, nil
}
