package e2e_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const viewerRole = "arn:aws:iam::000000000000:role/viewer"

// ownSession is a name of a session that no other run has: the AWS command line keeps credentials
// in its user's home directory, by role and session.
func ownSession(name string) string { return fmt.Sprintf("%s-%d", name, time.Now().UnixNano()) }

// withViewers makes a stream north with the tag site=north, a role that may list streams and
// describe those with the site of its session, and a user ann who may assume the role. The
// environment becomes ann's, with a profile viewer that assumes the role; only the addresses are
// special.
func (s *server) withViewers() (root []string) {
	s.t.Helper()
	dir := s.t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
		return path
	}
	document := func(statements string) string {
		return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
	}
	s.run("weir", "create-stream", "--stream-name", "north", "--tags", "site=north",
		"--data-retention-in-hours", "1")
	s.run("weir", "policies", "put", "own-site", document(
		`{"Effect":"Allow","Action":["kinesisvideo:ListStreams","sts:AssumeRole"],"Resource":"*"},`+
			`{"Effect":"Allow","Action":"kinesisvideo:DescribeStream","Resource":"*",`+
			`"Condition":{"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/site}"}}}`))
	s.run("weir", "policies", "put", "assume", document(
		`{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Resource":"`+
			viewerRole+`"}`))
	s.run("weir", "roles", "create", "viewer", "--policy", "own-site", "--trust", document(
		`{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],`+
			`"Principal":{"AWS":"000000000000"}}`))
	profile := s.run("weir", "keys", "create", "ann", "--policy", "assume")
	root = s.env
	// The AWS command line keeps credentials of roles at home, and would take those of another
	// server.
	s.env = append(root[:len(root):len(root)], "HOME="+dir, "AWS_ENDPOINT_URL=",
		"AWS_ENDPOINT_URL_STS="+s.URL, "AWS_ENDPOINT_URL_KINESIS_VIDEO="+s.URL,
		"AWS_SHARED_CREDENTIALS_FILE="+write("credentials",
			strings.Replace(string(profile), "[ann]", "[default]", 1)),
		"AWS_CONFIG_FILE="+write("config", fmt.Sprintf(
			"[profile viewer]\nrole_arn = %s\nsource_profile = default\n"+
				"role_session_name = %s\n", viewerRole, ownSession("viewer"))))
	return root
}

// The AWS command line takes temporary credentials, and assumes roles with a profile. So does
// AWS's SDK for Go, with which weir's own command line finds its keys.
func TestRolesOfTheAWSCommandLine(t *testing.T) {
	waits(t)
	needTool(t, "aws")
	s := start(t, "")
	root := s.withViewers()
	who := func(args ...string) string {
		t.Helper()
		arn, _ := s.aws(append([]string{"sts", "get-caller-identity"}, args...)...)["Arn"].(string)
		return arn
	}
	if got := who(); got != "arn:aws:iam::000000000000:user/ann" {
		t.Errorf("get-caller-identity: %s", got)
	}
	const session = "arn:aws:sts::000000000000:assumed-role/viewer/"
	if got := who("--profile", "viewer"); !strings.HasPrefix(got, session) {
		t.Errorf("get-caller-identity with the role: %s", got)
	}
	s.awsFails("AccessDeniedException", "kinesisvideo", "list-streams")
	s.aws("kinesisvideo", "list-streams", "--profile", "viewer")
	s.run("weir", "list-streams", "--profile", "viewer")

	type temporary struct {
		Credentials     struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
		AssumedRoleUser struct{ AssumedRoleId, Arn string }
	}
	take := func(args ...string) (out temporary) {
		t.Helper()
		if err := json.Unmarshal(s.run("aws", append([]string{"sts", "--output", "json"},
			args...)...), &out); err != nil {
			t.Fatal(err)
		}
		end, err := time.Parse(time.RFC3339, out.Credentials.Expiration)
		if left := time.Until(end); err != nil || left > 15*time.Minute || left < time.Minute {
			t.Errorf("aws sts %s: it lasts %s, %v", args[0], left, err)
		}
		return out
	}
	of := take("get-session-token", "--duration-seconds", "900").Credentials
	if !strings.HasPrefix(of.AccessKeyId, "ASIA") {
		t.Errorf("get-session-token: key %s", of.AccessKeyId)
	}
	assumed := take("assume-role", "--role-arn", viewerRole, "--role-session-name", "desk",
		"--tags", "Key=site,Value=north", "--duration-seconds", "900")
	if assumed.AssumedRoleUser.Arn != session+"desk" ||
		!strings.HasSuffix(assumed.AssumedRoleUser.AssumedRoleId, ":desk") {
		t.Errorf("assume-role: %+v", assumed.AssumedRoleUser)
	}
	ann := s.env
	s.env = append(ann[:len(ann):len(ann)], "AWS_ACCESS_KEY_ID="+assumed.Credentials.AccessKeyId,
		"AWS_SECRET_ACCESS_KEY="+assumed.Credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN="+assumed.Credentials.SessionToken)
	s.run("weir", "describe-stream", "--stream-name", "north")
	role := s.env
	s.env = root
	s.run("weir", "roles", "delete", "viewer")
	s.env = role
	s.awsFails("UnrecognizedClientException", "kinesisvideo", "list-streams")
	s.awsFails("InvalidClientTokenId", "sts", "get-caller-identity")
}

// boto3 assumes roles and reads the errors of STS by their names and statuses.
func TestRolesOfBoto(t *testing.T) {
	waits(t)
	python := botoPython(t)
	s := start(t, "")
	s.withViewers()
	var got map[string]any
	if err := json.Unmarshal(s.run(python, "sts.py", viewerRole), &got); err != nil {
		t.Fatal(err)
	}
	const session = "arn:aws:sts::000000000000:assumed-role/viewer/viewer-"
	if arn, _ := got["Profile"].(string); !strings.HasPrefix(arn, session) {
		t.Errorf("with the profile it is %s", arn)
	}
	for name, want := range map[string]string{
		"Streams": "[north]", "Tagged": "none", "Listing": "none",
		"Untagged": "403 AccessDeniedException", "Bound": "403 AccessDeniedException",
		"Deleting": "403 AccessDeniedException",
		"Long":     "400 ValidationError", "Policy": "400 MalformedPolicyDocument",
		"Packed": "400 PackedPolicyTooLarge", "Nobody": "403 AccessDenied",
		"Chained": "none", "Session": "403 AccessDenied",
		"Wrong": "403 InvalidClientTokenId", "Token": "403 InvalidClientTokenId",
	} {
		if fmt.Sprint(got[name]) != want {
			t.Errorf("%s: %v, want %s", name, got[name], want)
		}
	}
}

// The AWS command line exchanges the token of an identity provider for credentials of a role, with
// nothing but the variables that people set for it.
func TestWebIdentityOfTheAWSCommandLine(t *testing.T) {
	prepares(t)
	needTool(t, "aws")
	s := start(t, "")
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public,
		KeyID: "k1"}}})
	if err != nil {
		t.Fatal(err)
	}
	s.run("weir", "providers", "put", "https://id.example.com", "--client-id", "weir", "--keys",
		string(keys))
	s.run("weir", "roles", "create", "staff", "--policy", "read-only", "--trust",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow",`+
			`"Principal":{"Federated":"id.example.com"},"Action":"sts:AssumeRoleWithWebIdentity",`+
			`"Condition":{"StringEquals":{"id.example.com:sub":"ann"}}}}`)
	token := func(subject string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA,
			Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(fmt.Appendf(nil, `{"iss":"https://id.example.com",`+
			`"aud":"weir","sub":%q,"exp":%d}`, subject, time.Now().Unix()+600))
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	file := filepath.Join(t.TempDir(), "token")
	write := func(subject string) {
		if err := os.WriteFile(file, []byte(token(subject)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ann")
	ann := ownSession("ann")
	s.env = append(s.env, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_WEB_IDENTITY_TOKEN_FILE="+file, "AWS_ROLE_SESSION_NAME="+ann,
		"AWS_ROLE_ARN=arn:aws:iam::000000000000:role/staff")
	const session = "arn:aws:sts::000000000000:assumed-role/staff/"
	if got := s.aws("sts", "get-caller-identity")["Arn"]; got != session+ann {
		t.Errorf("get-caller-identity: %v", got)
	}
	s.aws("kinesisvideo", "list-streams")
	write("bob")
	s.env = append(s.env, "AWS_ROLE_SESSION_NAME="+ownSession("bob"))
	s.awsFails("AccessDenied", "kinesisvideo", "list-streams")
}
