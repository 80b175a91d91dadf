package awscli

import (
	"io"
	"slices"
	"strings"
)

// writeText prints a value like --output text of the AWS command line: values with tabs between
// them, a line for each structure, and then the structures inside it, each of which begins with
// its name in capitals.
func writeText(w io.Writer, v Value) error {
	var p textPrinter
	p.value(v, "", nil)
	_, err := io.WriteString(w, p.b.String())
	return err
}

type textPrinter struct {
	b strings.Builder
}

func (p *textPrinter) line(words []string) {
	p.b.WriteString(strings.Join(words, "\t"))
	p.b.WriteByte('\n')
}

// value prints a value. name is that of the member that holds it; keys are the columns if it is in
// a list.
func (p *textPrinter) value(v Value, name string, keys []string) {
	switch v := v.(type) {
	case *Object:
		p.object(v, name, keys)
	case List:
		p.list(v, name)
	default:
		p.line([]string{python(v)})
	}
}

func isScalar(v Value) bool {
	switch v.(type) {
	case *Object, List:
		return false
	}
	return true
}

func (p *textPrinter) list(l List, name string) {
	if len(l) == 0 {
		return
	}
	if keys, ok := scalarKeys(l); ok {
		for _, item := range l {
			p.value(item, name, keys)
		}
		return
	}
	var scalars []string
	var rest List
	for _, item := range l {
		if isScalar(item) {
			scalars = append(scalars, python(item))
		} else {
			rest = append(rest, item)
		}
	}
	switch {
	case len(scalars) > 0 && name != "":
		for _, s := range scalars {
			p.line([]string{strings.ToUpper(name), s})
		}
	case len(scalars) > 0:
		p.line(scalars)
	}
	for _, item := range rest {
		p.value(item, name, nil)
	}
}

// scalarKeys lists the members of the objects in a list that hold a single value in one of them; ok
// is false when no item is an object.
func scalarKeys(l List) (keys []string, ok bool) {
	keys = []string{}
	for _, item := range l {
		o, isObject := item.(*Object)
		if !isObject {
			continue
		}
		ok = true
		for _, m := range o.Members {
			if isScalar(m.Value) && !slices.Contains(keys, m.Name) {
				keys = append(keys, m.Name)
			}
		}
	}
	slices.Sort(keys)
	return keys, ok
}

func (p *textPrinter) object(o *Object, name string, keys []string) {
	var words []string
	var rest []Member
	members := slices.SortedFunc(slices.Values(o.Members), func(a, b Member) int {
		return strings.Compare(a.Name, b.Name)
	})
	for _, key := range keys {
		v, ok := o.Get(key)
		if !ok {
			v = ""
		}
		words = append(words, python(v))
	}
	for _, m := range members {
		switch {
		case keys != nil && slices.Contains(keys, m.Name):
		case keys == nil && isScalar(m.Value):
			words = append(words, python(m.Value))
		default:
			rest = append(rest, m)
		}
	}
	if len(words) > 0 {
		if name != "" {
			words = append([]string{strings.ToUpper(name)}, words...)
		}
		p.line(words)
	}
	for _, m := range rest {
		p.value(m.Value, m.Name, nil)
	}
}
