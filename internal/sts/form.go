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
	"weir/internal/policy"
)

// Form is the body of a call.
type Form struct{ values url.Values }

// ParseForm reads the body of a call, application/x-www-form-urlencoded. A parameter that occurs
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

// Action returns the action that a form names; *Error when it is not one that Weir has.
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

// refuse refuses parameters that Weir does not have and that change what credentials may do:
// ignoring them would grant more than was asked for. An empty list counts as none.
func (f Form) refuse(names ...string) error {
	for _, name := range names {
		for key := range f.values {
			if key == name && f.values.Get(key) != "" || strings.HasPrefix(key, name+".") {
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

// Patterns of parameters (STS API reference, "AssumeRole").
var (
	sessionNames = regexp.MustCompile(`\A[A-Za-z0-9_+=,.@-]{2,64}\z`)
	externalIDs  = regexp.MustCompile(`\A[A-Za-z0-9_+=,.@:/-]{2,}\z`)
	tagTexts     = regexp.MustCompile(`\A[\p{L}\p{Z}\p{N}_.:/=+\-@]*\z`)
)

// text reads a parameter, which must match a pattern if it exists.
func (f Form) text(name, member string, pattern *regexp.Regexp, required bool) (string, error) {
	value := f.values.Get(name)
	if len(value) > api.MaxExternalID { // which no other pattern allows
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

// members reads a list, NAME.member.N, which is numbered from 1 without a gap. Each member has the
// values of the suffixes, such as ".Key".
func (f Form) members(name string, most int, suffixes ...string) (list [][]string, err error) {
	read := 0
	for {
		member, found := make([]string, len(suffixes)), 0
		for i, suffix := range suffixes {
			key := fmt.Sprintf("%s.member.%d%s", name, len(list)+1, suffix)
			if member[i] = f.values.Get(key); f.values.Has(key) {
				found++
			}
		}
		if found == 0 {
			break
		}
		if read += found; len(list) == most {
			return nil, invalid("%s has more than %d members", name, most)
		}
		list = append(list, member)
	}
	for key := range f.values {
		if strings.HasPrefix(key, name+".") {
			read--
		}
	}
	if read != 0 {
		return nil, invalid("%s: members are numbered from 1 without a gap, each with %q", name,
			suffixes)
	}
	return list, nil
}

// tags reads Tags. Keys that differ only in case are the same to conditions.
func (f Form) tags() (map[string]string, error) {
	list, err := f.members("Tags", api.MaxPrincipalTags, ".Key", ".Value")
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for _, tag := range list {
		if err := addTag(tags, tag[0], tag[1]); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// addTag adds a session tag to a list.
func addTag(tags map[string]string, key, value string) error {
	n := utf8.RuneCountInString(key)
	if n < 1 || n > api.MaxTagKey || utf8.RuneCountInString(value) > api.MaxTagValue ||
		!tagTexts.MatchString(key) || !tagTexts.MatchString(value) {
		return invalid("The tag '%.128s' failed to satisfy constraint: a key has 1 to "+
			"%d characters, a value %d at most, letters, digits, spaces and _.:/=+-@ only",
			key, api.MaxTagKey, api.MaxTagValue)
	}
	for have := range tags {
		if policy.Key(have) == policy.Key(key) {
			return invalid("Duplicate tag keys found: %.128s. Please note that Tag keys are case "+
				"insensitive.", key)
		}
	}
	if tags[key] = value; len(tags) > api.MaxPrincipalTags {
		return invalid("There are more than %d tags", api.MaxPrincipalTags)
	}
	return nil
}

// transitive reads TransitiveTagKeys, which must be keys of tags.
func (f Form) transitive(tags map[string]string) (keys []string, err error) {
	list, err := f.members("TransitiveTagKeys", api.MaxPrincipalTags, "")
	if err != nil {
		return nil, err
	}
	for _, member := range list {
		if _, ok := tags[member[0]]; !ok {
			return nil, invalid("The transitive tag key '%.128s' is not the key of a tag",
				member[0])
		}
		keys = append(keys, member[0])
	}
	return keys, nil
}

// policyNames reads PolicyArns: the names of the policies that have an ARN with this prefix.
func (f Form) policyNames(prefix string) (names []string, err error) {
	list, err := f.members("PolicyArns", api.MaxAttached, ".arn")
	if err != nil {
		return nil, err
	}
	for _, member := range list {
		name, ok := strings.CutPrefix(member[0], prefix)
		if !ok {
			return nil, invalid("'%.128s' at 'policyArns' is not the ARN of a policy here",
				member[0])
		}
		names = append(names, name)
	}
	return names, nil
}
