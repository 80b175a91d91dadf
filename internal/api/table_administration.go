package api

import "time"

// Shapes of the administration API. Names are those of the IAM API reference where it has the same
// thing.
var (
	patternPrincipal = newPattern(`[a-zA-Z0-9_+=,.@-]+`)

	shapeUserName   = text("UserName", 1, MaxUserName, patternPrincipal)
	shapeRoleName   = text("RoleName", 1, MaxUserName, patternPrincipal)
	shapePolicyName = text("PolicyName", 1, MaxPolicyName, patternPrincipal)
	shapeThingName  = text("ThingName", 1, MaxThingName, newPattern(`[a-zA-Z0-9_-]+`))
	// also of the credentials file, in which names and IDs are arbitrary
	shapeKey         = text("Key", 1, MaxPolicyName, newPattern(`[ -~]+`))
	shapePolicyNames = &Shape{Kind: KindList, Name: "PolicyNames", Max: MaxAttached,
		Item: shapePolicyName}
	shapeDocument = &Shape{Kind: KindString, Name: "PolicyDocument", Min: 1, Max: MaxPolicyText,
		Document: true}
	shapeDescription   = text("Description", 0, MaxDescription, nil)
	shapePrincipalTags = &Shape{Kind: KindMap, Name: "PrincipalTags", Max: MaxPrincipalTags,
		Key: shapeTagKey, Item: shapeTagValue}
	shapeSession = number(KindInteger, "MaxSessionDuration", int64(MinRoleSession/time.Second),
		int64(MaxRoleSession/time.Second))
	shapePage     = number(KindInteger, "MaxResults", 1, MaxAdministrationPage)
	shapeFree     = &Shape{Kind: KindString, Name: "String"}
	shapeWarnings = &Shape{Kind: KindList, Name: "Warnings", Item: shapeFree}

	shapeKeyInfo = structure("KeyInfo",
		optional("UserName", shapeUserName, ""),
		optional("AccessKeyId", shapeFree, ""),
		optional("Status", enum("Status", KeyActive, KeyInactive), ""),
		optional("CreationTime", shapeTimestamp, ""),
		optional("Fault", shapeFree, ""))
	shapeKeyInfoList = &Shape{Kind: KindList, Name: "KeyInfoList", Item: shapeKeyInfo}
	shapeUserInfo    = structure("UserInfo",
		optional("UserName", shapeUserName, ""),
		optional("UserId", shapeFree, ""),
		optional("UserARN", shapeFree, ""),
		optional("CreationTime", shapeTimestamp, ""),
		optional("Tags", shapePrincipalTags, ""),
		optional("Policies", shapePolicyNames, ""))
	shapeKeyPair = structure("KeyPair",
		optional("UserName", shapeUserName, ""),
		optional("AccessKeyId", shapeFree, ""),
		optional("SecretAccessKey", shapeFree, ""))
	shapePolicyInfo = structure("PolicyInfo",
		optional("PolicyName", shapePolicyName, ""),
		optional("PolicyARN", shapeFree, ""),
		optional("Description", shapeDescription, ""),
		optional("CreationTime", shapeTimestamp, ""),
		optional("UpdateTime", shapeTimestamp, ""),
		optional("Version", shapeVersion, ""),
		optional("Fault", shapeFree, ""),
		optional("Attachments", &Shape{Kind: KindList, Name: "Attachments",
			Item: structure("HolderRef", holders...)}, ""),
		optional("PolicyDocument", shapeDocument, ""))
	shapeRoleInfo = structure("RoleInfo",
		optional("RoleName", shapeRoleName, ""),
		optional("RoleId", shapeFree, ""),
		optional("RoleARN", shapeFree, ""),
		optional("Description", shapeDescription, ""),
		optional("CreationTime", shapeTimestamp, ""),
		optional("MaxSessionDuration", shapeSession, ""),
		optional("Tags", shapePrincipalTags, ""),
		optional("Policies", shapePolicyNames, ""),
		optional("Version", shapeVersion, ""),
		optional("TrustPolicy", shapeDocument, ""))
	shapeEvaluation = structure("EvaluationResult",
		optional("ActionName", shapeFree, ""),
		optional("ResourceARN", shapeFree, ""),
		optional("Decision", enum("Decision", DecisionAllowed, DecisionExplicitDeny,
			DecisionImplicitDeny), ""),
		optional("Reason", shapeFree, ""),
		optional("Statements", &Shape{Kind: KindList, Name: "Statements",
			Item: structure("StatementResult",
				optional("PolicyName", shapeFree, ""),
				optional("Sid", shapeFree, ""),
				optional("Number", &Shape{Kind: KindInteger, Name: "Number"}, ""),
				optional("Effect", enum("Effect", EffectAllow, EffectDeny), ""),
				optional("Mismatch", shapeFree, ""))}, ""))

	// the holder of policies
	holders = []Member{
		optional("UserName", shapeUserName, "Name of a user.").flag("user"),
		optional("RoleName", shapeRoleName, "Name of a role.").flag("role"),
		optional("ThingName", shapeThingName, "Name of a camera.").flag("camera"),
	}
)

// Members that several inputs of the administration API share.
var (
	memberKey = required("Key", shapeKey, "ID of the key, or the name of its user.").flag("key")
	// words of the command line
	memberUser   = required("UserName", shapeUserName, "Name of the user.").flag("name")
	memberPolicy = required("PolicyName", shapePolicyName, "Name of the policy.").flag("name")
	memberRole   = required("RoleName", shapeRoleName, "Name of the role.").flag("name")

	memberPolicies = optional("Policies", shapePolicyNames,
		"Names of policies to attach.").flag("policy")
	memberTags = optional("Tags", shapePrincipalTags,
		"Tags, which policies know as aws:PrincipalTag.")
	memberDescription = optional("Description", shapeDescription,
		"What it is for; stays without this.")
	memberTrust = optional("TrustPolicy", shapeDocument,
		"Who may assume the role: the trust policy, file://NAME, or - for standard input.").
		flag("trust")
	memberSession = optional("MaxSessionDuration", shapeSession,
		"The longest life of a session in seconds: 3600, the default, to 43200.")
	memberIfVersion = optional("CurrentVersion", shapeVersion,
		"Only if the version is this one.")
	memberPageSize = optional("MaxResults", shapePage,
		"One page of at most so many, instead of all.")
)

// pageOf returns the output and the paging of a list.
func pageOf(name, list string, item *Shape) (*Shape, *Paging) {
	return structure(name+"Output",
			optional(list, &Shape{Kind: KindList, Name: list, Item: item}, ""),
			optional("NextToken", shapeNextToken, "")),
		&Paging{InputToken: "NextToken", OutputToken: "NextToken", Limit: "MaxResults",
			Result: list}
}

// done is the output of an operation that has nothing to say.
func done(name string) *Shape { return structure(name + "Output") }

// changeKey returns an operation on a key, or on all keys of a user.
func changeKey(name, path, command, doc string, newInput func() Input) *Operation {
	return &Operation{
		Name: name, Path: path, Service: Administration, Command: "keys " + command,
		Words: []string{"Key"}, Doc: doc, Example: "weir keys " + command + " front-door",
		Resources: aboutKey,
		Input:     structure(name+"Input", memberKey), Output: done(name), NewInput: newInput,
	}
}

var administrationOperations = func() []*Operation {
	keys, keysPaging := pageOf("ListKeys", "KeyInfoList", shapeKeyInfo)
	policies, policiesPaging := pageOf("ListPolicies", "PolicyInfoList", shapePolicyInfo)
	roles, rolesPaging := pageOf("ListRoles", "RoleInfoList", shapeRoleInfo)
	rotate := changeKey("RotateKey", "/weir/rotateKey", "rotate",
		"Make a second key of a user, before the first one is disabled.",
		func() Input { return new(RotateKeyInput) })
	rotate.Output, rotate.Credentials = shapeKeyPair, true
	describe := changeKey("DescribeKey", "/weir/describeKey", "show",
		"Describe a key and its user.",
		func() Input { return new(DescribeKeyInput) })
	describe.Output = structure("DescribeKeyOutput", optional("UserInfo", shapeUserInfo, ""),
		optional("KeyInfoList", shapeKeyInfoList, ""))
	return []*Operation{
		{
			Name: "CreateKey", Path: "/weir/createKey", Service: Administration,
			Command: "keys create", Words: []string{"UserName"},
			Doc: "Make a user with a key.", Credentials: true,
			Example:   "weir keys create front-door --policy producer >> ~/.aws/credentials",
			Resources: aboutUser,
			Input:     structure("CreateKeyInput", memberUser, memberPolicies, memberTags),
			Output:    shapeKeyPair, NewInput: func() Input { return new(CreateKeyInput) },
		},
		{
			Name: "ListKeys", Path: "/weir/listKeys", Service: Administration,
			Command: "keys list", Doc: "List the keys, all pages of them.",
			Example:   "weir keys list --output table",
			Resources: aboutNothing,
			Input:     structure("ListKeysInput", memberPageSize, memberNextToken), Output: keys,
			Paging: keysPaging, NewInput: func() Input { return new(ListKeysInput) },
		},
		describe,
		changeKey("DisableKey", "/weir/disableKey", "disable",
			"Make a key open nothing, until it is enabled.",
			func() Input { return new(DisableKeyInput) }),
		changeKey("EnableKey", "/weir/enableKey", "enable", "Make a disabled key work again.",
			func() Input { return new(EnableKeyInput) }),
		changeKey("DeleteKey", "/weir/deleteKey", "delete",
			"Delete a key, and with the last one the user.",
			func() Input { return new(DeleteKeyInput) }),
		rotate,
		{
			Name: "TagUser", Path: "/weir/tagUser", Service: Administration,
			Command: "keys tag", Words: []string{"UserName"},
			Doc: "Add tags to a user.", Example: "weir keys tag front-door --tags site=north",
			Resources: aboutUser,
			Input:     structure("TagUserInput", memberUser, needed(memberTags)),
			Output:    done("TagUser"), NewInput: func() Input { return new(TagUserInput) },
		},
		{
			Name: "UntagUser", Path: "/weir/untagUser", Service: Administration,
			Command: "keys untag", Words: []string{"UserName"},
			Doc: "Remove tags from a user.", Example: "weir keys untag front-door --tag-keys site",
			Resources: aboutUser,
			Input: structure("UntagUserInput", memberUser, required("TagKeys",
				&Shape{Kind: KindList, Name: "TagKeys", Min: 1, Max: MaxPrincipalTags,
					Item: shapeTagKey}, "Keys of the tags.")),
			Output: done("UntagUser"), NewInput: func() Input { return new(UntagUserInput) },
		},
		{
			Name: "PutPolicy", Path: "/weir/putPolicy", Service: Administration,
			Command: "policies put", Words: []string{"PolicyName", "PolicyDocument"},
			Doc:       "Write a policy, or another version of it.",
			Example:   "weir policies put north-producer file://north-producer.json",
			Resources: aboutPolicy,
			Input: structure("PutPolicyInput", memberPolicy,
				required("PolicyDocument", shapeDocument,
					"The policy: JSON, file://NAME, or - for standard input.").flag("document"),
				memberDescription, memberIfVersion),
			Output: structure("PutPolicyOutput", optional("PolicyInfo", shapePolicyInfo, ""),
				optional("Warnings", shapeWarnings, "")),
			NewInput: func() Input { return new(PutPolicyInput) },
		},
		{
			Name: "GetPolicy", Path: "/weir/getPolicy", Service: Administration,
			Command: "policies get", Words: []string{"PolicyName"}, Doc: "Print a policy.",
			Example:   "weir policies get producer --query PolicyInfo.PolicyDocument",
			Resources: aboutPolicy,
			Input:     structure("GetPolicyInput", memberPolicy),
			Output:    structure("GetPolicyOutput", optional("PolicyInfo", shapePolicyInfo, "")),
			NewInput:  func() Input { return new(GetPolicyInput) },
		},
		{
			Name: "ListPolicies", Path: "/weir/listPolicies", Service: Administration,
			Command: "policies list", Doc: "List the policies, and who has them.",
			Example:   "weir policies list --query 'PolicyInfoList[].PolicyName'",
			Resources: aboutNothing,
			Input:     structure("ListPoliciesInput", memberPageSize, memberNextToken),
			Output:    policies, Paging: policiesPaging,
			NewInput: func() Input { return new(ListPoliciesInput) },
		},
		{
			Name: "DeletePolicy", Path: "/weir/deletePolicy", Service: Administration,
			Command: "policies delete", Words: []string{"PolicyName"},
			Doc:       "Delete a policy that nobody has.",
			Example:   "weir policies delete north-producer",
			Resources: aboutPolicy,
			Input:     structure("DeletePolicyInput", memberPolicy, memberIfVersion),
			Output:    done("DeletePolicy"),
			NewInput:  func() Input { return new(DeletePolicyInput) },
		},
		{
			Name: "AttachPolicy", Path: "/weir/attachPolicy", Service: Administration,
			Command: "policies attach", Words: []string{"PolicyName"},
			Doc:       "Give a user, role or camera what a policy allows.",
			Example:   "weir policies attach north-producer --user front-door",
			Resources: aboutAttachment,
			Input: structure("AttachPolicyInput",
				append([]Member{memberPolicy}, holders...)...),
			Output:   done("AttachPolicy"),
			NewInput: func() Input { return new(AttachPolicyInput) },
		},
		{
			Name: "DetachPolicy", Path: "/weir/detachPolicy", Service: Administration,
			Command: "policies detach", Words: []string{"PolicyName"},
			Doc:       "Take a policy away from a user, role or camera.",
			Example:   "weir policies detach north-producer --user front-door",
			Resources: aboutAttachment,
			Input: structure("DetachPolicyInput",
				append([]Member{memberPolicy}, holders...)...),
			Output:   done("DetachPolicy"),
			NewInput: func() Input { return new(DetachPolicyInput) },
		},
		simulateOperation,
		{
			Name: "CreateRole", Path: "/weir/createRole", Service: Administration,
			Command: "roles create", Words: []string{"RoleName"},
			Doc:       "Make a role.",
			Example:   "weir roles create viewer --trust file://trust.json --policy viewer",
			Resources: aboutRole,
			Input: structure("CreateRoleInput", memberRole, needed(memberTrust), memberDescription,
				memberSession, memberPolicies, memberTags),
			Output:   structure("CreateRoleOutput", optional("RoleInfo", shapeRoleInfo, "")),
			NewInput: func() Input { return new(CreateRoleInput) },
		},
		{
			Name: "UpdateRole", Path: "/weir/updateRole", Service: Administration,
			Command: "roles update", Words: []string{"RoleName"},
			Doc:       "Change a role; what is not given stays.",
			Example:   "weir roles update viewer --max-session-duration 7200",
			Resources: aboutRole,
			Input: structure("UpdateRoleInput", memberRole, memberTrust, memberDescription,
				memberSession, memberTags, memberIfVersion),
			Output:   structure("UpdateRoleOutput", optional("RoleInfo", shapeRoleInfo, "")),
			NewInput: func() Input { return new(UpdateRoleInput) },
		},
		{
			Name: "GetRole", Path: "/weir/getRole", Service: Administration,
			Command: "roles show", Words: []string{"RoleName"}, Doc: "Describe a role.",
			Example:   "weir roles show viewer",
			Resources: aboutRole,
			Input:     structure("GetRoleInput", memberRole),
			Output:    structure("GetRoleOutput", optional("RoleInfo", shapeRoleInfo, "")),
			NewInput:  func() Input { return new(GetRoleInput) },
		},
		{
			Name: "ListRoles", Path: "/weir/listRoles", Service: Administration,
			Command: "roles list", Doc: "List the roles, all pages of them.",
			Example:   "weir roles list --query 'RoleInfoList[].RoleARN' --output text",
			Resources: aboutNothing,
			Input:     structure("ListRolesInput", memberPageSize, memberNextToken), Output: roles,
			Paging: rolesPaging, NewInput: func() Input { return new(ListRolesInput) },
		},
		{
			Name: "DeleteRole", Path: "/weir/deleteRole", Service: Administration,
			Command: "roles delete", Words: []string{"RoleName"},
			Doc:       "Delete a role; its sessions may do nothing from then on.",
			Example:   "weir roles delete viewer",
			Resources: aboutRole,
			Input:     structure("DeleteRoleInput", memberRole, memberIfVersion),
			Output:    done("DeleteRole"), NewInput: func() Input { return new(DeleteRoleInput) },
		},
	}
}()

// needed returns a member that an input must have.
func needed(m Member) Member {
	m.Required = true
	return m
}

// simulateOperation is modelled after SimulatePrincipalPolicy of IAM.
var simulateOperation = &Operation{
	Name: "SimulatePolicy", Path: "/weir/simulatePolicy", Service: Administration,
	Command: "policies simulate", Doc: "Tell what somebody may do, and why, without doing it.",
	Example: "weir policies simulate --user front-door --action kinesisvideo:PutMedia \\\n" +
		"    --resource 'arn:aws:kinesisvideo:us-west-2:000000000000:stream/front-door/1'",
	Resources: aboutHolder,
	Input: structure("SimulatePolicyInput", append(holders[:len(holders):len(holders)],
		optional("PolicyDocument", shapeDocument, "A policy that they had as well, or alone: "+
			"JSON, file://NAME, or - for standard input.").flag("document"),
		required("ActionNames", &Shape{Kind: KindList, Name: "ActionNames", Min: 1,
			Max: MaxSimulated, Item: text("ActionName", 3, MaxPolicyName,
				newPattern(`[a-zA-Z0-9-]+:[a-zA-Z0-9]+`))},
			"The actions.").flag("action"),
		optional("ResourceARNs", &Shape{Kind: KindList, Name: "ResourceARNs", Max: MaxSimulated,
			Item: text("ResourceARN", 1, MaxARN, nil)},
			"ARNs of the resources; * without them.").flag("resource"),
		optional("ContextEntries", &Shape{Kind: KindList, Name: "ContextEntries",
			Max: MaxPrincipalTags, Item: structure("ContextEntry",
				required("Key", text("ContextKey", 1, MaxARN, nil), ""),
				required("Values", &Shape{Kind: KindList, Name: "ContextValues", Min: 1,
					Max: MaxPrincipalTags, Item: text("ContextValue", 0, MaxARN, nil)}, ""))},
			"Condition keys of the request.").flag("context"))...),
	Output: structure("SimulatePolicyOutput", optional("EvaluationResults",
		&Shape{Kind: KindList, Name: "EvaluationResults", Item: shapeEvaluation}, ""),
		optional("Warnings", shapeWarnings, "")),
	NewInput: func() Input { return new(SimulatePolicyInput) },
}
