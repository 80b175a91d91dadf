package weir_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// A page, and maybe one of its headings in quotes: docs/reference/producers.md,
	// "Acknowledgements".
	citation = regexp.MustCompile(`([\w/.-]+\.md)\b(?:, "([^"]+)")?`)
	// An issue of a source: PROD-CPP#441, hls.js#7163.
	issue = regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9.-]*)#[0-9]+`)
	// A link of a page, with or without an anchor.
	link = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
)

// Every page that a comment names is there, with the heading that it cites, and every issue is of a
// source that readers can find.
func TestCitationsResolve(t *testing.T) {
	sources := newSourceKeys(t)
	walk(t, ".go", func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil,
			parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			if text := group.Text(); !strings.Contains(text, ".md") &&
				!strings.Contains(text, "#") {
				continue // most comments: the expressions are slow
			}
			text := strings.Join(strings.Fields(group.Text()), " ")
			for _, m := range citation.FindAllStringSubmatch(text, -1) {
				checkCitation(t, path, m[1], m[2])
			}
			for _, m := range issue.FindAllStringSubmatch(text, -1) {
				sources.check(t, path, m[1])
			}
		}
	})
	walk(t, ".md", func(path string) {
		for _, m := range issue.FindAllStringSubmatch(read(t, path), -1) {
			sources.check(t, path, m[1])
		}
	})
}

// checkCitation finds a page beside the file that names it, or from the root.
func checkCitation(t *testing.T, path, page, heading string) {
	t.Helper()
	for _, dir := range []string{filepath.Dir(path), "."} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil {
			continue
		}
		if heading != "" && !hasHeading(string(text), heading) {
			t.Errorf("%s cites %s, %q, which that page does not have", path, page, heading)
		}
		return
	}
	t.Errorf("%s names %s, which is neither beside it nor at that path", path, page)
}

// sourceKeys are the keys of docs/reference/README.md that were asked for.
type sourceKeys struct {
	page  string
	known map[string]bool
}

func newSourceKeys(t *testing.T) *sourceKeys {
	t.Helper()
	return &sourceKeys{page: read(t, "docs/reference/README.md"), known: map[string]bool{}}
}

func (s *sourceKeys) check(t *testing.T, path, key string) {
	t.Helper()
	known, asked := s.known[key]
	if !asked {
		quoted := regexp.QuoteMeta(key)
		known = regexp.MustCompile("(?m)^\\| .*\\b" + quoted + "\\b.* \\||`" + quoted +
			"#N`").MatchString(s.page)
		s.known[key] = known
	}
	if !known {
		t.Errorf("%s cites an issue of %s, which docs/reference/README.md does not explain", path,
			key)
	}
}

func hasHeading(text, heading string) bool {
	return regexp.MustCompile(`(?m)^#+ ` + regexp.QuoteMeta(heading) + `$`).MatchString(text)
}

// Links lead to files that are there, and anchors to headings.
func TestDocumentLinksResolve(t *testing.T) {
	walk(t, ".md", func(path string) {
		for _, m := range link.FindAllStringSubmatch(read(t, path), -1) {
			target := path
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(path), m[1])
			}
			text, err := os.ReadFile(target)
			if info, statErr := os.Stat(target); err != nil && (statErr != nil || !info.IsDir()) {
				t.Errorf("%s links to %s, which is not there", path, m[1])
				continue
			}
			if m[2] != "" && !hasAnchor(string(text), m[2]) {
				t.Errorf("%s links to %s#%s, which has no such heading", path, m[1], m[2])
			}
		}
	})
}

// hasAnchor looks for a heading with an anchor: lower case, hyphens for spaces, other punctuation
// gone.
func hasAnchor(text, anchor string) bool {
	punctuation := regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := punctuation.ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(name, " ", "-") == anchor {
			return true
		}
	}
	return false
}
