package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/auth"
)

// as makes a call with a key that is not root's.
func (s *site) as(key auth.Credentials, path, body string) answer {
	s.t.Helper()
	r := s.request(http.MethodPost, path, body)
	signer := auth.Signer{Credentials: key, Region: "us-west-2"}
	signer.Sign(r, []byte(body))
	return s.do(r)
}

// newKey makes a user and a key by the API.
func (s *site) newKey(name string, policies ...string) auth.Credentials {
	s.t.Helper()
	list, err := json.Marshal(policies)
	must(s.t, err)
	out := s.ok("/weir/createKey", fmt.Sprintf(`{"UserName":%q,"Policies":%s}`, name, list))
	return credentials(out)
}

func credentials(pair map[string]any) auth.Credentials {
	return auth.Credentials{AccessKeyID: pair["AccessKeyId"].(string),
		SecretAccessKey: pair["SecretAccessKey"].(string)}
}

func (s *site) putPolicy(name, statements string) {
	s.t.Helper()
	s.ok("/weir/putPolicy", fmt.Sprintf(`{"PolicyName":%q,"PolicyDocument":%q}`, name,
		`{"Version":"2012-10-17","Statement":[`+statements+`]}`))
}

const (
	refused  = "AccessDeniedException"
	notKnown = "UnrecognizedClientException"
)

// listed returns the values of a member in a list of an answer.
func listed(out map[string]any, list, member string) (values []string) {
	for _, item := range out[list].([]any) {
		if v, ok := item.(map[string]any)[member].(string); ok {
			values = append(values, v)
		}
	}
	return values
}

func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.newKey("ann", "administrator")
	s.call("/weir/createKey", `{"UserName":"ann"}`).fails(t, 400, "ResourceInUseException",
		`user "ann": already exists`)
	s.call("/weir/createKey", `{"UserName":"bob","Policies":["none"]}`).fails(t, 404,
		"ResourceNotFoundException", `policy "none"`)

	second := credentials(s.ok("/weir/rotateKey", `{"Key":"ann"}`))
	s.call("/weir/rotateKey", `{"Key":"ann"}`).fails(t, 409, "LimitExceededException", "2 keys")
	for _, key := range []auth.Credentials{first, second} {
		if a := s.as(key, "/listStreams", "{}"); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	s.ok("/weir/disableKey", `{"Key":"`+first.AccessKeyID+`"}`)
	s.as(first, "/listStreams", "{}").fails(t, 403, notKnown, "")
	if a := s.as(second, "/listStreams", "{}"); a.status != 200 {
		t.Errorf("the second key: %d %s", a.status, a.body)
	}
	shown := s.ok("/weir/describeKey", `{"Key":"ann"}`)
	user := shown["UserInfo"].(map[string]any)
	states := listed(shown, "KeyInfoList", "Status")
	slices.Sort(states)
	got := fmt.Sprintln(user["UserName"], user["UserARN"], user["Policies"], states)
	if got != "ann arn:aws:iam::000000000000:user/ann [administrator] [Active Inactive]\n" {
		t.Errorf("described as %s", got)
	}
	if text := fmt.Sprint(shown, s.ok("/weir/listKeys", "{}")); strings.Contains(text,
		second.SecretAccessKey) {
		t.Error("a secret is told twice")
	}
	// A user's name stands for all keys of the user.
	s.ok("/weir/enableKey", `{"Key":"ann"}`)
	s.ok("/weir/disableKey", `{"Key":"ann"}`)
	for _, key := range []auth.Credentials{first, second} {
		s.as(key, "/listStreams", "{}").fails(t, 403, notKnown, "")
	}
	s.ok("/weir/deleteKey", `{"Key":"`+first.AccessKeyID+`"}`)
	s.ok("/weir/describeKey", `{"Key":"ann"}`)
	s.ok("/weir/deleteKey", `{"Key":"`+second.AccessKeyID+`"}`)
	s.call("/weir/describeKey", `{"Key":"ann"}`).fails(t, 404, "ResourceNotFoundException",
		`user "ann": not found`)
	// The name is free again, and the new user inherits nothing.
	again := s.newKey("ann")
	s.as(again, "/weir/listKeys", "{}").fails(t, 403, refused, "weir:ListKeys")
	s.ok("/weir/rotateKey", `{"Key":"ann"}`)
	s.ok("/weir/deleteKey", `{"Key":"ann"}`)
	s.as(again, "/weir/listKeys", "{}").fails(t, 403, notKnown, "")
}

// Nobody can lock root out: the API cannot change its key, and no policy applies to it.
func TestRootStays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := `{"Key":"` + s.signer.AccessKeyID + `"}`
	for _, path := range []string{"/weir/disableKey", "/weir/deleteKey"} {
		s.call(path, key).fails(t, 400, "InvalidArgumentException", "credentials file")
	}
	s.call("/weir/rotateKey", key).fails(t, 400, "InvalidArgumentException", "reset-root")
	shown := s.ok("/weir/describeKey", key)
	arn := shown["UserInfo"].(map[string]any)["UserARN"]
	if arn != "arn:aws:iam::000000000000:root" {
		t.Errorf("root is %v", arn)
	}
	for _, name := range []string{"administrator", "read-only", "producer", "viewer", "camera"} {
		s.call("/weir/putPolicy", `{"PolicyName":"`+name+`","PolicyDocument":`+
			`"{\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}]}"}`).fails(t,
			400, "InvalidArgumentException", "it comes with Weir")
		s.call("/weir/deletePolicy", `{"PolicyName":"`+name+`"}`).fails(t, 400,
			"InvalidArgumentException", "it comes with Weir")
	}
}

func TestLifeOfAPolicy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.call("/weir/putPolicy", `{"PolicyName":"p","PolicyDocument":"{\"Statement\":[{}]}"}`).fails(t,
		400, "InvalidArgumentException", "Statement")
	s.putPolicy("keys", `{"Effect":"Allow","Action":"weir:ListKeys","Resource":"*"}`)
	ann := s.newKey("ann")
	s.as(ann, "/weir/listKeys", "{}").fails(t, 403, refused,
		"User: arn:aws:iam::000000000000:user/ann is not authorized to perform: weir:ListKeys on "+
			"resource: * because no identity-based policy allows the weir:ListKeys action")
	s.ok("/weir/attachPolicy", `{"PolicyName":"keys","UserName":"ann"}`)
	if a := s.as(ann, "/weir/listKeys", "{}"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.call("/weir/deletePolicy", `{"PolicyName":"keys"}`).fails(t, 400, "ResourceInUseException",
		`user "ann" has it`)

	got := s.ok("/weir/getPolicy", `{"PolicyName":"keys"}`)["PolicyInfo"].(map[string]any)
	if fmt.Sprintln(got["PolicyARN"], got["Attachments"]) !=
		"arn:aws:iam::000000000000:policy/keys [map[UserName:ann]]\n" ||
		!strings.Contains(got["PolicyDocument"].(string), `"weir:ListKeys"`) {
		t.Errorf("the policy: %v", got)
	}
	put := func(version string) answer {
		return s.call("/weir/putPolicy", `{"PolicyName":"keys","CurrentVersion":"`+version+
			`","PolicyDocument":"{\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"weir:*\",`+
			`\"Resource\":\"*\"}]}"}`)
	}
	put("999").fails(t, 400, "VersionMismatchException", "not the latest: somebody")
	put("x").fails(t, 400, "VersionMismatchException", "")
	if a := put(got["Version"].(string)); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.as(ann, "/weir/listKeys", "{}").fails(t, 403, refused,
		"explicit deny in an identity-based policy: keys")
	s.ok("/weir/detachPolicy", `{"PolicyName":"keys","UserName":"ann"}`)
	s.call("/weir/detachPolicy", `{"PolicyName":"keys","UserName":"ann"}`).fails(t, 404,
		"ResourceNotFoundException", "not attached")
	s.ok("/weir/deletePolicy", `{"PolicyName":"keys"}`)
	s.call("/weir/getPolicy", `{"PolicyName":"keys"}`).fails(t, 404, "ResourceNotFoundException",
		`policy "keys": not found`)
}

func TestLifeOfARole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const trust = `{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":` +
		`\"arn:aws:iam::000000000000:user/ann\"},\"Action\":\"sts:AssumeRole\"}]}`
	s.call("/weir/createRole", `{"RoleName":"r","TrustPolicy":"{}"}`).fails(t, 400,
		"InvalidArgumentException", "The policy is refused: ")
	s.ok("/weir/createRole", `{"RoleName":"r","TrustPolicy":"`+trust+`","Policies":["viewer"],`+
		`"Tags":{"site":"north"},"Description":"d"}`)
	s.call("/weir/createRole", `{"RoleName":"r","TrustPolicy":"`+trust+`"}`).fails(t, 400,
		"ResourceInUseException", `role "r": already exists.`)
	s.call("/weir/updateRole", `{"RoleName":"r","CurrentVersion":"999"}`).fails(t, 400,
		"VersionMismatchException", "")
	s.ok("/weir/updateRole", `{"RoleName":"r","MaxSessionDuration":7200}`)
	role := s.ok("/weir/getRole", `{"RoleName":"r"}`)["RoleInfo"].(map[string]any)
	got := fmt.Sprintln(role["RoleARN"], role["MaxSessionDuration"], role["Tags"],
		role["Policies"], role["Description"])
	if got != "arn:aws:iam::000000000000:role/r 7200 map[site:north] [viewer] d\n" ||
		!strings.Contains(role["TrustPolicy"].(string), "user/ann") {
		t.Errorf("the role: %v", role)
	}
	if names := listed(s.ok("/weir/listRoles", "{}"), "RoleInfoList", "RoleName"); len(names) != 1 {
		t.Errorf("roles: %v", names)
	}
	s.ok("/weir/attachPolicy", `{"PolicyName":"producer","RoleName":"r"}`)
	s.ok("/weir/deleteRole", `{"RoleName":"r"}`)
	s.call("/weir/getRole", `{"RoleName":"r"}`).fails(t, 404, "ResourceNotFoundException",
		`role "r": not found`)
}

func TestPagesOfLists(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"a", "b", "c"} {
		s.newKey(name)
	}
	for path, list := range map[string][2]string{"/weir/listKeys": {"KeyInfoList", "AccessKeyId"},
		"/weir/listPolicies": {"PolicyInfoList", "PolicyName"}} {
		all := listed(s.ok(path, "{}"), list[0], list[1])
		var paged []string
		body := `{"MaxResults":2}`
		for {
			out := s.ok(path, body)
			paged = append(paged, listed(out, list[0], list[1])...)
			next, more := out["NextToken"].(string)
			if !more {
				break
			}
			body = `{"MaxResults":2,"NextToken":"` + next + `"}`
		}
		if len(all) < 4 || fmt.Sprint(paged) != fmt.Sprint(all) {
			t.Errorf("%s: pages %v, all %v", path, paged, all)
		}
		s.call(path, `{"NextToken":"AAAA"}`).fails(t, 400, "InvalidArgumentException", "NextToken")
	}
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.newKey("door", "producer")
	decide := func(who, action, more string) (decision, reason string) {
		t.Helper()
		out := s.ok("/weir/simulatePolicy", `{`+who+`"ActionNames":["`+action+
			`"],"ResourceARNs":["arn:aws:kinesisvideo:us-west-2:000000000000:stream/a/1"]`+more+`}`)
		result := out["EvaluationResults"].([]any)[0].(map[string]any)
		return result["Decision"].(string), result["Reason"].(string)
	}
	const door, put = `"UserName":"door",`, "kinesisvideo:PutMedia"
	if d, why := decide(door, put, ""); d != "allowed" || !strings.Contains(why, "producer") {
		t.Error(d, why)
	}
	if d, why := decide(door, "kinesisvideo:DeleteStream", ""); d != "implicitDeny" {
		t.Error(d, why)
	}
	const only = `,"PolicyDocument":"{\"Statement\":[{\"Sid\":\"Far\",\"Effect\":\"Deny\",` +
		`\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{\"NotIpAddress\":` +
		`{\"aws:SourceIp\":\"10.0.0.0/8\"}}}]}"`
	from := func(address string) string {
		return only + `,"ContextEntries":[{"Key":"aws:SourceIp","Values":["` + address + `"]}]`
	}
	if d, why := decide(door, put, from("10.1.2.3")); d != "allowed" {
		t.Error(d, why)
	}
	if d, why := decide(door, put, from("11.1.2.3")); d != "explicitDeny" ||
		!strings.Contains(why, "Far") {
		t.Error(d, why)
	}
	if d, why := decide("", put, from("10.1.2.3")); d != "implicitDeny" {
		t.Error(d, why)
	}
	s.call("/weir/simulatePolicy", `{"UserName":"none","ActionNames":["a:B"]}`).fails(t, 404,
		"ResourceNotFoundException", "user/none")
}

// A delegated administrator may do only what was delegated, and cannot extend its own rights.
func TestDelegation(t *testing.T) {
	t.Parallel()
	var who *access.Registry
	s := newSite(t, func(o *Options) { who = o.Access })
	const iam = "arn:aws:iam::000000000000:"
	s.putPolicy("installer", `{"Effect":"Allow","Action":["weir:*Key","weir:*Policy"],`+
		`"Resource":["`+iam+`user/cam-*","`+iam+`policy/cam-*","`+iam+`policy/producer"]}`)
	s.newKey("boss", "administrator")
	ann := s.newKey("cam-installer", "installer")
	s.putPolicy("cam-own", `{"Effect":"Allow","Action":"weir:ListKeys","Resource":"*"}`)
	s.ok("/weir/attachPolicy", `{"PolicyName":"cam-own","UserName":"cam-installer"}`)

	for _, c := range []struct{ path, body, action string }{
		{"/weir/createKey", `{"UserName":"ann"}`, "weir:CreateKey on resource: " + iam + "user/ann"},
		{"/weir/createKey", `{"UserName":"cam-1","Policies":["administrator"]}`,
			"weir:AttachPolicy on resource: " + iam + "policy/administrator"},
		{"/weir/attachPolicy", `{"UserName":"cam-installer","PolicyName":"administrator"}`,
			"weir:AttachPolicy on resource: " + iam + "policy/administrator"},
		{"/weir/attachPolicy", `{"UserName":"boss","PolicyName":"producer"}`,
			"weir:AttachPolicy on resource: " + iam + "user/boss"},
		{"/weir/attachPolicy", `{"UserName":"cam-installer","PolicyName":"producer"}`, "on itself"},
		{"/weir/detachPolicy", `{"UserName":"cam-installer","PolicyName":"cam-own"}`, "on itself"},
		{"/weir/putPolicy", `{"PolicyName":"cam-own","PolicyDocument":"{\"Statement\":[{\"Effect\":` +
			`\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}"}`, "on its own policy cam-own"},
		{"/weir/putPolicy", `{"PolicyName":"installer","PolicyDocument":"{}"}`,
			"weir:PutPolicy on resource: " + iam + "policy/installer"},
		{"/weir/rotateKey", `{"Key":"boss"}`, "weir:RotateKey on resource: " + iam + "user/boss"},
		{"/weir/deleteKey", `{"Key":"` + s.signer.AccessKeyID + `"}`,
			"weir:DeleteKey on resource: " + iam + "root"},
		{"/weir/describeKey", `{"Key":"nobody"}`, "weir:DescribeKey on resource: "},
		{"/weir/createRole", `{"RoleName":"cam-r","TrustPolicy":"{}"}`, "weir:CreateRole"},
		{"/weir/simulatePolicy", `{"UserName":"boss","ActionNames":["a:B"]}`, "weir:SimulatePolicy"},
	} {
		s.as(ann, c.path, c.body).fails(t, 403, refused, c.action)
	}
	a := s.as(ann, "/weir/createKey", `{"UserName":"cam-1","Policies":["producer"]}`)
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	// It may rotate its own key, which gives it no new rights.
	if a := s.as(ann, "/weir/rotateKey", `{"Key":"cam-installer"}`); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if u, err := who.User("cam-1"); err != nil || fmt.Sprint(u.Policies) != "[producer]" {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := who.User("cam-installer"); err != nil ||
		fmt.Sprint(u.Policies) != "[installer cam-own]" {
		t.Errorf("%+v, %v", u, err)
	}
}

// No operation of the administration API answers a caller whom no policy allows it, whatever its
// input names, and none answers without a signature.
func TestAdministrationNeedsPermission(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ann := s.newKey("ann", "read-only", "producer")
	full := `{"UserName":"ann","Key":"ann","PolicyName":"p","PolicyDocument":"{}","RoleName":"r",` +
		`"TrustPolicy":"{}","Tags":{"a":"b"},"TagKeys":["a"],"ActionNames":["a:B"],` +
		`"StreamName":"cam","Url":"https://id.example","ClientIDList":["c"]}`
	// They are about the caller itself, or the policy read-only allows them.
	free := []string{"GetPermissions", "CreateSignInCode", "GetStreamStatus", "GetServerStatus",
		"ListFragmentTags"}
	for _, op := range api.Operations() {
		if op.Service != api.Administration || slices.Contains(free, op.Name) {
			continue
		}
		body := full
		if op.Name == "AttachPolicy" || op.Name == "DetachPolicy" || op.Name == "SimulatePolicy" {
			body = strings.Replace(full, `"RoleName":"r",`, "", 1)
		} else if strings.HasPrefix(op.Command, "camera ") {
			body = strings.Replace(full, "{", `{"ThingName":"t","SerialNumber":"0a",`+
				`"CertificateSigningRequest":"c",`, 1)
		}
		s.as(ann, op.Path, body).fails(t, 403, refused, "not authorized to perform: "+op.Action())
		s.do(s.request("POST", op.Path, body)).fails(t, 403, "MissingAuthenticationTokenException",
			"")
	}
}

// Temporary rights cannot be made permanent: a session does not change its user or role.
func TestSessionsDoNotRaise(t *testing.T) {
	t.Parallel()
	var who *access.Registry
	s := newSite(t, func(o *Options) { who = o.Access })
	parent := s.newKey("ann", "administrator")
	ann, err := who.User("ann")
	must(t, err)
	s.putPolicy("mine", `{"Effect":"Allow","Action":"weir:*","Resource":"*"}`)
	s.ok("/weir/createRole", `{"RoleName":"r","Policies":["administrator","mine"],"TrustPolicy":`+
		`"{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":`+
		`\"sts:AssumeRole\"}]}"}`)
	role, err := who.Role("r")
	must(t, err)
	session := access.Claims{AccessKeyID: "ASIASESSION", Secret: "s", Kind: access.Session,
		Name: "ann", ID: ann.ID, Parent: parent.AccessKeyID, Expires: time.Now().Add(time.Hour)}
	assumed := session
	assumed.Kind, assumed.Name, assumed.ID, assumed.SessionName = access.Role, "r", role.ID, "s"
	assumed.Parent = ""
	s.putPolicy("bound", `{"Effect":"Allow","Action":"weir:*","Resource":"*"}`)
	bounded := assumed
	bounded.PolicyNames = []string{"bound"}
	for _, c := range []struct {
		claims     access.Claims
		path, body string
	}{
		{session, "/weir/rotateKey", `{"Key":"ann"}`},
		{session, "/weir/rotateKey", `{"Key":"` + parent.AccessKeyID + `"}`},
		{session, "/weir/attachPolicy", `{"UserName":"ann","PolicyName":"viewer"}`},
		{session, "/weir/tagUser", `{"UserName":"ann","Tags":{"site":"north"}}`},
		{assumed, "/weir/attachPolicy", `{"RoleName":"r","PolicyName":"viewer"}`},
		{assumed, "/weir/detachPolicy", `{"RoleName":"r","PolicyName":"mine"}`},
		{assumed, "/weir/updateRole", `{"RoleName":"r","MaxSessionDuration":43200}`},
		{assumed, "/weir/putPolicy", `{"PolicyName":"mine","PolicyDocument":"{}"}`},
		{bounded, "/weir/putPolicy", `{"PolicyName":"bound","PolicyDocument":"{}"}`},
		{bounded, "/weir/deletePolicy", `{"PolicyName":"bound"}`},
	} {
		token := c.claims.Kind.String() + strings.Join(c.claims.PolicyNames, "") // is remembered
		who.SetTemporary(oneToken{c.claims, token})
		s.as(auth.Credentials{AccessKeyID: "ASIASESSION", SecretAccessKey: "s",
			SessionToken: token}, c.path, c.body).fails(t, 403, refused, "on it")
	}
}

// Nobody administrates from the network of cameras.
func TestCamerasDoNotAdministrate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.server.newRoutes(nil)
	routes := all.forCameras(nil)
	if routes["/putMedia"] == nil || all["/weir/createKey"] == nil {
		t.Fatal("routes are missing")
	}
	for path := range routes {
		if strings.HasPrefix(path, "/weir/") {
			t.Errorf("the listener for cameras has %s", path)
		}
	}
}

// A policy can restrict which tags a call sets.
func TestTagsOfNewUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.putPolicy("north", `{"Effect":"Allow","Action":"weir:CreateKey","Resource":"*","Condition":`+
		`{"StringEquals":{"aws:RequestTag/site":"north"}}}`)
	ann := s.newKey("ann", "north")
	for _, tags := range []string{`{}`, `{"site":"south"}`} {
		s.as(ann, "/weir/createKey", `{"UserName":"bob","Tags":`+tags+`}`).fails(t, 403, refused, "")
	}
	a := s.as(ann, "/weir/createKey", `{"UserName":"bob","Tags":{"site":"north"}}`)
	if a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.as(ann, "/weir/tagUser", `{"UserName":"bob","Tags":{"site":"south"}}`).fails(t, 403, refused,
		"weir:TagUser")
	s.ok("/weir/tagUser", `{"UserName":"bob","Tags":{"floor":"2"}}`)
	s.ok("/weir/untagUser", `{"UserName":"bob","TagKeys":["site","none"]}`)
	user := s.ok("/weir/describeKey", `{"Key":"bob"}`)["UserInfo"].(map[string]any)
	if got := fmt.Sprint(user["Tags"]); got != "map[floor:2]" {
		t.Errorf("tags: %s", got)
	}
	s.call("/weir/tagUser", `{"UserName":"none","Tags":{"a":"b"}}`).fails(t, 404,
		"ResourceNotFoundException", `user "none": not found`)
}
