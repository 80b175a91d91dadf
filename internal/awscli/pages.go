package awscli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"weir/internal/api"
)

// paged reports whether the pages are to be joined: unless one was asked for.
func (c *call) paged() (bool, error) {
	p := c.op.Paging
	if p == nil {
		return false, nil
	}
	if !c.args.has("no-paginate") && !c.args.has(hyphenate(p.InputToken)) &&
		!c.args.has(hyphenate(p.Limit)) {
		return true, nil
	}
	var used []string
	for _, name := range []string{flagStart, flagPageSize, flagMaxItems} {
		if w := c.args.word(name); w != "" && w != "0" {
			used = append(used, "--"+name)
		}
	}
	if used != nil {
		return false, errorf("Error during pagination: Cannot specify --no-paginate along with "+
			"pagination arguments: %s", strings.Join(used, ", "))
	}
	return false, nil
}

// pages performs the operation for every page, and prints the whole: in one piece, or, as text,
// page by page.
func (c *call) pages(ctx context.Context, in *Object) error {
	p := c.op.Paging
	token, skip := startingToken(c.args, p)
	if token != "" {
		in.Set(p.InputToken, token)
	}
	if c.args.has(flagPageSize) {
		size, err := ParseInt(c.args.word(flagPageSize))
		if err != nil {
			return err
		}
		in.Set(p.Limit, size)
	}
	if err := c.check(in); err != nil {
		return err
	}
	left, limited, err := c.maxItems()
	if err != nil {
		return err
	}
	all := List{}
	resume := ""
	for seen := map[string]bool{}; ; skip = 0 {
		items, next, err := c.page(ctx, in)
		if err != nil {
			return err
		}
		items = items[min(skip, len(items)):]
		cut := limited && len(items) > left
		if cut {
			items = items[:left]
			resume = resumeToken(p, token, len(items)+skip)
		}
		if c.form == "text" {
			if err := c.print(object(p.Result, items)); err != nil {
				return err
			}
		}
		all, left, token = append(all, items...), left-len(items), next
		if cut || token == "" {
			break
		}
		if limited && left == 0 {
			resume = resumeToken(p, token, 0)
			break
		}
		if seen[token] {
			return errorf("Error during pagination: The same next token was received twice: %s",
				token)
		}
		seen[token] = true
		in.Set(p.InputToken, token)
	}
	if c.form == "text" {
		if resume == "" {
			return nil
		}
		return c.print(object("NextToken", object("NextToken", resume)))
	}
	out := object(p.Result, all)
	if resume != "" {
		out.Set("NextToken", resume)
	}
	return c.print(out)
}

// maxItems is how many items may be printed, and whether there is a limit.
func (c *call) maxItems() (left int, limited bool, err error) {
	if !c.args.has(flagMaxItems) {
		return 0, false, nil
	}
	if left, err = strconv.Atoi(c.args.word(flagMaxItems)); err != nil {
		return 0, false, errorf("--%s: %v", flagMaxItems, err)
	}
	if left <= 0 {
		fmt.Fprintf(c.Err,
			"warning: Non-positive values for --%s may result in undefined behavior.\n",
			flagMaxItems)
	}
	return max(left, 0), true, nil
}

// page asks for one page. It returns the page's items and the token of the next one, "" on the
// last.
func (c *call) page(ctx context.Context, in *Object) (items List, next string, err error) {
	answer, err := c.perform(ctx, in)
	if err != nil {
		return nil, "", err
	}
	page, _ := answer.(*Object)
	if page == nil {
		return nil, "", errors.New("the answer is not an object")
	}
	found, _ := page.Get(c.op.Paging.Result)
	items, _ = found.(List)
	token, _ := page.Get(c.op.Paging.OutputToken)
	next, _ = token.(string)
	return items, next, nil
}

// object is an object with one member.
func object(name string, v Value) *Object {
	return &Object{Members: []Member{{name, v}}}
}

// truncated is the member of a resume token that says how many items of the page were printed
// already.
const truncated = "boto_truncate_amount"

// resumeToken is the token for --starting-token, in the form of the AWS command line, so that each
// continues where the other one ended.
func resumeToken(p *api.Paging, token string, printed int) string {
	quoted := []byte("null")
	if token != "" {
		quoted, _ = json.Marshal(token) // a string has no error
	}
	text := fmt.Sprintf("{%q: %s", p.InputToken, quoted)
	if printed > 0 || token == "" {
		text += fmt.Sprintf(", %q: %d", truncated, printed)
	}
	return base64.StdEncoding.EncodeToString([]byte(text + "}"))
}

// startingToken reads --starting-token: one of ours or of the AWS command line, or else a NextToken
// of the service.
func startingToken(a *arguments, p *api.Paging) (token string, skip int) {
	word := a.word(flagStart)
	text, err := base64.StdEncoding.DecodeString(word)
	if err != nil {
		return word, 0
	}
	v, err := parseJSON(text)
	o, ok := v.(*Object)
	if err != nil || !ok {
		return word, 0
	}
	next, _ := o.Get(p.InputToken)
	token, _ = next.(string)
	if n, ok := o.Get(truncated); ok {
		if n, ok := n.(json.Number); ok {
			if i, err := strconv.Atoi(string(n)); err == nil && i > 0 {
				skip = i
			}
		}
	}
	return token, skip
}
