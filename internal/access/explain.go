package access

import (
	"maps"

	"weir/internal/policy"
)

// Explain returns what would be decided about a principal, and why, if it also had the given
// policies. It adds the principal's own condition keys to c, which must not be nil. Without a
// principal only the given policies count.
func (r *Registry) Explain(
	p *Principal, more []policy.Named, action, resource string, c policy.Context,
) policy.Explanation {
	request := policy.Request{Action: action, Resource: resource, Context: c}
	if p == nil {
		return policy.Explain(request, more)
	}
	maps.Copy(c, p.context)
	return policy.Explain(request, append(p.Policies[:len(p.Policies):len(p.Policies)], more...),
		p.Bounds...)
}
