package conformance

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// entry is a tag or a URI of a playlist. Comments and empty lines are gone.
type entry struct {
	line  int
	name  string // of the tag; empty for a URI
	tag   tag
	value string            // after the colon; or the URI
	attrs map[string]string // of an attribute list; quotes removed
}

// scan reads the lines of a playlist and holds each to its own syntax (RFC 8216 sections 4.1 and
// 4.2).
func scan(text []byte) (entries []entry, f Findings) {
	if bytes.HasPrefix(text, []byte("\xEF\xBB\xBF")) {
		f.add(Encoding, line(1), "the text begins with a byte order mark")
		text = text[3:]
	}
	if !utf8.Valid(text) {
		f.add(Encoding, "playlist", "the text is not UTF-8")
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		f.add(Encoding, "playlist", "the last line does not end")
	}
	tags, seen := tagTable(), map[string]bool{}
	n := 0
	for raw := range strings.Lines(string(text)) {
		n++
		s := strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7F && r < 0xA0 }) {
			f.add(ControlCharacter, line(n), "%q", s)
		}
		if n == 1 && s != "#EXTM3U" {
			f.add(FirstLine, line(n), "%q", s)
		}
		if strings.TrimSpace(s) != s {
			f.add(WhiteSpace, line(n), "%q", s)
			s = strings.TrimSpace(s)
		}
		switch {
		case s == "":
		case !strings.HasPrefix(s, "#"):
			if u, err := url.Parse(s); err != nil || strings.ContainsAny(s, " \"<>\\^`{|}") ||
				u.String() == "" {
				f.add(URI, line(n), "%q is no URI", s)
			}
			entries = append(entries, entry{line: n, value: s})
		case strings.HasPrefix(s, "#EXT"):
			name, value, hasValue := strings.Cut(s[1:], ":")
			t, known := tags[name]
			if !known {
				f.add(UnknownTag, line(n), "%s", name)
				continue
			}
			if seen[name] && t.once {
				f.add(RepeatedTag, line(n), "%s", name)
			}
			seen[name] = true
			e := entry{line: n, name: name, tag: t, value: value}
			switch {
			case t.form == noValue && hasValue || t.form != noValue && !hasValue:
				f.add(TagValue, line(n), "%q", s)
			case t.form == integer && !isInteger(value):
				f.add(TagValue, line(n), "%s: %q is no decimal-integer", name, value)
			case t.form == list:
				e.attrs = attributes(&f, &e)
			}
			entries = append(entries, e)
		}
	}
	return entries, f
}

var (
	integerForm     = regexp.MustCompile(`^[0-9]{1,20}$`)
	hexadecimalForm = regexp.MustCompile(`^0[xX][0-9A-F]+$`)
	floatForm       = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	signedForm      = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	resolutionForm  = regexp.MustCompile(`^[0-9]+x[0-9]+$`)
	enumeratedForm  = regexp.MustCompile(`^[^", ]+$`)
	attributeForm   = regexp.MustCompile(`^([A-Z0-9-]+)=("[^"]*"|[^",]+)(,|$)`)
)

func isInteger(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return integerForm.MatchString(s) && err == nil
}

// attributes reads an attribute list (RFC 8216 section 4.2) and holds it to the tag's table.
func attributes(f *Findings, e *entry) map[string]string {
	attrs := map[string]string{}
	for rest := e.value; ; {
		m := attributeForm.FindStringSubmatch(rest)
		if m == nil {
			f.add(AttributeList, line(e.line), "%s: %q", e.name, rest)
			break
		}
		name, value := m[1], m[2]
		if _, twice := attrs[name]; twice {
			f.add(RepeatedAttribute, line(e.line), "%s: %s", e.name, name)
		}
		spec, known := e.tag.attributes[name]
		switch {
		case !known && strings.HasPrefix(name, "X-") && e.name == "EXT-X-DATERANGE":
			spec = allow(anyKind)
		case !known:
			f.add(UnknownAttribute, line(e.line), "%s: %s", e.name, name)
			spec = allow(anyKind)
		}
		if !spec.accepts(value) {
			f.add(AttributeType, line(e.line), "%s: %s=%s", e.name, name, value)
		}
		attrs[name] = strings.Trim(value, `"`)
		if rest = rest[len(m[0]):]; rest == "" {
			if m[3] == "," {
				f.add(AttributeList, line(e.line), "%s: a comma at the end", e.name)
			}
			break
		}
	}
	for name, spec := range e.tag.attributes {
		if _, given := attrs[name]; spec.required && !given {
			f.add(RequiredAttribute, line(e.line), "%s: %s is missing", e.name, name)
		}
	}
	return attrs
}

func (a attribute) accepts(value string) bool {
	isQuoted := strings.HasPrefix(value, `"`)
	switch a.kind {
	case quoted:
		return isQuoted
	case decimal:
		return isInteger(value)
	case hexadecimal:
		return hexadecimalForm.MatchString(value)
	case float:
		return floatForm.MatchString(value)
	case signedFloat:
		return signedForm.MatchString(value)
	case resolution:
		return resolutionForm.MatchString(value)
	case enumerated:
		return enumeratedForm.MatchString(value) &&
			(a.values == nil || slices.Contains(a.values, value))
	}
	return isQuoted || enumeratedForm.MatchString(value)
}
