package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"weir/internal/auth"
)

// Names of files in the data directory that are for the command line. The server makes credentials
// and token keys once. It writes the client configuration when it starts to listen and removes it
// when it stops, so that `weir env` only succeeds while there is a server (or after it was killed).
const (
	credentialsFile = "credentials" // AWS shared credentials file
	tokenKeysFile   = "token-keys"
	clientFile      = "config" // AWS config file: endpoint_url and region
)

// envCmd prints the variables that point AWS clients at a server.
type envCmd struct {
	Data        string `default:"./weir-data" env:"WEIR_DATA" type:"path" placeholder:"DIR" help:"Data directory of the server."`
	EndpointURL string `name:"endpoint-url" placeholder:"URL" help:"A URL other than the one at which the running server is reached."`
}

// Help is shown by weir env --help.
func (c *envCmd) Help() string {
	return `Example, in the directory where "weir serve" runs:

  eval "$(weir env)"
  aws kinesisvideo list-streams`
}

// Run prints export lines for a POSIX shell.
func (c *envCmd) Run(std stdio) error {
	target, err := readClientConfig(c.Data)
	if errors.Is(err, fs.ErrNotExist) && c.EndpointURL != "" {
		target, err = clientConfig{region: defaultRegion}, nil
	}
	if err != nil {
		return withHint(fmt.Errorf("no server runs over %s: %w", c.Data, err),
			"start one with: weir serve --data %s (or name the data directory of the running one)",
			quote(c.Data))
	}
	if c.EndpointURL != "" {
		target.endpoint = strings.TrimRight(c.EndpointURL, "/")
	}
	data, err := os.ReadFile(filepath.Join(c.Data, credentialsFile))
	if err != nil {
		return withHint(fmt.Errorf("read the key pair: %w", err),
			"the server makes it at its first start: weir serve --data %s", quote(c.Data))
	}
	keys, err := auth.ParseKeys(data)
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(c.Data, credentialsFile), err)
	}
	key := keys.Default()
	lines := []string{
		"export AWS_ENDPOINT_URL=" + quote(target.endpoint),
		"export AWS_ACCESS_KEY_ID=" + quote(key.AccessKeyID),
		"export AWS_SECRET_ACCESS_KEY=" + quote(key.SecretAccessKey),
		"export AWS_REGION=" + quote(target.region),
		"export AWS_DEFAULT_REGION=" + quote(target.region),
		"unset AWS_SESSION_TOKEN", // of another key pair
	}
	if key.SessionToken != "" {
		lines[len(lines)-1] = "export AWS_SESSION_TOKEN=" + quote(key.SessionToken)
	}
	if target.ca != "" {
		lines = append(lines, "export AWS_CA_BUNDLE="+quote(target.ca))
	}
	_, err = fmt.Fprintln(std.Out, strings.Join(lines, "\n"))
	return err
}

// quote makes a text one word of a POSIX shell.
func quote(text string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.ContainsRune("_-./:@%+,", c)
	}
	if text != "" && strings.IndexFunc(text, func(c rune) bool { return !plain(c) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// clientConfig is what a client must know about a server besides the key pair.
type clientConfig struct {
	endpoint string // URL without trailing slash
	region   string
	ca       string // file of certificates to trust; "": the system's
}

// writeClientConfig writes the client configuration as an AWS config file, so that AWS_CONFIG_FILE
// can name it.
func writeClientConfig(dir string, c clientConfig) error {
	trust := ""
	if c.ca != "" {
		trust = "ca_bundle = " + c.ca + "\n"
	}
	text := "# Written by weir serve at each start.\n[default]\nregion = " + c.region +
		"\nendpoint_url = " + c.endpoint + "\n" + trust
	path := filepath.Join(dir, clientFile)
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write client configuration: %w", errors.Join(err, os.Remove(temporary)))
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write client configuration: %w", err)
	}
	return nil
}

// removeClientConfig removes it, if there is one.
func removeClientConfig(dir string) error {
	if err := os.Remove(filepath.Join(dir, clientFile)); err != nil &&
		!errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove client configuration: %w", err)
	}
	return nil
}

// readClientConfig reads what writeClientConfig wrote. The error is fs.ErrNotExist when there is
// none.
func readClientConfig(dir string) (clientConfig, error) {
	data, err := os.ReadFile(filepath.Join(dir, clientFile))
	if err != nil {
		return clientConfig{}, err
	}
	var c clientConfig
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "region":
			c.region = strings.TrimSpace(value)
		case "endpoint_url":
			c.endpoint = strings.TrimSpace(value)
		case "ca_bundle":
			c.ca = strings.TrimSpace(value)
		}
	}
	if c.region == "" || c.endpoint == "" {
		return clientConfig{}, fmt.Errorf("%s has no region or no endpoint_url",
			filepath.Join(dir, clientFile))
	}
	return c, nil
}
