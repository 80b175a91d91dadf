package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"weir/internal/auth"
)

// defaultEndpoint is where `weir serve` listens when nothing else is said.
const defaultEndpoint = "http://127.0.0.1:8480"

// defaultRegion is what a request is signed for when nothing else is said. Weir accepts any.
const defaultRegion = "us-west-2"

// ErrNoCredentials says that neither the environment nor a file has keys, or a way to get them.
var ErrNoCredentials = errors.New("unable to locate credentials")

// ErrNoProfile says that none of the files has the profile that was asked for.
var ErrNoProfile = errors.New("could not be found")

// Environment is where AWS tools take their settings from: flags, variables, the config file and
// the credentials file, as the AWS SDK reads them. It has all of the SDK's kinds of credentials
// except EC2 instance metadata: a machine in a cloud has no keys for a Weir server, and elsewhere
// the question would only wait for its timeout. Fields that are set come from the command line and
// take precedence; zero fields are looked up.
type Environment struct {
	// else AWS_ENDPOINT_URL_…, AWS_ENDPOINT_URL, the config file, defaultEndpoint
	EndpointURL string
	Region      string // else AWS_REGION, AWS_DEFAULT_REGION, the config file, defaultRegion
	// else the keys of the variables; AWS_PROFILE, AWS_DEFAULT_PROFILE, "default"
	Profile string
	// file of certificates to trust; else AWS_CA_BUNDLE, the config file, those of the system
	CABundle string
	NoVerify bool      // take any certificate
	Debug    io.Writer // not nil: a line for each request and answer goes here
}

// SDK service ids, under which variables and the config file have endpoints.
const (
	controlService = "Kinesis Video"
	dataService    = "Kinesis Video Archived Media"
)

// settings is what the SDK has found.
type settings struct {
	aws.Config
	env    config.EnvConfig
	shared config.SharedConfig // of the profile
}

// Client makes a client from what the environment says. Errors are ErrNoCredentials, ErrNoProfile
// and those of files and providers.
func (e Environment) Client(ctx context.Context) (*Client, error) {
	s, err := e.load(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{Region: s.Region, Endpoint: e.endpoint(ctx, s, controlService, defaultEndpoint)}
	// A general endpoint is that of the control service, which says where the data service is.
	if data := e.endpoint(ctx, s, dataService, ""); data != c.Endpoint || e.EndpointURL != "" {
		c.ArchivedMedia = data
	}
	if c.HTTP, c.TLS, err = e.http(s); err != nil {
		return nil, err
	}
	keys, err := e.credentials(ctx, s)
	if err != nil {
		return nil, err
	}
	c.Credentials = signingKeys(keys)
	if keys.CanExpire {
		c.Renew = func(ctx context.Context) (auth.Credentials, error) {
			keys, err := e.credentials(ctx, s)
			return signingKeys(keys), err
		}
	}
	return c, nil
}

// load has the SDK read variables and files. It does not ask any service yet.
func (e Environment) load(ctx context.Context) (*settings, error) {
	options := []func(*config.LoadOptions) error{
		config.WithEC2IMDSClientEnableState(imds.ClientDisabled),
		config.WithDefaultsMode(aws.DefaultsModeStandard),
		config.WithDefaultRegion(defaultRegion), config.WithRegion(e.Region),
		config.WithSharedConfigProfile(e.Profile),
	}
	// The SDK's own calls, such as those to STS for a role, trust what calls to the server trust.
	if e.NoVerify {
		options = append(options,
			config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(
				func(t *http.Transport) {
					t.TLSClientConfig.InsecureSkipVerify = true // asked for with --no-verify-ssl
				})))
	}
	if e.CABundle != "" {
		pem, err := readBundle(e.CABundle)
		if err != nil {
			return nil, err
		}
		options = append(options, config.WithCustomCABundle(bytes.NewReader(pem)))
		// the SDK would not say which file it could not read
	} else if bundle := os.Getenv("AWS_CA_BUNDLE"); bundle != "" {
		if _, err := readBundle(bundle); err != nil {
			return nil, err
		}
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if missing := (config.SharedConfigProfileNotExistError{}); errors.As(err, &missing) {
		return nil, e.unreadable(fmt.Errorf("the config profile (%s) %w", missing.Profile,
			ErrNoProfile))
	}
	if token := (config.AssumeRoleTokenProviderNotSetError{}); errors.As(err, &token) {
		return nil, fmt.Errorf(
			"the role of profile %q wants an MFA code, and weir cannot ask for one", e.profile())
	}
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	s := &settings{Config: loaded}
	for _, source := range loaded.ConfigSources {
		switch source := source.(type) {
		case config.EnvConfig:
			s.env = source
		case config.SharedConfig:
			s.shared = source
		}
	}
	if name := s.shared.ServicesSectionName; name != "" && s.shared.Services.ServiceValues == nil {
		return nil, fmt.Errorf("profile %q names the services %q, which are not in the config file",
			e.profile(), name)
	}
	return s, nil
}

// profile is the name of the profile in use.
func (e Environment) profile() string {
	return cmp.Or(e.Profile, os.Getenv("AWS_PROFILE"), os.Getenv("AWS_DEFAULT_PROFILE"), "default")
}

// files are the config file and the credentials file.
func files() [2]string {
	return [2]string{cmp.Or(os.Getenv("AWS_CONFIG_FILE"), config.DefaultSharedConfigFilename()),
		cmp.Or(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), config.DefaultSharedCredentialsFilename())}
}

// unreadable returns the error of a file that exists but cannot be read, because the SDK treats
// such a file as empty; or else err.
func (e Environment) unreadable(err error) error {
	for _, path := range files() {
		if _, cause := os.ReadFile(path); cause != nil && !errors.Is(cause, fs.ErrNotExist) {
			return fmt.Errorf("read the AWS configuration: %w", cause)
		}
	}
	return err
}

// endpoint is the URL of a service. The order is that of the AWS command line, which prefers the
// general variable to the config file.
func (e Environment) endpoint(ctx context.Context, s *settings, service, otherwise string) string {
	if e.EndpointURL != "" {
		return strings.TrimSuffix(e.EndpointURL, "/")
	}
	if ignore := cmp.Or(s.env.IgnoreConfiguredEndpoints,
		s.shared.IgnoreConfiguredEndpoints); ignore != nil && *ignore {
		return otherwise
	}
	ofVariable, _, _ := s.env.GetServiceBaseEndpoint(ctx, service) // neither has errors
	ofFile, _, _ := s.shared.GetServiceBaseEndpoint(ctx, service)
	return strings.TrimSuffix(cmp.Or(ofVariable, s.env.BaseEndpoint, ofFile, s.shared.BaseEndpoint,
		otherwise), "/")
}

// credentials asks the provider that the configuration names for keys. Keys that are still good
// are returned again.
func (e Environment) credentials(ctx context.Context, s *settings) (aws.Credentials, error) {
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if e.Profile == "" && !s.env.Credentials.HasKeys() && (id != "") != (secret != "") {
		return aws.Credentials{},
			errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")
	}
	// the SDK's last resort
	if aws.IsCredentialsProvider(s.Credentials, (*ec2rolecreds.Provider)(nil)) {
		paths := files()
		return aws.Credentials{},
			e.unreadable(fmt.Errorf("%w: there are no keys in the environment, and none for the "+
				"profile %q in %s and %s",
				ErrNoCredentials, e.profile(), paths[0], paths[1]))
	}
	keys, err := s.Credentials.Retrieve(ctx)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil { // without what the SDK says of its cache
			err = inner
		}
		return aws.Credentials{}, fmt.Errorf("credentials of the profile %q: %w", e.profile(), err)
	}
	return keys, nil
}

func signingKeys(c aws.Credentials) auth.Credentials {
	return auth.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey,
		SessionToken: c.SessionToken}
}

// Output is the form of answers that AWS_DEFAULT_OUTPUT or the profile asks for, or "". The SDK,
// which prints nothing, leaves this setting of the files out.
func (e Environment) Output() (string, error) {
	form := os.Getenv("AWS_DEFAULT_OUTPUT")
	if form != "" {
		return form, nil
	}
	for i, path := range files() {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read the AWS configuration: %w", err)
		}
		name, found := e.profile(), ""
		if i == 0 {
			found = setting(string(text), "profile "+name, "output")
		}
		if i == 1 || name == "default" {
			found = cmp.Or(found, setting(string(text), name, "output"))
		}
		form = cmp.Or(found, form)
	}
	return form, nil
}

// setting finds a setting in a section of a file, or "". Indented lines belong to the setting
// above them.
func setting(text, section, name string) (value string) {
	inside := false
	for line := range strings.Lines(text) {
		if header, ok := strings.CutPrefix(line, "["); ok {
			header, _, _ = strings.Cut(header, "]")
			inside = strings.Join(strings.Fields(strings.ReplaceAll(header, `"`, "")),
				" ") == section
		} else if key, v, ok := strings.Cut(line, "="); ok && inside &&
			strings.TrimRight(key, " \t") == name {
			v, _, _ = strings.Cut(v, " #")
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// readBundle reads certificates to trust.
func readBundle(path string) ([]byte, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the certificates to trust: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the file %s has no certificate in PEM form", path)
	}
	return pem, nil
}

// http makes the HTTP client of the certificates to trust; both are nil when nothing is special.
func (e Environment) http(s *settings) (*http.Client, *tls.Config, error) {
	bundle := cmp.Or(e.CABundle, s.env.CustomCABundle, s.shared.CustomCABundle)
	if bundle == "" && !e.NoVerify && e.Debug == nil {
		return nil, nil, nil
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, nil, errors.New("the default transport is not one of net/http")
	}
	transport = transport.Clone()
	trust := &tls.Config{InsecureSkipVerify: e.NoVerify} // asked for with --no-verify-ssl
	if bundle != "" && !e.NoVerify {
		pem, err := readBundle(bundle)
		if err != nil {
			return nil, nil, err
		}
		trust.RootCAs = x509.NewCertPool()
		trust.RootCAs.AppendCertsFromPEM(pem)
	}
	transport.TLSClientConfig = trust.Clone() // the transport changes its own
	c := &http.Client{Transport: transport, Timeout: callTimeout}
	if e.Debug != nil {
		c.Transport = &tracer{next: transport, w: e.Debug}
	}
	return c, trust, nil
}

// tracer tells of each request and answer. It shows no header that holds a secret or a signature.
type tracer struct {
	next http.RoundTripper
	w    io.Writer
}

// RoundTrip implements http.RoundTripper.
func (t *tracer) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	fmt.Fprintf(t.w, "debug: %s %s, %d bytes, signed for %s\n", r.Method, r.URL, r.ContentLength,
		scope(r.Header.Get("Authorization")))
	res, err := t.next.RoundTrip(r)
	took := time.Since(began).Round(time.Microsecond)
	if err != nil {
		fmt.Fprintf(t.w, "debug: no answer after %v: %v\n", took, err)
		return nil, err
	}
	fmt.Fprintf(t.w, "debug: %s after %v, request %s\n", res.Status, took,
		cmp.Or(res.Header.Get("x-amzn-RequestId"), "without id"))
	return res, nil
}

// scope is the key and the scope of a signature: what may be shown of an Authorization header.
func scope(authorization string) string {
	_, after, _ := strings.Cut(authorization, "Credential=")
	scope, _, _ := strings.Cut(after, ",")
	return cmp.Or(scope, "nobody")
}
