package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"reflect"
	"strconv"
	"strings"
)

// given remembers which members DecodeJSON met as an explicit "" or 0. zeros is nil in an input
// that was not decoded. Every input embeds it.
type given struct {
	zeros map[string]bool // paths of member names joined by dots
}

func (g *given) setZeros(z map[string]bool) { g.zeros = z }

// DecodeJSON decodes the body of a call into an input or output struct of this package. An empty
// body is {}. Unknown members are ignored and null is the same as absent, as at AWS; member names
// are matched exactly. Malformed JSON, wrong types, and bodies above MaxBodyBytes give a
// SerializationException (RequestEntityTooLargeException for the last).
func DecodeJSON(body []byte, v any) error {
	if len(body) > MaxBodyBytes {
		return Errorf(RequestEntityTooLargeException,
			"The request body is %d bytes long; the most is %d.", len(body), MaxBodyBytes)
	}
	target := reflect.ValueOf(v).Elem()
	target.SetZero()
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return malformed(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return NewError(SerializationException, "The request body has text after the JSON object.")
	}
	if tree == nil {
		return nil
	}
	members, ok := tree.(map[string]any)
	if !ok {
		return Errorf(SerializationException, "The request body must be a JSON object, not %s.",
			kindOf(tree))
	}
	d := decoder{zeros: map[string]bool{}}
	if err := d.structure("", members, target); err != nil {
		target.SetZero()
		return err
	}
	if z, ok := v.(interface{ setZeros(map[string]bool) }); ok {
		z.setZeros(d.zeros)
	}
	return nil
}

func malformed(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return Errorf(SerializationException, "The request body is not valid JSON: %v at byte %d.",
			syntax, syntax.Offset)
	}
	return Errorf(SerializationException, "The request body is not valid JSON: %v.", err)
}

// kindOf names the kind of a JSON value like AWS's messages.
func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return "STRING_VALUE"
	case json.Number:
		return "NUMBER_VALUE"
	case bool:
		if v {
			return "TRUE_VALUE"
		}
		return "FALSE_VALUE"
	case []any:
		return "a list"
	case map[string]any:
		return "a structure"
	}
	return "null"
}

// decoder fills the structs of this package. Their fields are strings, ints, *Timestamps, structs,
// pointers to structs, slices of strings or structs, and string maps.
type decoder struct {
	zeros map[string]bool
}

func wrongType(path string, v any, want string) error {
	return Errorf(SerializationException, "%s can not be converted to %s at '%s'.", kindOf(v), want,
		decapitalise(path))
}

func (d *decoder) structure(path string, members map[string]any, target reflect.Value) error {
	typ := target.Type()
	for i := range typ.NumField() {
		field := typ.Field(i)
		if field.Anonymous { // StreamRef and given
			if field.IsExported() {
				if err := d.structure(path, members, target.Field(i)); err != nil {
					return err
				}
			}
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		value, ok := members[name]
		if !ok || value == nil {
			continue
		}
		if err := d.value(join(path, name), value, target.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) value(path string, v any, target reflect.Value) error {
	if ts, ok := target.Addr().Interface().(*Timestamp); ok {
		t, err := decodeTimestamp(path, v)
		*ts = t
		return err
	}
	switch target.Kind() {
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return wrongType(path, v, "a String")
		}
		if s == "" {
			d.zeros[path] = true
		}
		target.SetString(s)
	case reflect.Int, reflect.Int64:
		return d.integer(path, v, target)
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		return d.value(path, v, target.Elem())
	case reflect.Struct:
		members, ok := v.(map[string]any)
		if !ok {
			return wrongType(path, v, "a structure")
		}
		return d.structure(path, members, target)
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return wrongType(path, v, "a list")
		}
		target.Set(reflect.MakeSlice(target.Type(), len(list), len(list)))
		for i, item := range list {
			if item == nil {
				return Errorf(SerializationException, "null is not allowed in the list at '%s'.",
					decapitalise(path))
			}
			if err := d.value(path+"."+strconv.Itoa(i+1)+".member", item,
				target.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		members, ok := v.(map[string]any)
		if !ok {
			return wrongType(path, v, "a map")
		}
		target.Set(reflect.MakeMapWithSize(target.Type(), len(members)))
		for k, item := range members {
			s, ok := item.(string)
			if !ok {
				return wrongType(path, item, "a String")
			}
			target.SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(s))
		}
	default:
		return Errorf(InternalFailure, "api: field %s has kind %s, which DecodeJSON does not know",
			path, target.Kind())
	}
	return nil
}

// integer accepts any notation of a whole number (24, 24.0, 2.4e1) that fits into the model's
// integer or long.
func (d *decoder) integer(path string, v any, target reflect.Value) error {
	number, ok := v.(json.Number)
	if !ok {
		return wrongType(path, v, "an Integer")
	}
	n, err := number.Int64()
	if err != nil {
		// An exponent may be huge: refuse it before big.Rat spends memory on it.
		f, ferr := number.Float64()
		if ferr != nil || f < -1e18 || f > 1e18 || (f != 0 && f > -1 && f < 1) ||
			len(number) > 64 || longExponent(string(number)) {
			return wrongType(path, v, "an Integer")
		}
		r, ok := new(big.Rat).SetString(string(number))
		if !ok || !r.IsInt() {
			return wrongType(path, v, "an Integer")
		}
		n = r.Num().Int64()
	}
	if n == 0 {
		d.zeros[path] = true
	}
	target.SetInt(n)
	return nil
}

// longExponent reports whether an exponent has more than two digits, such as that of 0e999999999.
func longExponent(number string) bool {
	i := strings.IndexAny(number, "eE")
	return i >= 0 && len(strings.TrimLeft(number[i+1:], "+-0")) > 2
}
