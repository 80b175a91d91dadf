package api

import "regexp"

// Values of KeyInfo.Status (IAM API reference, "AccessKeyMetadata").
const (
	KeyActive   = "Active"
	KeyInactive = "Inactive"
)

// HolderRef names a holder of policies: exactly one of a user, a role and a camera.
type HolderRef struct {
	UserName  string `json:"UserName,omitempty"`
	RoleName  string `json:"RoleName,omitempty"`
	ThingName string `json:"ThingName,omitempty"`
}

// count returns how many of the three are given.
func (h *HolderRef) count() (n int) {
	for _, name := range []string{h.UserName, h.RoleName, h.ThingName} {
		if name != "" {
			n++
		}
	}
	return n
}

// rules demands exactly one of them; inputs inherit it.
func (h *HolderRef) rules() error {
	if h.count() != 1 {
		return NewError(InvalidArgumentException,
			"Exactly one of UserName, RoleName and ThingName must be specified.")
	}
	return nil
}

// PageRef asks for a page of a list.
type PageRef struct {
	MaxResults int    `json:"MaxResults,omitempty"`
	NextToken  string `json:"NextToken,omitempty"`
}

// Limit is the size of the page.
func (p *PageRef) Limit() int {
	if p.MaxResults == 0 {
		return MaxAdministrationPage
	}
	return p.MaxResults
}

// KeyInfo is a key, without its secret.
type KeyInfo struct {
	UserName     *string    `json:"UserName"` // null: the key of root
	AccessKeyId  string     `json:"AccessKeyId"`
	Status       string     `json:"Status"`
	CreationTime *Timestamp `json:"CreationTime"` // null: it is in the credentials file
	Fault        *string    `json:"Fault"`        // why it opens nothing although it is active
}

// UserInfo is a user, with its keys.
type UserInfo struct {
	UserName     *string           `json:"UserName"` // null: root
	UserId       *string           `json:"UserId"`
	UserARN      string            `json:"UserARN"`
	CreationTime *Timestamp        `json:"CreationTime"`
	Tags         map[string]string `json:"Tags"`
	Policies     []string          `json:"Policies"`
}

// KeyPair is a new key, with its secret, which is never shown again.
type KeyPair struct {
	UserName        string `json:"UserName"`
	AccessKeyId     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
}

// CreateKeyInput is the body of /weir/createKey.
type CreateKeyInput struct {
	given
	UserName string            `json:"UserName,omitempty"` // required
	Policies []string          `json:"Policies,omitempty"`
	Tags     map[string]string `json:"Tags,omitempty"`
}

// accessKeyID is the form of the IDs of keys that the server makes.
var accessKeyID = regexp.MustCompile(`\A(AKIA|ASIA|WEIR)[A-Z0-9]{16}\z`)

// rules refuses a user's name that looks like the ID of a key, because other operations accept
// both.
func (in *CreateKeyInput) rules() error {
	if accessKeyID.MatchString(in.UserName) {
		return NewError(InvalidArgumentException,
			"The user name has the form of an access key ID.")
	}
	return nil
}

// ListKeysInput is the body of /weir/listKeys.
type ListKeysInput struct {
	given
	PageRef
}

// ListKeysOutput answers /weir/listKeys.
type ListKeysOutput struct {
	KeyInfoList []KeyInfo `json:"KeyInfoList"`
	NextToken   *string   `json:"NextToken"`
}

// KeyRef names a key by its ID, or all keys of a user by the user's name.
type KeyRef struct {
	Key string `json:"Key,omitempty"` // required
}

// DescribeKeyInput is the body of /weir/describeKey.
type DescribeKeyInput struct {
	given
	KeyRef
}

// DescribeKeyOutput answers /weir/describeKey.
type DescribeKeyOutput struct {
	UserInfo    UserInfo  `json:"UserInfo"`
	KeyInfoList []KeyInfo `json:"KeyInfoList"`
}

// DisableKeyInput is the body of /weir/disableKey.
type DisableKeyInput struct {
	given
	KeyRef
}

// EnableKeyInput is the body of /weir/enableKey.
type EnableKeyInput struct {
	given
	KeyRef
}

// DeleteKeyInput is the body of /weir/deleteKey.
type DeleteKeyInput struct {
	given
	KeyRef
}

// RotateKeyInput is the body of /weir/rotateKey.
type RotateKeyInput struct {
	given
	KeyRef
}

// TagUserInput is the body of /weir/tagUser.
type TagUserInput struct {
	given
	UserName string            `json:"UserName,omitempty"` // required
	Tags     map[string]string `json:"Tags,omitempty"`     // required
}

// UntagUserInput is the body of /weir/untagUser. Keys that the user does not have are ignored.
type UntagUserInput struct {
	given
	UserName string   `json:"UserName,omitempty"` // required
	TagKeys  []string `json:"TagKeys,omitempty"`  // required
}

// Done is the answer, {}, of a call that changes something and has nothing to say.
type Done struct{}

// PolicyInfo is a policy.
type PolicyInfo struct {
	PolicyName     string      `json:"PolicyName"`
	PolicyARN      string      `json:"PolicyARN"`
	Description    *string     `json:"Description"`
	CreationTime   *Timestamp  `json:"CreationTime"` // null: it comes with Weir
	UpdateTime     *Timestamp  `json:"UpdateTime"`
	Version        *string     `json:"Version"` // null: it comes with Weir
	Fault          *string     `json:"Fault"`   // why it denies everything
	Attachments    []HolderRef `json:"Attachments"`
	PolicyDocument *string     `json:"PolicyDocument,omitempty"` // of GetPolicy and PutPolicy
}

// PutPolicyInput is the body of /weir/putPolicy.
type PutPolicyInput struct {
	given
	PolicyName     string `json:"PolicyName,omitempty"`     // required
	PolicyDocument string `json:"PolicyDocument,omitempty"` // required
	Description    string `json:"Description,omitempty"`
	CurrentVersion string `json:"CurrentVersion,omitempty"`
}

// PolicyOutput answers /weir/putPolicy and /weir/getPolicy.
type PolicyOutput struct {
	PolicyInfo PolicyInfo `json:"PolicyInfo"`
	Warnings   []string   `json:"Warnings,omitempty"` // of PutPolicy: what is hardly meant
}

// GetPolicyInput is the body of /weir/getPolicy.
type GetPolicyInput struct {
	given
	PolicyName string `json:"PolicyName,omitempty"` // required
}

// ListPoliciesInput is the body of /weir/listPolicies.
type ListPoliciesInput struct {
	given
	PageRef
}

// ListPoliciesOutput answers /weir/listPolicies.
type ListPoliciesOutput struct {
	PolicyInfoList []PolicyInfo `json:"PolicyInfoList"`
	NextToken      *string      `json:"NextToken"`
}

// DeletePolicyInput is the body of /weir/deletePolicy.
type DeletePolicyInput struct {
	given
	PolicyName     string `json:"PolicyName,omitempty"` // required
	CurrentVersion string `json:"CurrentVersion,omitempty"`
}

// AttachPolicyInput is the body of /weir/attachPolicy.
type AttachPolicyInput struct {
	given
	PolicyName string `json:"PolicyName,omitempty"` // required
	HolderRef
}

// DetachPolicyInput is the body of /weir/detachPolicy.
type DetachPolicyInput struct {
	given
	PolicyName string `json:"PolicyName,omitempty"` // required
	HolderRef
}

// ContextEntry is a condition key of a simulated request.
type ContextEntry struct {
	Key    string   `json:"Key,omitempty"`    // required
	Values []string `json:"Values,omitempty"` // required
}

// SimulatePolicyInput is the body of /weir/simulatePolicy: what a holder of policies may do, or
// could do with one more document, or what the document alone allows.
type SimulatePolicyInput struct {
	given
	HolderRef
	PolicyDocument string         `json:"PolicyDocument,omitempty"`
	ActionNames    []string       `json:"ActionNames,omitempty"`  // required
	ResourceARNs   []string       `json:"ResourceARNs,omitempty"` // "*" without
	ContextEntries []ContextEntry `json:"ContextEntries,omitempty"`
}

func (in *SimulatePolicyInput) rules() error {
	switch n := in.count(); {
	case n > 1:
		return NewError(InvalidArgumentException,
			"At most one of UserName, RoleName and ThingName must be specified.")
	case n == 0 && in.PolicyDocument == "":
		return NewError(InvalidArgumentException, "One of UserName, RoleName, ThingName and "+
			"PolicyDocument must be specified.")
	}
	return nil
}

// Values of EvaluationResult.Decision (IAM API reference, "EvaluationResult").
const (
	DecisionAllowed      = "allowed"
	DecisionExplicitDeny = "explicitDeny"
	DecisionImplicitDeny = "implicitDeny"
)

// EvaluationResult is the decision on one action on one resource.
type EvaluationResult struct {
	ActionName  string            `json:"ActionName"`
	ResourceARN string            `json:"ResourceARN"`
	Decision    string            `json:"Decision"`
	Reason      string            `json:"Reason"`
	Statements  []StatementResult `json:"Statements"`
}

// Values of StatementResult.Effect.
const (
	EffectAllow = "Allow"
	EffectDeny  = "Deny"
)

// StatementResult is the part that a statement has in a decision.
type StatementResult struct {
	PolicyName string  `json:"PolicyName"`
	Sid        *string `json:"Sid"`
	Number     int     `json:"Number"` // in its policy, from 1
	Effect     string  `json:"Effect"`
	Mismatch   *string `json:"Mismatch"` // why it does not apply; null: it does
}

// SimulatePolicyOutput answers /weir/simulatePolicy.
type SimulatePolicyOutput struct {
	EvaluationResults []EvaluationResult `json:"EvaluationResults"`
	Warnings          []string           `json:"Warnings,omitempty"` // about the PolicyDocument
}

// RoleInfo is a role.
type RoleInfo struct {
	RoleName           string            `json:"RoleName"`
	RoleId             string            `json:"RoleId"`
	RoleARN            string            `json:"RoleARN"`
	Description        *string           `json:"Description"`
	CreationTime       Timestamp         `json:"CreationTime"`
	MaxSessionDuration int               `json:"MaxSessionDuration"` // seconds
	Tags               map[string]string `json:"Tags"`
	Policies           []string          `json:"Policies"`
	Version            string            `json:"Version"`
	TrustPolicy        *string           `json:"TrustPolicy,omitempty"` // not in lists
}

// RoleOutput answers /weir/createRole, /weir/updateRole and /weir/getRole.
type RoleOutput struct {
	RoleInfo RoleInfo `json:"RoleInfo"`
}

// CreateRoleInput is the body of /weir/createRole.
type CreateRoleInput struct {
	given
	RoleName           string            `json:"RoleName,omitempty"`    // required
	TrustPolicy        string            `json:"TrustPolicy,omitempty"` // required
	Description        string            `json:"Description,omitempty"`
	MaxSessionDuration int               `json:"MaxSessionDuration,omitempty"` // seconds
	Policies           []string          `json:"Policies,omitempty"`
	Tags               map[string]string `json:"Tags,omitempty"`
}

// UpdateRoleInput is the body of /weir/updateRole. Absent members leave the role as it is.
type UpdateRoleInput struct {
	given
	RoleName           string            `json:"RoleName,omitempty"` // required
	TrustPolicy        string            `json:"TrustPolicy,omitempty"`
	Description        string            `json:"Description,omitempty"`
	MaxSessionDuration int               `json:"MaxSessionDuration,omitempty"`
	Tags               map[string]string `json:"Tags,omitempty"`
	CurrentVersion     string            `json:"CurrentVersion,omitempty"`
}

// GetRoleInput is the body of /weir/getRole.
type GetRoleInput struct {
	given
	RoleName string `json:"RoleName,omitempty"` // required
}

// ListRolesInput is the body of /weir/listRoles.
type ListRolesInput struct {
	given
	PageRef
}

// ListRolesOutput answers /weir/listRoles.
type ListRolesOutput struct {
	RoleInfoList []RoleInfo `json:"RoleInfoList"`
	NextToken    *string    `json:"NextToken"`
}

// DeleteRoleInput is the body of /weir/deleteRole.
type DeleteRoleInput struct {
	given
	RoleName       string `json:"RoleName,omitempty"` // required
	CurrentVersion string `json:"CurrentVersion,omitempty"`
}
