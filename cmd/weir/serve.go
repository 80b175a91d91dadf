package main

import "context"

// serveCmd runs the server.
type serveCmd struct {
	Listen string `default:"127.0.0.1:8480" env:"WEIR_LISTEN" help:"Address to listen on."`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std stdio) error {
	<-ctx.Done()
	return nil
}
