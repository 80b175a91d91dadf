package server

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/oidc"
	"weir/internal/store"
	"weir/internal/sts"
)

// newSTSSite is a site with the STS API.
func newSTSSite(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	return newSite(t, append(change, func(o *Options) {
		minter := sts.NewMinter(o.Access, 0, nil)
		o.Access.SetTemporary(minter)
		o.STS = sts.NewService(o.Access, minter, oidc.NewVerifier(o.Access, oidc.Options{}),
			o.Account, nil)
	})...)
}

// form makes a call of the STS API; fields are "Name=value".
func (s *site) form(key auth.Credentials, fields ...string) answer {
	s.t.Helper()
	values := url.Values{"Version": {"2011-06-15"}}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		values.Set(name, value)
	}
	body := values.Encode()
	r := s.request(http.MethodPost, "/", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	signer := auth.Signer{Credentials: key, Region: "us-west-2", Service: "sts"}
	signer.Sign(r, []byte(body))
	return s.do(r)
}

type stsAnswer struct {
	XMLName  xml.Name
	Identity struct{ Arn, UserId, Account string } `xml:"GetCallerIdentityResult"`
	Session  struct{ Credentials minted }          `xml:"GetSessionTokenResult"`
	Role     struct {
		Credentials     minted
		AssumedRoleUser struct{ AssumedRoleId, Arn string }
	} `xml:"AssumeRoleResult"`
	RequestID string `xml:"ResponseMetadata>RequestId"`
}

type minted struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }

func (m minted) key() auth.Credentials {
	return auth.Credentials{AccessKeyID: m.AccessKeyId, SecretAccessKey: m.SecretAccessKey,
		SessionToken: m.SessionToken}
}

func (a answer) sts(t *testing.T) (out stsAnswer) {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "text/xml" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	must(t, xml.Unmarshal([]byte(a.body), &out))
	if out.XMLName.Space != "https://sts.amazonaws.com/doc/2011-06-15/" ||
		out.RequestID != a.header.Get("x-amzn-RequestId") {
		t.Errorf("%s", a.body)
	}
	return out
}

func (a answer) stsFails(t *testing.T, status int, code, message string) {
	t.Helper()
	var out struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     struct{ Type, Code, Message string }
		RequestId string
	}
	must(t, xml.Unmarshal([]byte(a.body), &out))
	if a.status != status || out.Error.Type != "Sender" || out.Error.Code != code ||
		!strings.Contains(out.Error.Message, message) ||
		out.RequestId != a.header.Get("x-amzn-RequestId") {
		t.Errorf("got %d %s\nwant %d %s %q", a.status, a.body, status, code, message)
	}
}

const accountTrust = `{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",` +
	`\"Principal\":{\"AWS\":\"000000000000\"},\"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"],` +
	`\"Condition\":{\"StringEquals\":{\"sts:ExternalId\":\"x1\"}}}}`

const viewersARN = "arn:aws:iam::000000000000:role/viewers"

// assumable makes a role, a user whose policy allows it to assume the role, and a stream.
func assumable(s *site) auth.Credentials {
	s.ok("/weir/createRole", `{"RoleName":"viewers","Policies":["read-only"],"TrustPolicy":"`+
		accountTrust+`"}`)
	s.putPolicy("assume", `{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],`+
		`"Resource":"`+viewersARN+`"}`)
	s.ok("/createStream", `{"StreamName":"cam"}`)
	return s.newKey("ann", "assume")
}

// Credentials of a role can do what both the role and the session policy allow, and end with the
// role.
func TestAssumeRole(t *testing.T) {
	t.Parallel()
	s := newSTSSite(t)
	ann := assumable(s)
	assume := func(more ...string) answer {
		return s.form(ann, append([]string{"Action=AssumeRole", "RoleArn=" + viewersARN,
			"RoleSessionName=desk", "ExternalId=x1"}, more...)...)
	}
	got := assume("Tags.member.1.Key=site", "Tags.member.1.Value=a").sts(t).Role
	const arn = "arn:aws:sts::000000000000:assumed-role/viewers/desk"
	if got.AssumedRoleUser.Arn != arn || !strings.HasPrefix(got.AssumedRoleUser.AssumedRoleId,
		"AROA") || !strings.HasSuffix(got.AssumedRoleUser.AssumedRoleId, ":desk") {
		t.Errorf("%+v", got.AssumedRoleUser)
	}
	ends, err := time.Parse("2006-01-02T15:04:05Z", got.Credentials.Expiration)
	if left := time.Until(ends); err != nil || left > time.Hour || left < 50*time.Minute {
		t.Errorf("it ends in %s, %v", left, err)
	}
	role := got.Credentials.key()
	if who := s.form(role, "Action=GetCallerIdentity").sts(t).Identity; who.Arn != arn {
		t.Errorf("%+v", who)
	}
	const describe, body = "/describeStream", `{"StreamName":"cam"}`
	if a := s.as(role, describe, body); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.as(ann, describe, body).fails(t, 403, refused, "user/ann")
	s.as(role, "/deleteStream", `{"StreamARN":"arn:aws:kinesisvideo:us-west-2:000000000000:`+
		`stream/cam/1"}`).fails(t, 403, refused, arn)
	bound := assume(`Policy={"Version":"2012-10-17","Statement":{"Effect":"Allow",` +
		`"Action":"kinesisvideo:ListStreams","Resource":"*"}}`).sts(t).Role.Credentials.key()
	s.as(bound, describe, body).fails(t, 403, refused, "no session policy allows")
	wrong := role
	wrong.SecretAccessKey = bound.SecretAccessKey
	s.form(wrong, "Action=GetCallerIdentity").stsFails(t, 403, "SignatureDoesNotMatch", "")
	s.ok("/weir/deleteRole", `{"RoleName":"viewers"}`)
	s.as(role, describe, body).fails(t, 403, notKnown, "")
	s.form(role, "Action=GetCallerIdentity").stsFails(t, 403, "InvalidClientTokenId", "")
}

// Refusals are those of AWS, and reveal nothing about roles.
func TestSTSRefuses(t *testing.T) {
	t.Parallel()
	s := newSTSSite(t)
	ann := assumable(s)
	bob := s.newKey("bob", "read-only")
	s.putPolicy("untagged", `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}`)
	carl := s.newKey("carl", "untagged")
	role := []string{"Action=AssumeRole", "RoleArn=" + viewersARN, "RoleSessionName=desk",
		"ExternalId=x1"}
	with := func(more ...string) []string { return append(role[:len(role):len(role)], more...) }
	denied := "User: arn:aws:iam::000000000000:user/"
	chained := s.form(ann, role...).sts(t).Role.Credentials.key()
	for _, c := range []struct {
		key           auth.Credentials
		fields        []string
		status        int
		code, message string
	}{
		{bob, role, 403, "AccessDenied", denied + "bob"},
		{ann, with("ExternalId=x2"), 403, "AccessDenied", denied + "ann"},
		{ann, with("RoleArn=" + viewersARN + "2"), 403, "AccessDenied", denied + "ann"},
		{chained, role, 403, "AccessDenied", "assumed-role/viewers/desk"},
		{chained, []string{"Action=GetSessionToken"}, 403, "AccessDenied", "session credentials"},
		{ann, with("RoleSessionName=a b"), 400, "ValidationError", "roleSessionName"},
		{ann, with("RoleArn=x"), 400, "ValidationError", "roleArn"},
		{ann, with("DurationSeconds=899"), 400, "ValidationError", "durationSeconds"},
		{ann, with("DurationSeconds=43201"), 400, "ValidationError", "durationSeconds"},
		{ann, with("DurationSeconds=1h"), 400, "ValidationError", "durationSeconds"},
		{ann, with("DurationSeconds=7200"), 400, "ValidationError", "MaxSessionDuration"},
		{ann, with("Policy={}"), 400, "MalformedPolicyDocument", ""},
		{ann, with("Policy="), 400, "MalformedPolicyDocument", ""},
		{ann, with("Tags.member.2.Key=a", "Tags.member.2.Value=b"), 400, "ValidationError", "gap"},
		{ann, with("Tags.member.1.Key=", "Tags.member.1.Value=b"), 400, "ValidationError",
			"a key has 1"},
		{carl, with("Tags.member.1.Key=a"), 403, "AccessDenied", "sts:TagSession"},
		{ann, with("Tags.member.1.Key=a", "Tags.member.2.Key=A"), 400, "ValidationError",
			"case insensitive"},
		{ann, with("PolicyArns.member.7.arn=a"), 400, "ValidationError", "PolicyArns"},
		{ann, with("PolicyArns.member.1.arn=a"), 400, "ValidationError", "policyArns"},
		{ann, with("PolicyArns.member.1.arn=arn:aws:iam::000000000000:policy/none"), 400,
			"ValidationError", "there is no policy 'none'"},
		{ann, with("TransitiveTagKeys.member.1=a"), 400, "ValidationError", "transitive tag key"},
		{ann, with("Policy=" + strings.Repeat(" ", 7000) + `{"Statement":[`), 400,
			"PackedPolicyTooLarge", "100%"},
		{ann, with("SerialNumber=123456789"), 400, "ValidationError", "SerialNumber"},
		{ann, with("SourceIdentity=ann"), 400, "ValidationError", "SourceIdentity"},
		{ann, []string{"Action=GetSessionToken", "TokenCode=123456"}, 400, "ValidationError",
			"TokenCode"},
		{ann, []string{"Action=Nothing"}, 400, "InvalidAction", "Nothing"},
		{ann, []string{"Action=GetCallerIdentity", "Version=1"}, 400, "InvalidAction", ""},
		{ann, nil, 400, "MissingAction", ""},
	} {
		s.form(c.key, c.fields...).stsFails(t, c.status, c.code, c.message)
	}
	// A signature for the other service is not valid for this one.
	s.as(ann, "/", "Action=GetCallerIdentity&Version=2011-06-15").stsFails(t, 403,
		"SignatureDoesNotMatch", "'sts'")
}

// Transitive tags pass on to the next role, which cannot override them. Sessions of roles that a
// role assumed last at most an hour. Policies of PolicyArns limit a session as they are at each
// call.
func TestChainedRoles(t *testing.T) {
	t.Parallel()
	s := newSTSSite(t)
	ann := assumable(s)
	s.ok("/weir/attachPolicy", `{"RoleName":"viewers","PolicyName":"assume"}`)
	s.putPolicy("assume", `{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],`+
		`"Resource":"*"}`)
	const innerARN = "arn:aws:iam::000000000000:role/inner"
	s.ok("/weir/createRole", `{"RoleName":"inner","Policies":["administrator"],`+
		`"MaxSessionDuration":7200,"TrustPolicy":"`+strings.Replace(accountTrust,
		`\"sts:ExternalId\":\"x1\"`, `\"aws:RequestTag/site\":\"a\"`, 1)+`"}`)
	outer := func(more ...string) auth.Credentials {
		return s.form(ann, append([]string{"Action=AssumeRole", "RoleArn=" + viewersARN,
			"RoleSessionName=desk", "ExternalId=x1", "Tags.member.1.Key=site",
			"Tags.member.1.Value=a"}, more...)...).sts(t).Role.Credentials.key()
	}
	inner := func(key auth.Credentials, more ...string) answer {
		return s.form(key, append([]string{"Action=AssumeRole", "RoleArn=" + innerARN,
			"RoleSessionName=deep"}, more...)...)
	}
	inner(outer()).stsFails(t, 403, "AccessDenied", "sts:AssumeRole")
	handsOn := outer("TransitiveTagKeys.member.1=site")
	inner(handsOn, "Tags.member.1.Key=Site", "Tags.member.1.Value=b").stsFails(t, 400,
		"ValidationError", "case insensitive")
	inner(handsOn, "DurationSeconds=3601").stsFails(t, 400, "ValidationError", "role chaining")
	inner(inner(handsOn).sts(t).Role.Credentials.key()).sts(t) // and on

	const arns = "PolicyArns.member.1.arn=arn:aws:iam::000000000000:policy/some"
	inner(handsOn, arns).stsFails(t, 400, "ValidationError", "there is no policy")
	s.putPolicy("some", `{"Effect":"Allow","Action":"kinesisvideo:ListStreams","Resource":"*"}`)
	some := inner(handsOn, arns).sts(t).Role.Credentials.key()
	if a := s.as(some, "/listStreams", `{}`); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.as(some, "/describeStream", `{"StreamName":"cam"}`).fails(t, 403, refused,
		"no session policy allows")
	s.ok("/weir/deletePolicy", `{"PolicyName":"some"}`)
	s.as(some, "/listStreams", `{}`).fails(t, 403, refused, "")
}

// Credentials that were obtained with a camera's credentials, directly or through others, end with
// the camera.
func TestRolesOfACamera(t *testing.T) {
	t.Parallel()
	s := newSTSSite(t)
	assumable(s)
	s.ok("/weir/attachPolicy", `{"RoleName":"viewers","PolicyName":"assume"}`)
	who, now := s.server.access, time.Now()
	camera, err := who.PutCamera(t.Context(), access.CameraInfo{Name: "cam1",
		Policies: []string{"assume"}}, store.NewDocument)
	must(t, err)
	own, err := sts.NewMinter(who, 0, nil).Mint(t.Context(), access.Claims{Kind: access.Camera,
		Name: "cam1", Thing: "cam1", ThingID: camera.ID, Certificate: "01", Issued: now,
		Expires: now.Add(time.Hour)})
	must(t, err)
	assume := func(key auth.Credentials) auth.Credentials {
		return s.form(key, "Action=AssumeRole", "RoleArn="+viewersARN, "RoleSessionName=cam1",
			"ExternalId=x1").sts(t).Role.Credentials.key()
	}
	one := assume(own)
	two := assume(one)
	for _, key := range []auth.Credentials{one, two} {
		if a := s.as(key, "/listStreams", `{}`); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	must(t, who.DisableCamera(t.Context(), "cam1"))
	for _, key := range []auth.Credentials{one, two} {
		s.as(key, "/listStreams", `{}`).fails(t, http.StatusForbidden,
			string(auth.UnrecognizedClient), "")
	}
}

// The session of a user is the user, until its key is disabled. Policies may deny it.
func TestGetSessionToken(t *testing.T) {
	t.Parallel()
	s := newSTSSite(t)
	ann := s.newKey("ann", "read-only")
	session := s.form(ann, "Action=GetSessionToken").sts(t).Session.Credentials.key()
	who := s.form(session, "Action=GetCallerIdentity").sts(t).Identity
	if who.Arn != "arn:aws:iam::000000000000:user/ann" || who.Account != "000000000000" ||
		!strings.HasPrefix(who.UserId, "AIDA") {
		t.Errorf("%+v", who)
	}
	root := s.form(s.signer.Credentials, "Action=GetSessionToken").sts(t).Session.Credentials.key()
	if a := s.as(root, "/listStreams", `{}`); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.as(session, "/listStreams", `{}`); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.ok("/weir/disableKey", `{"Key":"`+ann.AccessKeyID+`"}`)
	s.as(session, "/listStreams", `{}`).fails(t, 403, notKnown, "")
	s.putPolicy("none", `{"Effect":"Deny","Action":"sts:*","Resource":"*"}`)
	bob := s.newKey("bob", "none")
	s.form(bob, "Action=GetSessionToken").stsFails(t, 403, "AccessDenied", "sts:GetSessionToken")
	s.form(bob, "Action=GetCallerIdentity").sts(t)
}
