package sts

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"weir/internal/api"
)

// Form is the body of a call.
type Form struct{ values url.Values }

// ParseForm reads the body of a call, application/x-www-form-urlencoded. A parameter that is there
// twice is an *Error: nobody knows which of them was meant.
func ParseForm(body []byte) (Form, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return Form{}, &Error{MalformedQueryString, "The body is not a form: " + err.Error()}
	}
	for name, list := range values {
		if len(list) > 1 {
			return Form{}, invalid("%.64q is there more than once", name)
		}
	}
	return Form{values}, nil
}

// Action is the action that a form asks for; *Error when it names none that Weir has.
func (f Form) Action() (string, error) {
	action, version := f.values.Get("Action"), f.values.Get("Version")
	switch {
	case action == "":
		return "", &Error{MissingAction, "Could not find an Action in the request"}
	case version != Version, actions[action] == nil:
		return "", &Error{InvalidAction, fmt.Sprintf(
			"Could not find operation %.64s for version %.32s", action, version)}
	}
	return action, nil
}

func invalid(format string, args ...any) *Error {
	return &Error{ValidationError, "1 validation error detected: " + fmt.Sprintf(format, args...)}
}

// refuse refuses parameters that would change what credentials may do and that Weir does not have:
// to ignore them would grant more than was asked for.
func (f Form) refuse(names ...string) error {
	for _, name := range names {
		for key := range f.values {
			if key == name || strings.HasPrefix(key, name+".") {
				return invalid("%s is not supported here", name)
			}
		}
	}
	return nil
}

// duration reads DurationSeconds.
func (f Form) duration(least, most, otherwise time.Duration) (time.Duration, error) {
	text := f.values.Get("DurationSeconds")
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	switch d := time.Duration(n) * time.Second; {
	case err != nil || n > int(most/time.Second):
		return 0, invalid("Value '%.32s' at 'durationSeconds' failed to satisfy constraint: "+
			"Member must have value less than or equal to %d", text, int(most/time.Second))
	case n < int(least/time.Second):
		return 0, invalid("Value '%.32s' at 'durationSeconds' failed to satisfy constraint: "+
			"Member must have value greater than or equal to %d", text, int(least/time.Second))
	default:
		return d, nil
	}
}

// Texts of parameters (STS API reference, "AssumeRole").
var (
	sessionNames = regexp.MustCompile(`\A[A-Za-z0-9_+=,.@-]{2,64}\z`)
	externalIDs  = regexp.MustCompile(`\A[A-Za-z0-9_+=,.@:/-]{2,}\z`)
	tagTexts     = regexp.MustCompile(`\A[\p{L}\p{Z}\p{N}_.:/=+\-@]*\z`)
)

// text reads a parameter that must match a pattern, if it is there at all.
func (f Form) text(name, member string, pattern *regexp.Regexp, required bool) (string, error) {
	value := f.values.Get(name)
	if len(value) > api.MaxExternalID { // which no other text comes near
		return "", invalid("Value at '%s' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", member, api.MaxExternalID)
	}
	if value == "" && !f.values.Has(name) && !required {
		return "", nil
	}
	if !pattern.MatchString(value) {
		return "", invalid("Value '%.64s' at '%s' failed to satisfy constraint: "+
			"Member must satisfy regular expression pattern: %s", value, member, pattern)
	}
	return value, nil
}

// tags reads Tags.member.N.Key and .Value, which are numbered from 1 without a gap.
func (f Form) tags() (map[string]string, error) {
	tags, read := map[string]string{}, 0
	for ; ; read++ {
		at := fmt.Sprintf("Tags.member.%d.", read+1)
		key, value := f.values.Get(at+"Key"), f.values.Get(at+"Value")
		if !f.values.Has(at+"Key") && !f.values.Has(at+"Value") {
			break
		}
		if _, twice := tags[key]; twice {
			return nil, invalid("Tags have the key '%.128s' more than once", key)
		}
		length := utf8.RuneCountInString(key)
		if length < 1 || length > api.MaxTagKey ||
			utf8.RuneCountInString(value) > api.MaxTagValue || !tagTexts.MatchString(key) ||
			!tagTexts.MatchString(value) {
			return nil, invalid("The tag '%.128s' failed to satisfy constraint: a key has 1 to "+
				"%d characters, a value %d at most, letters, digits, spaces and _.:/=+-@ only",
				key, api.MaxTagKey, api.MaxTagValue)
		}
		if tags[key] = value; len(tags) > api.MaxPrincipalTags {
			return nil, invalid("There are more than %d tags", api.MaxPrincipalTags)
		}
	}
	for name := range f.values {
		if tagMembers.MatchString(name) {
			n, err := strconv.Atoi(tagMembers.FindStringSubmatch(name)[1])
			if err != nil || n < 1 || n > read {
				return nil, invalid("%.64q: tags are numbered from 1 without a gap", name)
			}
		}
	}
	return tags, nil
}

var tagMembers = regexp.MustCompile(`\ATags\.member\.([0-9]+)\.`)
