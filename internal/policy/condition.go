package policy

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// condition is one key of one operator of a Condition element.
type condition struct {
	operator string // as written: "ForAnyValue:StringLikeIfExists"
	name     string // of the key, as written
	key      conditionKey
	set      setOperator
	negated  bool // the operator is the negation of tests
	ifExists bool
	null     bool // the operator Null: the key must be absent or, if negated, present
	tests    []test
	values   []string // of tests, as written
}

type setOperator int

const (
	oneValue setOperator = iota
	forAllValues
	forAnyValue
)

// test compares a value of a request with a value of a document. known is false if they cannot be
// compared: the document's has a variable that the request lacks, or the request's is not a date,
// number or address.
type test func(value string, c Context) (match, known bool)

// operator is the meaning of an operator's name without its set operator and IfExists.
type operator struct {
	negated bool
	parse   func(value string, variables bool) (test, error) // nil: Null
}

// operators are those of the IAM user guide, "Condition operators", without BinaryEquals: no key
// has binary values.
var operators = map[string]operator{
	"StringEquals":              {false, stringTest(noWildcards, false)},
	"StringNotEquals":           {true, stringTest(noWildcards, false)},
	"StringEqualsIgnoreCase":    {false, stringTest(noWildcards, true)},
	"StringNotEqualsIgnoreCase": {true, stringTest(noWildcards, true)},
	"StringLike":                {false, stringTest(anyWildcards, false)},
	"StringNotLike":             {true, stringTest(anyWildcards, false)},
	"ArnEquals":                 {false, arnTest},
	"ArnNotEquals":              {true, arnTest},
	"ArnLike":                   {false, arnTest},
	"ArnNotLike":                {true, arnTest},
	"NumericEquals":             {false, numericTest(equal)},
	"NumericNotEquals":          {true, numericTest(equal)},
	"NumericLessThan":           {false, numericTest(less)},
	"NumericLessThanEquals":     {false, numericTest(less | equal)},
	"NumericGreaterThan":        {false, numericTest(greater)},
	"NumericGreaterThanEquals":  {false, numericTest(greater | equal)},
	"DateEquals":                {false, dateTest(equal)},
	"DateNotEquals":             {true, dateTest(equal)},
	"DateLessThan":              {false, dateTest(less)},
	"DateLessThanEquals":        {false, dateTest(less | equal)},
	"DateGreaterThan":           {false, dateTest(greater)},
	"DateGreaterThanEquals":     {false, dateTest(greater | equal)},
	"Bool":                      {false, boolTest},
	"IpAddress":                 {false, addressTest},
	"NotIpAddress":              {true, addressTest},
	"Null":                      {false, nil},
}

// holds reports whether a condition holds for a request; deny says whether its statement denies.
// The rules for absent keys are those of the IAM user guide: "If the key that you specify in a
// policy condition is not present in the request context, the values do not match and the condition
// is false. If the policy condition requires that the key is not matched […] the condition is
// true."
func (d *condition) holds(c Context, deny bool) bool {
	values := c[d.key.name]
	switch {
	case d.null:
		return (len(values) == 0) != d.negated
	case d.set != oneValue && empty(values):
		// ForAllValues is true, ForAnyValue false, "if the key values in the request resolve to an
		// empty data set (for example, an empty string)".
		return d.set == forAllValues || (d.ifExists && len(values) == 0)
	case len(values) == 0:
		return d.negated || d.ifExists
	case d.set == oneValue && len(values) > 1:
		return deny // the guide says only that such keys need a set operator
	}
	for _, value := range values {
		if d.one(value, c, deny) != (d.set == forAllValues) {
			return d.set != forAllValues
		}
	}
	return d.set == forAllValues
}

func empty(values []string) bool {
	for _, v := range values {
		if v != "" {
			return false
		}
	}
	return true
}

// one reports whether the operator holds for one value of the request: some value of the document
// matches it, or, for a negated operator, none does.
func (d *condition) one(value string, c Context, deny bool) bool {
	known := true
	for _, t := range d.tests {
		match, ok := t(value, c)
		if match {
			return !d.negated
		}
		known = known && ok
	}
	return d.negated && (known || deny)
}

// parseCondition reads the Condition element: all keys of all operators must hold.
func parseCondition(n *node, variables bool) (conditions []condition, err error) {
	if err := n.want(objectNode); err != nil {
		return nil, err
	}
	for _, byOperator := range n.members {
		if err := byOperator.value.want(objectNode); err != nil {
			return nil, err
		}
		if len(byOperator.value.members) == 0 {
			return nil, byOperator.value.fault("names no condition key")
		}
		seen := map[string]bool{}
		for _, byKey := range byOperator.value.members {
			d, err := parseOne(byOperator.name, byKey.name, byKey.value, variables)
			if err != nil {
				return nil, err
			}
			if seen[d.key.name] {
				return nil, byKey.value.fault("the key occurs twice: case makes no difference")
			}
			seen[d.key.name] = true
			conditions = append(conditions, d)
		}
	}
	return conditions, nil
}

func parseOne(name, key string, n *node, variables bool) (d condition, err error) {
	d.operator, d.name = name, key
	base := name
	if rest, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		base, d.set = rest, forAllValues
	} else if rest, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		base, d.set = rest, forAnyValue
	}
	base, d.ifExists = strings.CutSuffix(base, "IfExists")
	op, ok := operators[base]
	if !ok {
		return d, n.fault("%q is not a condition operator%s", name, nearest(base))
	}
	d.negated, d.null = op.negated, op.parse == nil
	if d.null && (d.ifExists || d.set != oneValue) {
		return d, n.fault("Null takes neither IfExists nor ForAllValues nor ForAnyValue")
	}
	if d.key, err = parseKey(key); err != nil {
		return d, n.fault("%v", err)
	}
	if d.key.many && d.set == oneValue && !d.null {
		return d, n.fault("%s may have several values: write ForAllValues:%s or ForAnyValue:%s",
			key, name, name)
	}
	values, err := n.list()
	if err != nil {
		return d, err
	}
	if (d.null || base == "Bool") && len(values) > 1 {
		return d, n.fault("%s takes one value", base)
	}
	for _, v := range values {
		if v.kind != stringNode && v.kind != numberNode && v.kind != boolNode {
			return d, v.fault("must be a string, a number or a boolean, not %s", kindNames[v.kind])
		}
		d.values = append(d.values, v.text)
		if d.null {
			absent, err := parseBool(v.text)
			if err != nil {
				return d, v.fault("%v", err)
			}
			d.negated = !absent
			continue
		}
		t, err := op.parse(v.text, variables)
		if err != nil {
			return d, v.fault("%v", err)
		}
		d.tests = append(d.tests, t)
	}
	return d, nil
}

// nearest suggests, for an unknown operator, the same name in other case.
func nearest(name string) string {
	for known := range operators {
		if strings.EqualFold(name, known) {
			return ": did you mean " + known + "?"
		}
	}
	return ""
}

func stringTest(wild wildcards, fold bool) func(string, bool) (test, error) {
	return func(value string, variables bool) (test, error) {
		p, err := compile(value, wild, variables)
		if err != nil {
			return nil, err
		}
		return func(value string, c Context) (bool, bool) {
			text, ok := p.resolve(c)
			switch {
			case !ok:
				return false, false
			case fold:
				return strings.EqualFold(text, value), true
			case wild == noWildcards:
				return text == value, true
			}
			return glob(text, value, false), true
		}, nil
	}
}

func arnTest(value string, variables bool) (test, error) {
	if !strings.HasPrefix(value, "${") &&
		(!strings.HasPrefix(value, "arn:") || strings.Count(value, ":") < 5) {
		return nil, fmt.Errorf("%q is not an ARN of six parts", value)
	}
	p, err := compile(value, arnWildcards, variables)
	if err != nil {
		return nil, err
	}
	return func(value string, c Context) (bool, bool) {
		text, ok := p.resolve(c)
		return ok && glob(text, value, false), ok
	}, nil
}

// order is a set of results of a comparison of a request's value with a document's.
type order int

const (
	less order = 1 << iota
	equal
	greater
)

// has takes the result of Cmp or Compare: -1, 0 or 1.
func (o order) has(cmp int) bool { return o&(1<<(cmp+1)) != 0 }

// number is bounded, so that a short text cannot stand for a huge number.
var number = regexp.MustCompile(`^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?$`)

func parseNumber(s string) (*big.Rat, bool) {
	if !number.MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func numericTest(want order) func(string, bool) (test, error) {
	return func(value string, _ bool) (test, error) {
		bound, ok := parseNumber(value)
		if !ok {
			return nil, fmt.Errorf("%q is not a number", value)
		}
		return func(value string, _ Context) (bool, bool) {
			got, ok := parseNumber(value)
			return ok && want.has(got.Cmp(bound)), ok
		}, nil
	}
}

// date is the profile of ISO 8601 of the W3C note "Date and Time Formats", which the IAM user guide
// names: a time has a zone.
var date = regexp.MustCompile(`^[0-9]{4}(-[0-9]{2}(-[0-9]{2}` +
	`(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?)?)?$`)

// epoch is seconds since 1970, up to the year 5138. Four digits are a year.
var epoch = regexp.MustCompile(`^([0-9]{1,3}|[0-9]{5,11})$`)

func parseDate(s string) (time.Time, bool) {
	if epoch.MatchString(s) {
		seconds, err := strconv.ParseInt(s, 10, 64)
		return time.Unix(seconds, 0), err == nil
	}
	if !date.MatchString(s) {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly,
		"2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func dateTest(want order) func(string, bool) (test, error) {
	return func(value string, _ bool) (test, error) {
		bound, ok := parseDate(value)
		if !ok {
			return nil, fmt.Errorf("%q is not a date: write 2026-11-29, 2026-11-29T09:00:00Z, or "+
				"seconds since 1970", value)
		}
		return func(value string, _ Context) (bool, bool) {
			got, ok := parseDate(value)
			return ok && want.has(got.Compare(bound)), ok
		}, nil
	}
}

func parseBool(s string) (bool, error) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, nil
	case strings.EqualFold(s, "false"):
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}

func boolTest(value string, _ bool) (test, error) {
	want, err := parseBool(value)
	if err != nil {
		return nil, err
	}
	return func(value string, _ Context) (bool, bool) {
		got, err := parseBool(value)
		return err == nil && got == want, err == nil
	}, nil
}

func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err
}

// addressTest reads an address or a range in CIDR notation. On both sides, IPv4 addresses within
// IPv6 count as IPv4.
func addressTest(value string, _ bool) (test, error) {
	network, err := parseNetwork(value)
	if err != nil {
		return nil, fmt.Errorf("%q is neither an address nor a range: %w", value, err)
	}
	return func(value string, _ Context) (bool, bool) {
		a, err := parseAddress(value)
		return err == nil && network.Contains(a), err == nil
	}, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err == nil && a.Zone() != "" {
			err = errors.New("a zone is of one machine")
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), err
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, errors.New("a range of IPv4 addresses within IPv6 begins at /96")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
