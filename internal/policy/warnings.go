package policy

import (
	"fmt"
	"strings"
)

// Warnings returns, in a sentence each, the parts of a document that are hardly meant: they are
// valid, but do nothing or more than they seem to. actions are all that exist, such as
// "kinesisvideo:PutMedia".
func (d *Document) Warnings(actions []string) (warnings []string) {
	for i := range d.statements {
		s := &d.statements[i]
		warn := func(format string, args ...any) {
			name := fmt.Sprintf("statement %d: ", i+1)
			if s.sid != "" {
				name = fmt.Sprintf("statement %s: ", s.sid)
			}
			warnings = append(warnings, name+fmt.Sprintf(format, args...))
		}
		s.warnOfActions(actions, warn)
		for _, r := range s.resources {
			if !d.variables && strings.Contains(r.source, "${") {
				warn(`%s: without "Version": "2012-10-17", variables are plain text`, r.source)
			}
			if isWholeStream(r.source) {
				warn("%s matches no stream: ARNs of streams end with a creation time; write %s/*",
					r.source, r.source)
			}
		}
		s.warnOfConditions(d.variables, warn)
	}
	return warnings
}

func (s *statement) warnOfActions(actions []string, warn func(string, ...any)) {
	for _, a := range s.actions {
		known := false
		for _, action := range actions {
			known = known || glob(a.pieces[0].text, action, true)
		}
		if !known {
			warn("there is no action %s", a.source)
		}
	}
}

// isWholeStream reports whether an ARN ends with the name of a stream.
func isWholeStream(arn string) bool {
	part := strings.SplitN(arn, ":", 6)
	if len(part) < 6 {
		return false
	}
	name, ok := strings.CutPrefix(part[5], "stream/")
	return ok && part[2] == "kinesisvideo" && !strings.ContainsAny(name, "/*")
}

func (s *statement) warnOfConditions(variables bool, warn func(string, ...any)) {
	required := map[string]bool{} // keys that the request must have
	for i := range s.conditions {
		d := &s.conditions[i]
		required[d.key.name] = required[d.key.name] || d.requires()
	}
	for i := range s.conditions {
		d := &s.conditions[i]
		if d.set == forAllValues && !s.deny && !required[d.key.name] {
			warn(`%s %s also holds without the key: add "Null": {"%s": "false"}`, d.operator, d.name,
				d.name)
		}
		for _, v := range d.values {
			if !variables && strings.Contains(v, "${") {
				warn(`%s: without "Version": "2012-10-17", variables are plain text`, v)
			}
		}
	}
}

// requires reports whether a condition cannot hold for a request without the key.
func (d *condition) requires() bool { return !d.holds(nil, true) }
