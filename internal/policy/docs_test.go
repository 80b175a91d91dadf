package policy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const docsPage = "../../docs/policies.md"

// example is a document of the page, with the table of calls below it.
type example struct {
	document string
	trust    bool
	rows     [][]string // call, stream or caller, request, answer
}

func readExamples(t *testing.T) (examples []example) {
	t.Helper()
	page, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(page), "\n```json\n")[1:] {
		document, rest, ok := strings.Cut(part, "\n```\n\n")
		header, rest, _ := strings.Cut(rest, "\n|---|---|---|---|\n")
		e := example{document: document, trust: header == "| call | caller | request | answer |"}
		if !ok || !e.trust && header != "| call | stream | request | answer |" {
			t.Fatalf("no table of calls below\n%s", document)
		}
		table, _, _ := strings.Cut(rest, "\n\n")
		for _, line := range strings.Split(table, "\n") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if len(cells) != 4 {
				t.Fatalf("not a row of four: %s", line)
			}
			for i := range cells {
				cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
			}
			e.rows = append(e.rows, cells)
		}
		examples = append(examples, e)
	}
	return examples
}

// The documents in docs/policies.md decide as the tables below them say.
func TestDocumentedExamples(t *testing.T) {
	answered := map[string]int{}
	for _, e := range readExamples(t) {
		for _, row := range e.rows {
			c := Context{}
			for _, pair := range strings.Split(row[2], "`, `") {
				if name, value, ok := strings.Cut(pair, "="); ok {
					c.Set(name, append(c[Key(name)], value)...)
				}
			}
			var d Decision
			if e.trust {
				d = decideExampleOfTrust(t, e.document, row, c)
			} else {
				r := Request{"kinesisvideo:" + row[0], "*", c}
				if row[1] != "" {
					r.Resource = "arn:aws:kinesisvideo:us-east-1:123456789012:stream/" + row[1] +
						"/1700000000000"
				}
				d = Decide(r, []Named{{"p", mustParse(t, e.document)}})
			}
			answer := "not allowed"
			if d.Allowed {
				answer = "allowed"
			} else if d.Explicit {
				answer = "denied"
			}
			if answered[answer]++; answer != row[3] {
				t.Errorf("%s\n%v: %s", e.document, row, answer)
			}
		}
	}
	for _, answer := range []string{"allowed", "denied", "not allowed"} {
		if answered[answer] < 3 {
			t.Errorf("%q is the answer %d times", answer, answered[answer])
		}
	}
}

func decideExampleOfTrust(t *testing.T, text string, row []string, c Context) Decision {
	t.Helper()
	trust, err := ParseTrust([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	caller := Caller{Federated: []string{row[1]}}
	if strings.HasPrefix(row[1], "arn:") {
		caller = Caller{ARNs: []string{row[1]}, Account: "123456789012"}
	}
	return DecideTrust(Request{"sts:" + row[0], "*", c}, caller, trust).Decision
}

// The page has every condition key and operator that Parse knows and every policy that comes with
// Weir, and no other key or operator.
func TestDocumentedNames(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	_, keys, _ := strings.Cut(string(page), "\n## Condition keys\n")
	keys, _, _ = strings.Cut(keys, "\n## ")
	var documented []string
	for _, m := range regexp.MustCompile("`((?:aws|sts|credentials-iot):[A-Za-z0-9]+)(?:/KEY)?`").
		FindAllStringSubmatch(keys, -1) {
		documented = append(documented, strings.ToLower(m[1]))
	}
	for name := range knownKeys {
		if !slices.Contains(documented, name) {
			t.Errorf("%s does not have the condition key %s", docsPage, name)
		}
	}
	for _, name := range documented {
		if _, ok := knownKeys[name]; !ok {
			t.Errorf("%s has the condition key %s, which Parse does not know", docsPage, name)
		}
	}
	_, rows, _ := strings.Cut(string(page), "\n| operator | ")
	rows, _, _ = strings.Cut(rows, "\n\n")
	for name := range operators {
		if !strings.Contains(rows, "`"+name+"`") {
			t.Errorf("%s does not have the operator %s", docsPage, name)
		}
	}
	for _, named := range Builtin() {
		if !strings.Contains(string(page), "\n| `"+named.Name+"` | ") {
			t.Errorf("%s does not have the policy %s", docsPage, named.Name)
		}
	}
}
