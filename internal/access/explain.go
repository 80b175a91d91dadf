package access

import (
	"maps"

	"weir/internal/policy"
)

// Explain tells what would be decided of a principal and why, with more policies than it has. It
// adds the principal's own condition keys to c, which must not be nil. Without a principal the
// policies stand alone.
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
