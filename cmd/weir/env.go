package main

import "fmt"

// envCmd prints the variables for eval.
type envCmd struct {
	EndpointURL string `name:"endpoint-url" env:"WEIR_ENDPOINT_URL" default:"http://127.0.0.1:8480" help:"The server's URL."`
}

// Run prints export lines.
func (c *envCmd) Run(std stdio) error {
	_, err := fmt.Fprintf(std.Out, "export AWS_ENDPOINT_URL=%s\n", c.EndpointURL)
	return err
}
