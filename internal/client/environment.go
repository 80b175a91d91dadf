package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weir/internal/auth"
)

// DefaultEndpoint is where `weir serve` listens when nothing else is said.
const DefaultEndpoint = "http://127.0.0.1:8480"

// DefaultRegion is what a request is signed for when nothing else is said. Weir takes any.
const DefaultRegion = "us-west-2"

// ErrNoCredentials: neither the environment nor a file has a key pair.
var ErrNoCredentials = errors.New("unable to locate credentials")

// Environment is where AWS tools take their settings from: flags, variables, the config file (AWS_CONFIG_FILE, by default
// ~/.aws/config) and the credentials file (AWS_SHARED_CREDENTIALS_FILE, by default ~/.aws/credentials). Zero fields are looked up; set
// ones, which come from the command line, go before. Key pairs are taken from the variables and the two files; roles, SSO and
// processes that make keys are not followed, for a Weir server has keys of its own only.
type Environment struct {
	EndpointURL string                       // else those of AWS_ENDPOINT_URL_…, AWS_ENDPOINT_URL, the config file, DefaultEndpoint
	Region      string                       // else AWS_REGION, AWS_DEFAULT_REGION, the config file, DefaultRegion
	Profile     string                       // else the key pair of the variables; AWS_PROFILE, AWS_DEFAULT_PROFILE, "default"
	CABundle    string                       // file of certificates to trust; else AWS_CA_BUNDLE, the config file, those of the system
	NoVerify    bool                         // take any certificate
	Debug       io.Writer                    // not nil: a line for each request and answer goes here
	Getenv      func(string) string          // nil: os.Getenv
	HomeDir     func() (string, error)       // nil: os.UserHomeDir
	ReadFile    func(string) ([]byte, error) // nil: os.ReadFile
}

// Client makes a client of what the environment says.
func (e Environment) Client() (*Client, error) {
	file, err := e.config()
	if err != nil {
		return nil, err
	}
	c := &Client{
		Endpoint: e.endpoint(file, "KINESIS_VIDEO", DefaultEndpoint),
		Region:   first(e.Region, e.get("AWS_REGION"), e.get("AWS_DEFAULT_REGION"), file.setting("region"), DefaultRegion),
	}
	// A general endpoint is that of the control service, which says where the data service is.
	if data := e.endpoint(file, "KINESIS_VIDEO_ARCHIVED_MEDIA", ""); data != c.Endpoint || e.EndpointURL != "" {
		c.ArchivedMedia = data
	}
	if c.HTTP, c.TLS, err = e.http(file); err != nil {
		return nil, err
	}
	c.Credentials, err = e.credentials(file)
	return c, err
}

// Output is the form of answers that AWS_DEFAULT_OUTPUT or the config file asks for, or "".
func (e Environment) Output() (string, error) {
	file, err := e.config()
	if err != nil {
		return "", err
	}
	return first(e.get("AWS_DEFAULT_OUTPUT"), file.setting("output")), nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (e Environment) get(name string) string {
	if e.Getenv != nil {
		return e.Getenv(name)
	}
	return os.Getenv(name)
}

func (e Environment) profile() string {
	return first(e.Profile, e.get("AWS_PROFILE"), e.get("AWS_DEFAULT_PROFILE"), "default")
}

// endpoint is the URL of a service, of which the environment spells the name in capitals.
func (e Environment) endpoint(file *configFile, service, otherwise string) string {
	url := e.EndpointURL
	if url == "" && !strings.EqualFold(e.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		url = first(e.get("AWS_ENDPOINT_URL_"+service), e.get("AWS_ENDPOINT_URL"),
			file.service(strings.ToLower(service), "endpoint_url"), file.setting("endpoint_url"))
	}
	return strings.TrimSuffix(first(url, otherwise), "/")
}

// http makes the HTTP client of the certificates to trust; both are nil when nothing is special.
func (e Environment) http(file *configFile) (*http.Client, *tls.Config, error) {
	bundle := first(e.CABundle, e.get("AWS_CA_BUNDLE"), file.setting("ca_bundle"))
	if bundle == "" && !e.NoVerify && e.Debug == nil {
		return nil, nil, nil
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, nil, errors.New("the default transport is not one of net/http")
	}
	transport = transport.Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: e.NoVerify} // asked for with --no-verify-ssl
	if bundle != "" && !e.NoVerify {
		pem, err := e.read(bundle)
		if err != nil {
			return nil, nil, fmt.Errorf("read the certificates to trust: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, nil, fmt.Errorf("the file %s has no certificate in PEM form", bundle)
		}
	}
	c := &http.Client{Transport: transport, Timeout: callTimeout}
	if e.Debug != nil {
		c.Transport = &tracer{next: transport, w: e.Debug}
	}
	return c, transport.TLSClientConfig, nil
}

// tracer tells of each request and answer. It shows no header that holds a secret or a signature.
type tracer struct {
	next http.RoundTripper
	w    io.Writer
}

// RoundTrip implements http.RoundTripper.
func (t *tracer) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	fmt.Fprintf(t.w, "debug: %s %s, %d bytes, signed for %s\n", r.Method, r.URL, r.ContentLength, scope(r.Header.Get("Authorization")))
	res, err := t.next.RoundTrip(r)
	took := time.Since(began).Round(time.Microsecond)
	if err != nil {
		fmt.Fprintf(t.w, "debug: no answer after %v: %v\n", took, err)
		return nil, err
	}
	fmt.Fprintf(t.w, "debug: %s after %v, request %s\n", res.Status, took, first(res.Header.Get("x-amzn-RequestId"), "without id"))
	return res, nil
}

// scope is the key and the scope of a signature: what may be shown of an Authorization header.
func scope(authorization string) string {
	_, after, _ := strings.Cut(authorization, "Credential=")
	scope, _, _ := strings.Cut(after, ",")
	return first(scope, "nobody")
}

// credentials takes the key pair from the variables, the credentials file or the config file, in this order. A profile that was asked
// for with Profile goes before the variables.
func (e Environment) credentials(file *configFile) (auth.Credentials, error) {
	id, secret := e.get("AWS_ACCESS_KEY_ID"), e.get("AWS_SECRET_ACCESS_KEY")
	if e.Profile == "" && (id != "" || secret != "") {
		if id == "" || secret == "" {
			return auth.Credentials{}, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")
		}
		return auth.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: e.get("AWS_SESSION_TOKEN")}, nil
	}
	keys, err := e.fromFile()
	if err == nil || !errors.Is(err, ErrNoCredentials) {
		return keys, err
	}
	if id, secret := file.setting("aws_access_key_id"), file.setting("aws_secret_access_key"); id != "" && secret != "" {
		return auth.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: file.setting("aws_session_token")}, nil
	}
	return auth.Credentials{}, err
}

// read reads a file through the seam that tests have.
func (e Environment) read(path string) ([]byte, error) {
	if e.ReadFile != nil {
		return e.ReadFile(path)
	}
	return os.ReadFile(path)
}

// path is that of a file of the AWS tools: a variable's, or the default one below the home directory; "" without a home.
func (e Environment) path(variable, name string) string {
	if path := e.get(variable); path != "" {
		return path
	}
	home := e.HomeDir
	if home == nil {
		home = os.UserHomeDir
	}
	dir, err := home()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, ".aws", name)
}

// fromFile takes a profile's key pair out of the credentials file.
func (e Environment) fromFile() (auth.Credentials, error) {
	path := e.path("AWS_SHARED_CREDENTIALS_FILE", "credentials")
	if path == "" {
		return auth.Credentials{}, ErrNoCredentials
	}
	text, err := e.read(path)
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
		if k.Profile == e.profile() {
			return k.Credentials(), nil
		}
	}
	return auth.Credentials{}, fmt.Errorf("%w: the file %s has no profile %q with a key pair", ErrNoCredentials, path, e.profile())
}
