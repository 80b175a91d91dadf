package administration

import (
	"context"
	"slices"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/policy"
)

// notOwn refuses a call that changes a policy that its signer has, or that limits the signer's
// session.
func notOwn(call *Call, name string) error {
	p := call.Principal
	has := slices.ContainsFunc(append([][]policy.Named{p.Policies}, p.Bounds...),
		func(set []policy.Named) bool {
			return slices.ContainsFunc(set, func(n policy.Named) bool { return n.Name == name })
		})
	if p.IsRoot() || !has {
		return nil
	}
	return api.Errorf(api.AccessDeniedException,
		"User: %s is not authorized to perform: %s on its own policy %s: only somebody else "+
			"changes what it may do", p.ARN, call.Action, name)
}

// PutPolicy makes a policy or replaces its document. Without a new description it keeps the old
// one.
func (s *Service) PutPolicy(ctx context.Context, call *Call,
	in *api.PutPolicyInput) (*api.PolicyOutput, error) {
	if err := notOwn(call, in.PolicyName); err != nil {
		return nil, err
	}
	revision, err := ifVersion(in.CurrentVersion)
	if err != nil {
		return nil, err
	}
	description := in.Description
	if have, err := s.access.Policy(in.PolicyName); err == nil && description == "" {
		description = have.Description
	}
	p, err := s.access.PutPolicy(ctx, in.PolicyName, description, []byte(in.PolicyDocument),
		revision)
	if err != nil {
		return nil, accessError(err)
	}
	out := policyOutput(p)
	if document, err := policy.Parse(p.Document); err == nil {
		out.Warnings = document.Warnings(actions())
	}
	return out, nil
}

// actions returns all actions that policies can allow.
func actions() (names []string) {
	for _, op := range api.Operations() {
		names = append(names, op.Action())
	}
	return append(names, "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:TagSession",
		"sts:GetSessionToken", "sts:GetCallerIdentity")
}

// GetPolicy returns a policy with its document.
func (s *Service) GetPolicy(_ context.Context, _ *Call,
	in *api.GetPolicyInput) (*api.PolicyOutput, error) {
	p, err := s.access.Policy(in.PolicyName)
	if err != nil {
		return nil, accessError(err)
	}
	return policyOutput(p), nil
}

func policyOutput(p access.PolicyInfo) *api.PolicyOutput {
	info := policyInfo(p)
	document := string(p.Document)
	info.PolicyDocument = &document
	return &api.PolicyOutput{PolicyInfo: info}
}

func policyInfo(p access.PolicyInfo) api.PolicyInfo {
	info := api.PolicyInfo{PolicyName: p.Name, PolicyARN: p.ARN,
		Description: api.NullIfEmpty(p.Description), CreationTime: timestampOf(p.Created),
		UpdateTime: timestampOf(p.Updated), Fault: api.NullIfEmpty(p.Fault),
		Attachments: []api.HolderRef{}}
	if !p.Fixed {
		version := formatVersion(p.Revision)
		info.Version = &version
	}
	for _, a := range p.Attached {
		info.Attachments = append(info.Attachments, refOf(a))
	}
	return info
}

// ListPolicies lists the policies by name, without their documents.
func (s *Service) ListPolicies(_ context.Context, _ *Call,
	in *api.ListPoliciesInput) (*api.ListPoliciesOutput, error) {
	policies, next, err := page(s.access.Policies(), &in.PageRef,
		func(p access.PolicyInfo) string { return p.Name })
	out := &api.ListPoliciesOutput{PolicyInfoList: []api.PolicyInfo{}, NextToken: next}
	for _, p := range policies {
		out.PolicyInfoList = append(out.PolicyInfoList, policyInfo(p))
	}
	return out, err
}

// DeletePolicy deletes a policy that nobody has.
func (s *Service) DeletePolicy(ctx context.Context, call *Call,
	in *api.DeletePolicyInput) (*api.Done, error) {
	if err := notOwn(call, in.PolicyName); err != nil {
		return nil, err
	}
	revision, err := ifVersion(in.CurrentVersion)
	if err != nil {
		return nil, err
	}
	return &api.Done{}, accessError(s.access.DeletePolicy(ctx, in.PolicyName, revision))
}

// AttachPolicy gives somebody a policy.
func (s *Service) AttachPolicy(ctx context.Context, call *Call,
	in *api.AttachPolicyInput) (*api.Done, error) {
	of, name := holderOf(&in.HolderRef)
	if err := s.notSelf(call, of, name); err != nil {
		return nil, err
	}
	return &api.Done{}, accessError(s.access.Attach(ctx, of, name, in.PolicyName))
}

// DetachPolicy takes a policy from somebody, but never from the signer: the policy may be one that
// denies.
func (s *Service) DetachPolicy(ctx context.Context, call *Call,
	in *api.DetachPolicyInput) (*api.Done, error) {
	of, name := holderOf(&in.HolderRef)
	if err := s.notSelf(call, of, name); err != nil {
		return nil, err
	}
	return &api.Done{}, accessError(s.access.Detach(ctx, of, name, in.PolicyName))
}

// SimulatePolicy decides hypothetical requests.
func (s *Service) SimulatePolicy(_ context.Context, _ *Call,
	in *api.SimulatePolicyInput) (*api.SimulatePolicyOutput, error) {
	of, name := holderOf(&in.HolderRef)
	var who *access.Principal
	var more []policy.Named
	out := &api.SimulatePolicyOutput{}
	if name != "" {
		var err error
		if who, err = s.access.Principal(s.access.HolderARN(of, name)); err != nil {
			return nil, accessError(err)
		}
	}
	if in.PolicyDocument != "" {
		document, err := policy.Parse([]byte(in.PolicyDocument))
		if err != nil {
			return nil, accessError(err)
		}
		out.Warnings = document.Warnings(actions())
		more = []policy.Named{{Name: "PolicyDocument", Document: document}}
	}
	for _, action := range in.ActionNames {
		for _, resource := range orAll(in.ResourceARNs) {
			c := policy.Context{}
			for _, entry := range in.ContextEntries {
				c.Set(entry.Key, entry.Values...)
			}
			e := s.access.Explain(who, more, action, resource, c)
			out.EvaluationResults = append(out.EvaluationResults,
				evaluation(action, resource, &e))
		}
	}
	return out, nil
}

// orAll returns the resources of a simulation, * if it names none.
func orAll(resources []string) []string {
	if len(resources) == 0 {
		return []string{"*"}
	}
	return resources
}

func evaluation(action, resource string, e *policy.Explanation) api.EvaluationResult {
	result := api.EvaluationResult{ActionName: action, ResourceARN: resource, Reason: e.Reason,
		Decision: api.DecisionImplicitDeny, Statements: []api.StatementResult{}}
	switch {
	case e.Allowed:
		result.Decision = api.DecisionAllowed
	case e.Explicit:
		result.Decision = api.DecisionExplicitDeny
	}
	for _, st := range e.Statements {
		statement := api.StatementResult{PolicyName: st.Policy, Sid: api.NullIfEmpty(st.Sid),
			Number: st.Index + 1, Effect: api.EffectAllow, Mismatch: api.NullIfEmpty(st.Why)}
		if st.Deny {
			statement.Effect = api.EffectDeny
		}
		result.Statements = append(result.Statements, statement)
	}
	return result
}
