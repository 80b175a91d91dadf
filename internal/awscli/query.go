//lint:file-ignore ST1005 the texts are those of the AWS command line

package awscli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/functions"
	"github.com/jmespath-community/go-jmespath/pkg/interpreter"
	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// Query is a JMESPath expression as the AWS command line understands it. The library's language
// has grown since, and the library works on Go maps, which have no order. So ParseQuery refuses
// what is new, and calls our own functions (queryFunctions) where order matters.
type Query struct {
	tree parsing.ASTNode
}

// ParseQuery reads an expression.
func ParseQuery(text string) (*Query, error) {
	tree, err := parse(quoteLiterals(text))
	if err == nil {
		tree, err = rewrite(tree)
	}
	if err != nil {
		return nil, fmt.Errorf("Bad value for --query %s: Invalid jmespath expression: %w", text,
			err)
	}
	return &Query{tree}, nil
}

// parse is the library's parser, which panics on some texts, such as names with letters beyond
// ASCII and no quotes.
func parse(text string) (tree parsing.ASTNode, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it has characters that only quoted names may have")
		}
	}()
	return parsing.NewParser().Parse(text)
}

// quoteLiterals makes JSON of literals that are not JSON, such as `ACTIVE`: the first AWS command
// lines accepted them, and people still write them.
func quoteLiterals(text string) string {
	var b strings.Builder
	for text != "" {
		end := len(text)
		if quote := text[0]; quote == '`' || quote == '\'' || quote == '"' {
			for i := 1; i < len(text); i++ {
				if text[i] == '\\' {
					i++
				} else if text[i] == quote {
					end = i + 1
					break
				}
			}
			token := text[:end]
			if literal := strings.Trim(strings.ReplaceAll(token, "\\`", "`"), "`"); quote == '`' &&
				end > 2 && !json.Valid([]byte(literal)) {
				if quoted := `"` + strings.TrimLeft(token[1:end-1], " ") +
					`"`; json.Valid([]byte(strings.ReplaceAll(quoted, "\\`", "`"))) {
					token = "`" + quoted + "`"
				}
			}
			b.WriteString(token)
		} else {
			if i := strings.IndexAny(text, "`'\""); i > 0 {
				end = i
			}
			b.WriteString(text[:end])
		}
		text = text[end:]
	}
	return b.String()
}

// Names of our functions that stand for syntax; no expression can spell them.
const (
	valuesOf = "*"
	asList   = "[::]"
	listOf   = "[]"
	objectOf = "{}"
	compare  = "<"
)

// rewrite puts our functions into a tree, and refuses what the AWS command line does not know.
func rewrite(n parsing.ASTNode) (parsing.ASTNode, error) {
	call := func(name string, arguments ...parsing.ASTNode) parsing.ASTNode {
		return parsing.ASTNode{NodeType: parsing.ASTFunctionExpression, Value: name,
			Children: arguments}
	}
	// a function's argument that it evaluates by itself
	later := func(n parsing.ASTNode) parsing.ASTNode {
		return parsing.ASTNode{NodeType: parsing.ASTExpRef, Children: []parsing.ASTNode{n}}
	}
	n.Children = slices.Clone(n.Children)
	for i := range n.Children {
		var err error
		if n.Children[i], err = rewrite(n.Children[i]); err != nil {
			return n, err
		}
	}
	switch n.NodeType {
	case parsing.ASTArithmeticExpression, parsing.ASTArithmeticUnaryExpression:
		return n, errors.New("there is no arithmetic")
	case parsing.ASTLetExpression, parsing.ASTVariable, parsing.ASTBindings, parsing.ASTBinding,
		parsing.ASTRootNode:
		return n, errors.New("there are no variables")
	case parsing.ASTComparator:
		if n.Value != parsing.TOKEQ && n.Value != parsing.TOKNE {
			return call(compare, n.Children[0], n.Children[1],
				parsing.ASTNode{NodeType: parsing.ASTLiteral, Value: n.Value}), nil
		}
	case parsing.ASTValueProjection:
		n.NodeType, n.Children[0] = parsing.ASTProjection, call(valuesOf, n.Children[0])
	case parsing.ASTIndexExpression:
		if n.Children[1].NodeType == parsing.ASTSlice { // of lists only
			n.Children[0] = call(asList, n.Children[0])
		}
	case parsing.ASTMultiSelectList, parsing.ASTMultiSelectHash:
		arguments := []parsing.ASTNode{{NodeType: parsing.ASTCurrentNode}}
		if n.NodeType == parsing.ASTMultiSelectHash {
			var names []string
			for _, pair := range n.Children {
				names = append(names, pair.Value.(string))
			}
			arguments = append(arguments, parsing.ASTNode{NodeType: parsing.ASTLiteral,
				Value: names})
		}
		for _, child := range n.Children {
			arguments = append(arguments, later(child))
		}
		if n.NodeType == parsing.ASTMultiSelectHash {
			return call(objectOf, arguments...), nil
		}
		return call(listOf, arguments...), nil
	}
	return n, nil
}

// Search applies the expression. Objects keep the order of their members, also in the results of
// keys(), values() and *. Members of new objects are in the order of the expression.
func (q *Query) Search(v Value) (Value, error) {
	t := translation{orders: map[uintptr][]string{}, fractions: map[float64]bool{}}
	plain, err := t.plain(v)
	if err != nil {
		return nil, err
	}
	found, err := interpreter.NewInterpreter(plain, interpreter.NewFunctionCaller(t.functions()...),
		nil).Execute(q.tree, plain)
	if err != nil {
		return nil, fmt.Errorf("--query: %w", err)
	}
	return t.value(found)
}

// awsFunctions are those that the AWS command line has.
var awsFunctions = strings.Fields("abs avg ceil contains ends_with floor join keys length map " +
	"max max_by merge min min_by not_null reverse " +
	"sort sort_by starts_with sum to_array to_number to_string type values")

// functions are those of the AWS command line, and those that rewrite puts in. Most are the
// library's. Ours replace those that depend on the order of a Go map, change their arguments, or
// cannot compare objects.
func (t *translation) functions() []functions.FunctionEntry {
	ours := map[string]functions.JpFunction{
		"keys": func(arguments []any) (any, error) {
			keys := []any{}
			for _, name := range t.names(arguments[0].(map[string]any)) {
				keys = append(keys, name)
			}
			return keys, nil
		},
		"values": func(arguments []any) (any, error) {
			return t.values(arguments[0].(map[string]any)), nil
		},
		"merge": func(arguments []any) (any, error) {
			o := newOrdered()
			for _, argument := range arguments {
				m := argument.(map[string]any)
				for _, name := range t.names(m) {
					o.set(name, m[name])
				}
			}
			return t.keep(o), nil
		},
		"contains": func(arguments []any) (any, error) {
			if text, ok := arguments[0].(string); ok {
				part, ok := arguments[1].(string)
				return ok && strings.Contains(text, part), nil
			}
			list, _ := arguments[0].([]any)
			return slices.ContainsFunc(list,
				func(v any) bool { return reflect.DeepEqual(v, arguments[1]) }), nil
		},
		"to_string": func(arguments []any) (any, error) {
			if text, ok := arguments[0].(string); ok {
				return text, nil
			}
			v, err := t.value(arguments[0])
			if err != nil {
				return nil, err
			}
			text, err := json.Marshal(v)
			return string(text), err
		},
	}
	var out []functions.FunctionEntry
	for _, f := range functions.GetDefaultFunctions() {
		if !slices.Contains(awsFunctions, f.Name) {
			continue
		}
		if own := ours[f.Name]; own != nil {
			f.Handler = own
		}
		if handler := f.Handler; f.Name == "sort_by" { // it sorts in place
			f.Handler = func(arguments []any) (any, error) {
				list, _ := arguments[0].([]any)
				return handler([]any{slices.Clone(list), arguments[1]})
			}
		}
		out = append(out, f)
	}
	return append(out,
		functions.FunctionEntry{Name: compare, Handler: func(arguments []any) (any, error) {
			order, ok := 0, false
			switch left := arguments[0].(type) {
			case float64:
				var right float64
				right, ok = arguments[1].(float64)
				order = cmp.Compare(left, right)
			case string:
				var right string
				right, ok = arguments[1].(string)
				order = cmp.Compare(left, right)
			}
			if !ok {
				return nil, nil
			}
			switch arguments[2] {
			case parsing.TOKLT:
				return order < 0, nil
			case parsing.TOKLTE:
				return order <= 0, nil
			case parsing.TOKGT:
				return order > 0, nil
			}
			return order >= 0, nil
		}},
		functions.FunctionEntry{Name: valuesOf, Handler: func(arguments []any) (any, error) {
			if m, ok := arguments[0].(map[string]any); ok {
				return t.values(m), nil
			}
			return nil, nil
		}},
		functions.FunctionEntry{Name: asList, Handler: func(arguments []any) (any, error) {
			if list, ok := arguments[0].([]any); ok {
				return list, nil
			}
			return nil, nil
		}},
		functions.FunctionEntry{Name: listOf, Handler: func(arguments []any) (any, error) {
			if arguments[0] == nil {
				return nil, nil
			}
			return evaluate(arguments[1:], arguments[0])
		}},
		functions.FunctionEntry{Name: objectOf, Handler: func(arguments []any) (any, error) {
			if arguments[0] == nil {
				return nil, nil
			}
			values, err := evaluate(arguments[2:], arguments[0])
			if err != nil {
				return nil, err
			}
			o := newOrdered()
			for i, name := range arguments[1].([]string) {
				o.set(name, values[i])
			}
			return t.keep(o), nil
		}})
}

// evaluate applies expressions to a value.
func evaluate(expressions []any, to any) ([]any, error) {
	found := make([]any, len(expressions))
	for i, e := range expressions {
		var err error
		if found[i], err = e.(functions.ExpRef)(to); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ordered is a new object and the order of its members.
type ordered struct {
	names   []string
	members map[string]any
}

func newOrdered() *ordered { return &ordered{members: map[string]any{}} }

func (o *ordered) set(name string, v any) {
	if _, ok := o.members[name]; !ok {
		o.names = append(o.names, name)
	}
	o.members[name] = v
}

// translation turns values into those that the library works on, and back. It remembers what that
// loses: the order of members, and which numbers were written with a point.
type translation struct {
	orders    map[uintptr][]string // of a map, by its address
	maps      []map[string]any     // those in orders, so that no address is used twice
	fractions map[float64]bool
}

// keep remembers the order of an object, and returns it as a map.
func (t *translation) keep(o *ordered) map[string]any {
	t.orders[reflect.ValueOf(o.members).Pointer()] = o.names
	t.maps = append(t.maps, o.members)
	return o.members
}

// names are those of a map's members in their order, or sorted if the map is a literal of the
// expression.
func (t *translation) names(m map[string]any) []string {
	if names, ok := t.orders[reflect.ValueOf(m).Pointer()]; ok {
		return names
	}
	return slices.Sorted(maps.Keys(m))
}

func (t *translation) values(m map[string]any) []any {
	values := []any{}
	for _, name := range t.names(m) {
		values = append(values, m[name])
	}
	return values
}

func (t *translation) plain(v Value) (any, error) {
	switch v := v.(type) {
	case *Object:
		o := newOrdered()
		for _, member := range v.Members {
			inner, err := t.plain(member.Value)
			if err != nil {
				return nil, err
			}
			o.set(member.Name, inner)
		}
		return t.keep(o), nil
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
		o := &Object{}
		for _, name := range t.names(v) {
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
