package access

import (
	"time"

	"weir/internal/policy"
)

// Kind is a kind of principal.
type Kind uint8

// Kinds of principals.
const (
	Root    Kind = iota + 1 // the default profile of the credentials file: may do everything
	Key                     // a user, by a key of its own
	Role                    // who assumed a role
	Session                 // a user or root, by credentials of GetSessionToken
	Camera                  // a thing, by its certificate
)

// String names the kind as logs do.
func (k Kind) String() string {
	if names := [...]string{"root", "key", "role", "session", "camera"}; k >= Root && k <= Camera {
		return names[k-1]
	}
	return "unknown"
}

// Principal is who signed a call. It never changes; Registry.Current returns its present state.
type Principal struct {
	Kind Kind
	// ARN is arn:aws:iam::ACCOUNT:root, arn:aws:iam::ACCOUNT:user/NAME or
	// arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION; cameras are sessions of their name.
	ARN string
	// UserID is the account of root, the ID of a user (AIDA…), or that of a role (AROA…), a colon
	// and the session's name (IAM user guide, "IAM identifiers").
	UserID      string
	Name        string            // of the user, the role or the thing; "" for root
	AccessKeyID string            // "" of a principal that Registry.Principal returned
	Tags        map[string]string // aws:PrincipalTag
	Thing       string            // credentials-iot:ThingName; "" but for cameras
	Policies    []policy.Named    // identity policies
	Bounds      [][]policy.Named  // each must allow as well, such as a session policy
	Expires     time.Time         // zero: never

	generation *generation    // of the snapshot that Policies and Bounds are of
	claims     *Claims        // of temporary credentials
	root       bool           // Root, or a Session of it
	context    policy.Context // its own condition keys
}

// IsRoot reports whether the principal may do everything.
func (p *Principal) IsRoot() bool { return p.root }

// Transitive returns the session tags that pass on to roles that the principal assumes.
func (p *Principal) Transitive() map[string]string {
	if p.claims == nil {
		return nil
	}
	tags := make(map[string]string, len(p.claims.Transitive))
	for _, key := range p.claims.Transitive {
		tags[key] = p.claims.Tags[key]
	}
	return tags
}

// Device returns claims with only the camera and the certificate that the principal's credentials
// depend on; empty when there are none. Credentials made with these claims depend on them, too.
func (p *Principal) Device() Claims {
	if p.claims == nil {
		return Claims{}
	}
	return Claims{Thing: p.claims.Thing, ThingID: p.claims.ThingID,
		Certificate: p.claims.Certificate}
}

// Share names the share of limited resources that the principal uses. A user has one for all keys
// and temporary credentials. A role has one for all its sessions, because who may assume it can
// make up any number of session names. Each camera has its own.
func (p *Principal) Share() string {
	if p.Kind == Role {
		return "role/" + p.Name
	}
	return p.ARN
}

// setContext sets the condition keys that a principal brings to each call (IAM user guide, "AWS
// global condition context keys", "Properties of the principal"). arn is the principal's or, for a
// session of a role, the role's.
func (p *Principal) setContext(account, arn string) {
	c := policy.Context{}
	c.Set("aws:PrincipalArn", arn)
	c.Set("aws:PrincipalAccount", account)
	c.Set("aws:userid", p.UserID)
	c.SetTags("aws:PrincipalTag/", p.Tags)
	assumed := p.Kind == Role || p.Kind == Camera
	switch {
	case p.root:
		c.Set("aws:PrincipalType", "Account")
	case assumed:
		c.Set("aws:PrincipalType", "AssumedRole")
	default:
		c.Set("aws:PrincipalType", "User")
		c.Set("aws:username", p.Name)
	}
	if p.Thing != "" {
		c.Set("credentials-iot:ThingName", p.Thing)
	}
	if p.claims != nil {
		c.Set("aws:TokenIssueTime", p.claims.Issued.UTC().Format(time.RFC3339))
		for key, values := range p.claims.Context {
			c.Set(key, values...)
		}
	}
	p.context = c
}

// Claims is what the token of temporary credentials says.
type Claims struct {
	AccessKeyID string // ASIA…, 20 characters
	Secret      string
	Kind        Kind // Role, Session or Camera
	// Name is the name of the role, of the user (Session; "" for root) or of the thing (Camera).
	Name string
	// ID is the ID of that user or role, "" for root and cameras. A user or role that was deleted
	// and made again has another ID, so the credentials of the old one stay invalid.
	ID          string
	SessionName string // of an assumed role
	// Parent is the long-term access key that GetSessionToken was called with: disabling it ends
	// the session too.
	Parent string
	// Policies are session policies, and PolicyNames names stored policies that serve as such;
	// together they limit the session. With neither it has no limit of its own.
	Policies    []policy.Named
	PolicyNames []string
	Tags        map[string]string // session tags, which go before the role's own
	// Transitive are the keys of those tags that a role which is assumed with the credentials gets.
	Transitive []string
	Context    map[string][]string // more condition keys, such as aws:FederatedProvider
	Thing      string
	// ThingID is CameraInfo.ID of the thing, and Certificate the serial number of the certificate
	// that it showed, as CameraInfo.Revoked has it; both only with Thing.
	ThingID     string
	Certificate string
	Issued      time.Time
	Expires     time.Time
}

// Temporary opens the tokens of temporary credentials.
type Temporary interface {
	// Open returns what a token says. Its error is an *auth.Error: the token is invalid, or has
	// expired at now.
	Open(token string, now time.Time) (Claims, error)
}

// arns makes the ARNs of one account.
type arns struct{ account string }

func (a arns) root() string            { return "arn:aws:iam::" + a.account + ":root" }
func (a arns) user(name string) string { return "arn:aws:iam::" + a.account + ":user/" + name }
func (a arns) role(name string) string { return "arn:aws:iam::" + a.account + ":role/" + name }
func (a arns) policy(name string) string {
	return "arn:aws:iam::" + a.account + ":policy/" + name
}
func (a arns) session(role, session string) string {
	return "arn:aws:sts::" + a.account + ":assumed-role/" + role + "/" + session
}

// HolderARN is the ARN of a holder of policies. A user without a name is root. A camera is a
// session of the role that all cameras have.
func (r *Registry) HolderARN(of Holder, name string) string {
	switch {
	case of == HolderCamera:
		return r.arns.session(cameraRole, name)
	case of == HolderRole:
		return r.arns.role(name)
	case name == "":
		return r.arns.root()
	}
	return r.arns.user(name)
}

// ProviderARN is the ARN of an OpenID Connect provider (package oidc).
func (r *Registry) ProviderARN(name string) string {
	return "arn:aws:iam::" + r.account + ":oidc-provider/" + name
}

// PolicyARN is the ARN of a policy.
func (r *Registry) PolicyARN(name string) string { return r.arns.policy(name) }

// fromMillis converts a time as documents have it.
func fromMillis(n int64) time.Time { return time.UnixMilli(n).UTC() }
