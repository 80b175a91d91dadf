package policy

// Request is what is to be decided.
type Request struct {
	Action   string  // "kinesisvideo:PutMedia"; compared without case
	Resource string  // an ARN, or "*" for calls that name none
	Context  Context // condition keys
}

// Named is a document and the name by which decisions refer to it.
type Named struct {
	Name     string
	Document *Document
}

// Decision is the answer to a request.
type Decision struct {
	Allowed  bool
	Explicit bool   // denied by a statement, not for lack of one
	Policy   string // whose statement decided; "" if none did
	Sid      string // of that statement, "" if it has none
}

// Decide answers a request. Of the identity policies one that allows is enough. Each set of bounds
// (a session policy, a permissions boundary) must allow as well; an empty set allows nothing. A
// statement anywhere that denies wins (IAM user guide, "Policy evaluation logic").
//
// A Named without a document denies everything, because nobody knows what it says.
func Decide(r Request, identity []Named, bounds ...[]Named) Decision {
	decision := decideSet(&r, identity)
	for _, bound := range bounds {
		if decision.Explicit {
			break
		}
		if d := decideSet(&r, bound); d.Explicit {
			decision = d
		} else if !d.Allowed {
			decision = Decision{}
		}
	}
	return decision
}

// decideSet answers a request by one set of policies.
func decideSet(r *Request, set []Named) (decision Decision) {
	for _, named := range set {
		if named.Document == nil {
			return Decision{Explicit: true, Policy: named.Name}
		}
		for i := range named.Document.statements {
			s := &named.Document.statements[i]
			if decision.Allowed && !s.deny || s.mismatch(r).where != nowhere {
				continue
			}
			decision = Decision{!s.deny, s.deny, named.Name, s.sid}
			if s.deny {
				return decision
			}
		}
	}
	return decision
}

// mismatch is the first part of a statement that does not match a request.
type mismatch struct {
	where     place
	condition *condition // for inCondition
}

type place int

const (
	nowhere place = iota // the statement applies
	inAction
	inResource
	inCondition
)

func (s *statement) mismatch(r *Request) mismatch {
	if !s.onAction(r.Action) {
		return mismatch{where: inAction}
	}
	if s.principals == nil && !s.onResource(r) {
		return mismatch{where: inResource}
	}
	for i := range s.conditions {
		if c := &s.conditions[i]; !c.holds(r.Context, s.deny) {
			return mismatch{inCondition, c}
		}
	}
	return mismatch{}
}

func (s *statement) onAction(action string) bool {
	for _, a := range s.actions {
		if glob(a.pieces[0].text, action, true) {
			return !s.notActions
		}
	}
	return s.notActions
}

// onResource reports whether the statement is about a request's resource. A pattern with a variable
// that the request lacks matches nothing. A NotResource with such a pattern allows nothing.
func (s *statement) onResource(r *Request) bool {
	known := true
	for _, p := range s.resources {
		text, ok := p.resolve(r.Context)
		if ok && glob(text, r.Resource, false) {
			return !s.notResources
		}
		known = known && ok
	}
	return s.notResources && (known || s.deny)
}
