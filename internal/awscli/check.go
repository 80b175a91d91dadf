package awscli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"weir/internal/api"
)

// Check compares an input with its shape. It returns what is wrong, a line each, in the words of
// the AWS command line, and what may mean something else than it seems to. Relative timestamps are
// relative to now, in now's zone.
func Check(v Value, s *api.Shape, now time.Time) (wrong, warnings []string) {
	c := checker{now: now}
	c.value("", v, s)
	return c.found, c.warnings
}

type checker struct {
	now      time.Time
	found    []string
	warnings []string
}

func (c *checker) say(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// label is how a message names the place.
func label(path string) string {
	if path == "" {
		return "input"
	}
	return strings.TrimPrefix(path, ".")
}

func (c *checker) wrongType(path string, v Value, types ...string) {
	c.say("Invalid type for parameter %s, value: %s, type: %s, valid types: %s", label(path),
		python(v), pythonType(v), strings.Join(types, ", "))
}

func (c *checker) length(path string, n int, s *api.Shape) {
	if n < int(s.Min) {
		c.say("Invalid length for parameter %s, value: %d, valid min length: %d", label(path), n,
			s.Min)
	}
}

func (c *checker) value(path string, v Value, s *api.Shape) {
	switch s.Kind {
	case api.KindStructure:
		c.structure(path, v, s)
	case api.KindList:
		l, ok := v.(List)
		if !ok {
			c.wrongType(path, v, "<class 'list'>", "<class 'tuple'>")
			return
		}
		c.length(path, len(l), s)
		for i, item := range l {
			c.value(path+"["+strconv.Itoa(i)+"]", item, s.Item)
		}
	case api.KindMap:
		o, ok := v.(*Object)
		if !ok {
			c.wrongType(path, v, "<class 'dict'>")
			return
		}
		for _, m := range o.Members {
			c.value(path+" (key: "+m.Name+")", m.Name, s.Key)
			c.value(path+"."+m.Name, m.Value, s.Item)
		}
	case api.KindInteger, api.KindLong:
		switch v := v.(type) {
		case bool: // a bool is an int to Python
			if n := map[bool]int{true: 1}[v]; n < int(s.Min) {
				c.say("Invalid value for parameter %s, value: %s, valid min value: %d", label(path),
					python(v), s.Min)
			}
		case json.Number:
			if isFraction(v) {
				c.wrongType(path, v, "<class 'int'>")
			} else if f, err := v.Float64(); err == nil && s.Bounded() && f < float64(s.Min) {
				c.say("Invalid value for parameter %s, value: %s, valid min value: %d", label(path),
					python(v), s.Min)
			}
		default:
			c.wrongType(path, v, "<class 'int'>")
		}
	case api.KindTimestamp:
		_, zone, err := parseTimestamp(v, c.now)
		if err != nil {
			c.wrongType(path, v, "<class 'datetime.datetime'>", "timestamp-string")
		} else if zone != "" {
			c.warnings = append(c.warnings,
				fmt.Sprintf(
					"%s: the zone %s is not known and taken for UTC, as the AWS command line "+
						"does; give it in numbers, such as -05:00", label(path), zone))
		}
	case api.KindString:
		text, ok := v.(string)
		if !ok {
			c.wrongType(path, v, "<class 'str'>")
			return
		}
		c.length(path, utf8.RuneCountInString(text), s)
	}
}

func (c *checker) structure(path string, v Value, s *api.Shape) {
	o, ok := v.(*Object)
	if !ok {
		c.wrongType(path, v, "<class 'dict'>")
		return
	}
	for _, f := range s.Members {
		if _, ok := o.Get(f.Name); f.Required && !ok {
			c.say("Missing required parameter in %s: %q", label(path), f.Name)
		}
	}
	for _, m := range o.Members {
		if s.Member(m.Name) == nil {
			c.say("Unknown parameter in %s: \"%s\", must be one of: %s", label(path), m.Name,
				strings.Join(names(s), ", "))
		}
	}
	for _, m := range o.Members {
		if f := s.Member(m.Name); f != nil {
			c.value(path+"."+m.Name, m.Value, f.Shape)
		}
	}
}

// Encode puts an input that passed Check into the form in which it is sent: timestamps are seconds
// since 1970, with the milliseconds that the AWS command line drops.
func Encode(v Value, s *api.Shape, now time.Time) (Value, error) {
	switch v := v.(type) {
	case *Object:
		out := &Object{}
		for _, m := range v.Members {
			inner := of(s, m.Name)
			if inner == nil {
				out.Set(m.Name, m.Value)
				continue
			}
			e, err := Encode(m.Value, inner, now)
			if err != nil {
				return nil, err
			}
			out.Set(m.Name, e)
		}
		return out, nil
	case List:
		out := make(List, len(v))
		for i := range v {
			e, err := Encode(v[i], s.Item, now)
			if err != nil {
				return nil, err
			}
			out[i] = e
		}
		return out, nil
	}
	if s.Kind == api.KindTimestamp {
		t, _, err := parseTimestamp(v, now)
		if err != nil {
			return nil, err
		}
		return json.Number(strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64)), nil
	}
	return v, nil
}

// Skeleton is the sample of an input that --generate-cli-skeleton prints: empty texts, zeros, the
// first value of an enumeration.
func Skeleton(s *api.Shape) Value { return skeleton(s, "", false) }

// Sample is the sample of an output: texts hold the names of their members.
func Sample(s *api.Shape) Value { return skeleton(s, "", true) }

func skeleton(s *api.Shape, name string, names bool) Value {
	switch s.Kind {
	case api.KindStructure:
		o := &Object{}
		for _, f := range s.Members {
			o.Set(f.Name, skeleton(f.Shape, f.Name, names))
		}
		return o
	case api.KindList:
		return List{skeleton(s.Item, s.Item.Name, names)}
	case api.KindMap:
		return &Object{Members: []Member{{"KeyName", skeleton(s.Item, "", names)}}}
	case api.KindInteger, api.KindLong:
		return json.Number("0")
	case api.KindTimestamp:
		return "1970-01-01T00:00:00"
	}
	switch {
	case names:
		return name
	case s.Enum != nil:
		return s.Enum[0]
	}
	return ""
}
