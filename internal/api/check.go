package api

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pattern is a regular expression of the model: compiled to match the whole value, and as AWS prints it.
type pattern struct {
	re   *regexp.Regexp
	text string
}

func newPattern(text string) pattern {
	return pattern{re: regexp.MustCompile(`\A(?:` + text + `)\z`), text: text}
}

// stringRule is what the model says of a string shape. Lengths are in characters; max 0 means no bound.
type stringRule struct {
	min, max int
	pattern  pattern // zero: any text
	enum     []string
}

// Shapes of the models, by their names there.
var (
	shapeStreamName  = stringRule{min: 1, max: MaxStreamName, pattern: newPattern(`[a-zA-Z0-9_.-]+`)}
	shapeDeviceName  = stringRule{min: 1, max: MaxDeviceName, pattern: newPattern(`[a-zA-Z0-9_.-]+`)}
	shapeMediaType   = stringRule{min: 1, max: MaxMediaType, pattern: newPattern(`[\w\-\.\+]+/[\w\-\.\+]+(,[\w\-\.\+]+/[\w\-\.\+]+)*`)}
	shapeResourceARN = stringRule{min: 1, max: MaxARN, pattern: newPattern(`arn:[a-z\d-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+`)}
	shapeVersion     = stringRule{min: 1, max: MaxVersion, pattern: newPattern(`[a-zA-Z0-9]+`)}
	shapeNextToken   = stringRule{min: 0, max: MaxListStreamsNextToken, pattern: newPattern(`[a-zA-Z0-9+/=]*`)}
	shapeTagKey      = stringRule{min: 1, max: MaxTagKey, pattern: newPattern(`^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`)}
	shapeTagValue    = stringRule{min: 0, max: MaxTagValue, pattern: newPattern(`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`)}

	// The model's dot is Java's, which stops at more line ends than Go's.
	shapeKmsKeyID = stringRule{min: 1, max: MaxKmsKeyID, pattern: pattern{
		re: regexp.MustCompile(`\A[^\n\r\x{85}\x{2028}\x{2029}]+\z`), text: `.+`}}
)

// broken lists what is wrong with a value, in AWS's words and order.
func (r stringRule) broken(v string) []string {
	var out []string
	n := utf8.RuneCountInString(v)
	if r.max > 0 && n > r.max {
		out = append(out, fmt.Sprintf("Member must have length less than or equal to %d", r.max))
	}
	if n < r.min {
		out = append(out, fmt.Sprintf("Member must have length greater than or equal to %d", r.min))
	}
	if r.pattern.re != nil && !r.pattern.re.MatchString(v) {
		out = append(out, "Member must satisfy regular expression pattern: "+r.pattern.text)
	}
	if r.enum != nil && !slices.Contains(r.enum, v) {
		out = append(out, "Member must satisfy enum value set: ["+strings.Join(r.enum, ", ")+"]")
	}
	return out
}

// check collects what is wrong with an input. Paths are the member names of the model joined by dots; messages show them with a
// lower-case first letter, as AWS does.
type check struct {
	zeros map[string]bool
	errs  []string
}

func (g *given) check() *check { return &check{zeros: g.zeros} }

// maxEcho bounds how much of a caller's value an error message repeats, in bytes.
const maxEcho = 512

// echo is a caller's value as a message repeats it.
func echo(value string) string {
	if len(value) > maxEcho {
		return strings.ToValidUTF8(value[:maxEcho], "") + "..."
	}
	return value
}

func (c *check) fail(path, value string, constraint string) {
	c.failRaw(path, "'"+echo(value)+"'", constraint)
}

func (c *check) failRaw(path, value, constraint string) {
	c.errs = append(c.errs, "Value "+value+" at '"+decapitalise(path)+"' failed to satisfy constraint: "+constraint)
}

func decapitalise(path string) string {
	b := []byte(path)
	start := true
	for i, ch := range b {
		if start && ch >= 'A' && ch <= 'Z' {
			b[i] = ch + 'a' - 'A'
		}
		start = ch == '.'
	}
	return string(b)
}

// required demands that a member is there.
func (c *check) required(path string, present bool) {
	if !present && !c.zeros[path] {
		c.failRaw(path, "null", "Member must not be null")
	}
}

// text checks a string member when it is there.
func (c *check) text(path, v string, rule stringRule) {
	if v == "" && !c.zeros[path] {
		return
	}
	for _, b := range rule.broken(v) {
		c.fail(path, v, b)
	}
}

// enum checks a member that takes one of a few values.
func (c *check) enum(path, v string, values ...string) {
	c.text(path, v, stringRule{enum: values})
}

// number checks an integer member when it is there.
func (c *check) number(path string, v, least, most int64) {
	if v == 0 && !c.zeros[path] {
		return
	}
	if v > most {
		c.fail(path, strconv.FormatInt(v, 10), fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
	if v < least {
		c.fail(path, strconv.FormatInt(v, 10), fmt.Sprintf("Member must have value greater than or equal to %d", least))
	}
}

// size checks the number of members of a list or map that is there.
func (c *check) size(path, shown string, n, least, most int) {
	if n > most {
		c.fail(path, shown, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
	if n < least {
		c.fail(path, shown, fmt.Sprintf("Member must have length greater than or equal to %d", least))
	}
}

// tagMap checks the shape ResourceTags.
func (c *check) tagMap(path string, tags map[string]string) {
	if tags == nil {
		return
	}
	keys := make([]string, 0, len(tags))
	for k := range tags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var shown strings.Builder
	for i, k := range keys {
		if shown.Len() > maxEcho {
			break
		}
		if i > 0 {
			shown.WriteString(", ")
		}
		shown.WriteString(k + "=" + tags[k])
	}
	text := "{" + shown.String() + "}"
	c.size(path, text, len(tags), 1, MaxStreamTags)
	for _, k := range keys {
		if b := shapeTagKey.broken(k); b != nil {
			c.fail(path, text, "Map keys must satisfy constraint: ["+strings.Join(b, ", ")+"]")
			break
		}
	}
	for _, k := range keys {
		if b := shapeTagValue.broken(tags[k]); b != nil {
			c.fail(path, text, "Map value must satisfy constraint: ["+strings.Join(b, ", ")+"]")
			break
		}
	}
}

// tagKeys checks the shape TagKeyList.
func (c *check) tagKeys(path string, keys []string) {
	if keys == nil {
		return
	}
	shown := keys
	if len(shown) > MaxStreamTags+1 {
		shown = shown[:MaxStreamTags+1]
	}
	text := "[" + strings.Join(shown, ", ") + "]"
	c.size(path, text, len(keys), 1, MaxStreamTags)
	for _, k := range keys {
		if b := shapeTagKey.broken(k); b != nil {
			c.fail(path, text, "Member must satisfy constraint: ["+strings.Join(b, ", ")+"]")
			break
		}
	}
}

// stream checks the two members that name a stream.
func (c *check) stream(r StreamRef) {
	c.text("StreamName", r.StreamName, shapeStreamName)
	c.text("StreamARN", r.StreamARN, shapeResourceARN)
}

// err is nil, or the InvalidArgumentException that lists everything.
func (c *check) err() error {
	switch n := len(c.errs); n {
	case 0:
		return nil
	case 1:
		return NewError(InvalidArgumentException, "1 validation error detected: "+c.errs[0])
	default:
		return Errorf(InvalidArgumentException, "%d validation errors detected: %s", n, strings.Join(c.errs, "; "))
	}
}

// exactlyOne is the rule, outside the model's shapes, that a stream is named one way.
func (r StreamRef) exactlyOne() error {
	switch {
	case r.StreamName == "" && r.StreamARN == "":
		return NewError(InvalidArgumentException, "Either StreamName or StreamARN must be specified.")
	case r.StreamName != "" && r.StreamARN != "":
		return NewError(InvalidArgumentException, "StreamName and StreamARN must not both be specified.")
	}
	return nil
}
