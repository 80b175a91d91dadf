package shape

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jmespath/go-jmespath"
)

// Query is a JMESPath expression.
type Query struct {
	path *jmespath.JMESPath
}

// ParseQuery reads an expression.
func ParseQuery(text string) (*Query, error) {
	path, err := jmespath.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("Bad value for --query %s: Invalid jmespath expression: %w", text, err)
	}
	return &Query{path}, nil
}

// Search applies the expression. The objects that it leaves whole keep the order of their members; new ones are sorted. What keys(),
// values() and * give of an object is in no order, as the specification says.
func (q *Query) Search(v Value) (Value, error) {
	t := translation{orders: map[uintptr][]string{}, fractions: map[float64]bool{}}
	plain, err := t.plain(v)
	if err != nil {
		return nil, err
	}
	found, err := q.path.Search(plain)
	if err != nil {
		return nil, fmt.Errorf("--query: %w", err)
	}
	return t.value(found)
}

// translation turns values into those that the library works on, and back. It remembers what is lost on the way: the order of members,
// and which numbers were written with a point.
type translation struct {
	orders    map[uintptr][]string // of a map, by its address
	fractions map[float64]bool
}

func (t *translation) plain(v Value) (any, error) {
	switch v := v.(type) {
	case *Object:
		m := make(map[string]any, len(v.Members))
		names := make([]string, 0, len(v.Members))
		for _, member := range v.Members {
			inner, err := t.plain(member.Value)
			if err != nil {
				return nil, err
			}
			m[member.Name] = inner
			names = append(names, member.Name)
		}
		t.orders[reflect.ValueOf(m).Pointer()] = names
		return m, nil
	case List:
		l := make([]any, len(v))
		for i := range v {
			inner, err := t.plain(v[i])
			if err != nil {
				return nil, err
			}
			l[i] = inner
		}
		return l, nil
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("--query: the number %s is too large", v)
		}
		if isFraction(v) {
			t.fractions[f] = true
		}
		return f, nil
	}
	return v, nil
}

func (t *translation) value(v any) (Value, error) {
	switch v := v.(type) {
	case map[string]any:
		names, ok := t.orders[reflect.ValueOf(v).Pointer()]
		if !ok {
			for name := range v {
				names = append(names, name)
			}
			slices.Sort(names)
		}
		o := &Object{}
		for _, name := range names {
			inner, err := t.value(v[name])
			if err != nil {
				return nil, err
			}
			o.Set(name, inner)
		}
		return o, nil
	case []any:
		l := make(List, len(v))
		for i := range v {
			inner, err := t.value(v[i])
			if err != nil {
				return nil, err
			}
			l[i] = inner
		}
		return l, nil
	case float64:
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		n := json.Number(text)
		if t.fractions[v] && !strings.Contains(string(n), ".") {
			n += ".0"
		}
		return n, nil
	case int:
		return json.Number(fmt.Sprint(v)), nil
	case []string: // of split and the like
		l := make(List, len(v))
		for i := range v {
			l[i] = v[i]
		}
		return l, nil
	case nil, bool, string:
		return v, nil
	}
	return nil, fmt.Errorf("--query gives a value of type %T, which is not JSON", v)
}
