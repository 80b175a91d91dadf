package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"weir/internal/auth"
)

// DefaultEndpoint is where `weir serve` listens when nothing else is said.
const DefaultEndpoint = "http://127.0.0.1:8480"

// DefaultRegion is what a request is signed for when nothing else is said. Weir takes any.
const DefaultRegion = "us-west-2"

// ErrNoCredentials: neither the environment nor a credentials file has a key pair.
var ErrNoCredentials = errors.New("unable to locate credentials")

// Environment is where AWS tools take their settings from, in the simple form that needs no configuration file. Zero fields
// are looked up; set ones, which come from the command line, go before.
type Environment struct {
	EndpointURL string                       // else AWS_ENDPOINT_URL_KINESIS_VIDEO, AWS_ENDPOINT_URL, DefaultEndpoint
	Region      string                       // else AWS_REGION, AWS_DEFAULT_REGION, DefaultRegion
	Profile     string                       // else the access key of the environment, AWS_PROFILE, "default"
	Getenv      func(string) string          // nil: os.Getenv
	HomeDir     func() (string, error)       // nil: os.UserHomeDir
	ReadFile    func(string) ([]byte, error) // nil: os.ReadFile
}

// Client makes a client of what the environment says: the endpoint, the region, and a key pair from AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or else from the profile AWS_PROFILE of the file AWS_SHARED_CREDENTIALS_FILE,
// which is ~/.aws/credentials by default. A profile that was asked for by Profile goes before the key pair of the environment.
func (e Environment) Client() (*Client, error) {
	get := e.Getenv
	if get == nil {
		get = os.Getenv
	}
	first := func(values ...string) string {
		for _, v := range values {
			if v != "" {
				return v
			}
		}
		return ""
	}
	c := &Client{
		Endpoint: strings.TrimSuffix(first(e.EndpointURL, get("AWS_ENDPOINT_URL_KINESIS_VIDEO"), get("AWS_ENDPOINT_URL"), DefaultEndpoint), "/"),
		Region:   first(e.Region, get("AWS_REGION"), get("AWS_DEFAULT_REGION"), DefaultRegion),
	}
	id, secret := get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")
	if e.Profile == "" && (id != "" || secret != "") {
		if id == "" || secret == "" {
			return nil, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")
		}
		c.Credentials = auth.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: get("AWS_SESSION_TOKEN")}
		return c, nil
	}
	var err error
	c.Credentials, err = e.fromFile(get, first(e.Profile, get("AWS_PROFILE"), get("AWS_DEFAULT_PROFILE"), "default"))
	if err != nil {
		return nil, err
	}
	return c, nil
}

// fromFile takes a profile's key pair out of the credentials file.
func (e Environment) fromFile(get func(string) string, profile string) (auth.Credentials, error) {
	path := get("AWS_SHARED_CREDENTIALS_FILE")
	if path == "" {
		home := e.HomeDir
		if home == nil {
			home = os.UserHomeDir
		}
		dir, err := home()
		if err != nil {
			return auth.Credentials{}, ErrNoCredentials
		}
		path = filepath.Join(dir, ".aws", "credentials")
	}
	read := e.ReadFile
	if read == nil {
		read = os.ReadFile
	}
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return auth.Credentials{}, fmt.Errorf("%w: there is no key pair in the environment, and no file %s", ErrNoCredentials, path)
	}
	if err != nil {
		return auth.Credentials{}, fmt.Errorf("read credentials: %w", err)
	}
	keys, err := auth.ParseCredentials(text)
	if err != nil {
		return auth.Credentials{}, fmt.Errorf("credentials file %s: %w", path, err)
	}
	for _, k := range keys {
		if k.Profile == profile {
			return k.Credentials(), nil
		}
	}
	return auth.Credentials{}, fmt.Errorf("%w: the file %s has no profile %q with a key pair", ErrNoCredentials, path, profile)
}
