package cameras

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/policy"
)

// Path begins the paths of the credentials endpoint: Path + ALIAS + "/credentials" (PROD-C
// IotCredentialProvider.c, ROLE_ALIASES_PATH and CREDENTIAL_SERVICE).
const Path = "/role-aliases/"

const credentialsPath = "/credentials"

// headerThing names the thing (PROD-C IotCredentialProvider.h, IOT_THING_NAME_HEADER).
const headerThing = "x-amzn-iot-thingname"

// defaultAlias is the role alias for a camera's own credentials, with the policies that are
// attached to the camera. Any other alias is the name of a role.
const defaultAlias = "camera"

// aliases are names of role aliases (AWS IoT API reference, "CreateRoleAlias").
var aliases = regexp.MustCompile(`\A[A-Za-z0-9_=,@.+-]{1,128}\z`)

// credentialsTime is how long credentials last: as long as those of AWS IoT by default
// ("CreateRoleAlias", credentialDurationSeconds). leastTime is how long they last at least, even if
// the certificate is about to expire: producers renew them 38 s before their end.
const (
	credentialsTime = time.Hour
	leastTime       = 15 * time.Minute
)

// timestampForm is the form of expiration: 20 characters, which the producers' library parses by
// their position (PROD-C Util.c convertTimestampToEpoch).
const timestampForm = "2006-01-02T15:04:05Z"

// credentials is the answer. The embedded C library looks for the members in this object, the C
// library anywhere in the text.
type credentials struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	SessionToken    string `json:"sessionToken"`
	Expiration      string `json:"expiration"`
}

// Report says what ServeHTTP did.
type Report struct {
	Alias       string // in the request; "": the path has none
	Camera      string // once its certificate is known
	AccessKeyID string // of the credentials; "": none were given
	Refusal     string // why
}

// reportKey is the key of Into in a context.
type reportKey struct{}

// Into returns a context for a request to ServeHTTP, which fills in the report.
func Into(ctx context.Context, r *Report) context.Context {
	return context.WithValue(ctx, reportKey{}, r)
}

func reportOf(ctx context.Context) *Report {
	if r, ok := ctx.Value(reportKey{}).(*Report); ok {
		return r
	}
	return new(Report)
}

// ServeHTTP answers GET Path + ALIAS + "/credentials" of a camera with a client certificate.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	alias, ok := strings.CutPrefix(r.URL.Path, Path)
	alias, end := strings.CutSuffix(alias, credentialsPath)
	if !ok || !end || !aliases.MatchString(alias) {
		answer(w, http.StatusNotFound, map[string]string{"message": "Not found."})
		return
	}
	said := reportOf(r.Context())
	said.Alias = alias
	made, err := s.credentials(r.Context(), r, alias)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		said.Camera, said.Refusal = refused.known, refused.message
		if refused.known != "" && s.told.once(refused.message, s.now()) {
			s.log.Warn("a camera gets no credentials", "camera", refused.known, "remote",
				r.RemoteAddr, "why", refused.message)
		}
		answer(w, refused.status, map[string]string{"message": refused.message})
	case err != nil:
		said.Refusal = "Internal failure."
		if r.Context().Err() == nil {
			s.log.Error("credentials of a camera cannot be made", "remote", r.RemoteAddr, "error",
				err)
		}
		answer(w, http.StatusInternalServerError, map[string]string{"message": "Internal failure."})
	default:
		said.AccessKeyID = made.AccessKeyID
		answer(w, http.StatusOK, map[string]credentials{"credentials": *made})
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // strings only
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that left needs no answer; net/http sends none to HEAD
}

// credentials makes the credentials for a request. The error is a *refusal, or a fault of the
// server.
func (s *Service) credentials(
	ctx context.Context, r *http.Request, alias string,
) (*credentials, error) {
	id, err := s.identify(ctx, r.TLS)
	if err != nil {
		return nil, err
	}
	camera, err := s.camera(ctx, id, r.Header.Get(headerThing))
	if err != nil {
		return nil, err
	}
	reportOf(ctx).Camera = camera.Name
	now := s.now()
	claims := access.Claims{Kind: access.Camera, Name: camera.Name, Thing: camera.Name,
		ThingID: camera.ID, Certificate: id.serial(),
		Context: map[string][]string{"credentials-iot:AwsCertificateId": {id.certificateID()}},
		Issued:  now, Expires: expiry(now, id.leaf.NotAfter)}
	if alias != defaultAlias {
		if err := s.assume(&claims, camera, alias); err != nil {
			return nil, err
		}
	}
	made, err := s.mint(ctx, claims)
	if err != nil {
		return nil, err
	}
	if left := id.leaf.NotAfter.Sub(now); left < api.CertificateWarning &&
		s.told.once("end of "+camera.Name, now) {
		s.log.Warn("the certificate of a camera ends soon: weir camera renew makes another",
			"camera", camera.Name, "serial", id.serial(), "end", id.leaf.NotAfter)
	}
	return &credentials{AccessKeyID: made.AccessKeyID, SecretAccessKey: made.SecretAccessKey,
		SessionToken: made.SessionToken, Expiration: claims.Expires.Format(timestampForm)}, nil
}

// expiry returns the end of credentials, in whole seconds, as in the answer. They end with the
// certificate, but not so soon that producers refuse them.
func expiry(now, certificate time.Time) time.Time {
	end := now.Add(credentialsTime)
	if certificate.Before(end) {
		end = certificate
	}
	if least := now.Add(leastTime); end.Before(least) {
		end = least
	}
	return end.UTC().Truncate(time.Second)
}

// iotService is the principal, in a role's trust policy, that asks for the role on behalf of a
// camera (AWS IoT developer guide, "Authorizing direct calls to AWS services using AWS IoT Core
// credential provider").
const iotService = "credentials.iot.amazonaws.com"

// assume turns claims into those of a role. The camera's own list and the role's trust policy must
// both allow it.
func (s *Service) assume(claims *access.Claims, camera Camera, alias string) error {
	role, err := s.access.Role(alias)
	if errors.Is(err, access.ErrNotFound) {
		return &refusal{status: http.StatusNotFound,
			message: "There is no role alias " + alias + ".", known: camera.Name}
	}
	if err != nil {
		return err
	}
	c := policy.Context{}
	c.Set("credentials-iot:ThingName", camera.Name)
	c.SetTags("aws:PrincipalTag/", camera.Tags)
	trusted := policy.DecideTrust(policy.Request{Action: "sts:AssumeRole", Resource: role.ARN,
		Context: c}, policy.Caller{Service: iotService}, role.Trust)
	if !slices.Contains(camera.Roles, alias) || !trusted.Allowed || trusted.Account {
		refused := forbidden("The camera %s may not use the role alias %s.", camera.Name, alias)
		refused.known = camera.Name
		return refused
	}
	claims.Kind, claims.Name, claims.ID, claims.SessionName = access.Role, role.Name, role.ID,
		camera.Name
	return nil
}
