package weir_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/sessionurl"
)

// The compatibility page is held to the code: what it names exists, and what exists it names.

const compatibilityPage = "docs/compatibility.md"

var testReference = regexp.MustCompile("`([a-z0-9]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`")

func TestCompatibilityNamesTestsThatExist(t *testing.T) {
	exist := testNames(t)
	page := read(t, compatibilityPage)
	references := testReference.FindAllStringSubmatch(page, -1)
	if len(references) == 0 {
		t.Fatalf("%s names no test", compatibilityPage)
	}
	for _, m := range references {
		if name := m[1] + "." + m[2]; !exist[name] {
			t.Errorf("%s names %s, which does not exist", compatibilityPage, name)
		}
	}
	// Each row of a table that ends in a column of tests names one.
	tests := false
	for i, line := range strings.Split(page, "\n") {
		switch {
		case !strings.HasPrefix(line, "|"):
			tests = false
		case strings.HasSuffix(line, "| tests |"):
			tests = true
		case tests && !strings.HasPrefix(line, "|--") && !testReference.MatchString(line):
			t.Errorf("%s:%d names no test: %s", compatibilityPage, i+1, line)
		}
	}
}

func TestCompatibilityIsComplete(t *testing.T) {
	page := read(t, compatibilityPage)
	section := func(name string) string {
		_, after, ok := strings.Cut(page, "\n### "+name+"\n")
		if !ok {
			t.Errorf("%s has no section ### %s", compatibilityPage, name)
		}
		text, _, _ := strings.Cut(after, "\n##")
		return text
	}
	has := func(where, text, what string) {
		if !regexp.MustCompile(`(^|[^A-Za-z0-9_])` + regexp.QuoteMeta(what) +
			`($|[^A-Za-z0-9_])`).MatchString(text) {
			t.Errorf("%s: nothing about %s", where, what)
		}
	}
	_, missing, _ := strings.Cut(page, "\n## What Weir does not have yet\n")
	for _, op := range api.Operations() {
		if op.Service == api.Administration { // on a page of its own
			continue
		}
		if !op.Served() {
			has("what Weir does not have", missing, op.Name)
			continue
		}
		text := section(op.Name)
		has(op.Name, text, "`POST "+op.Path+"`")
		for _, parameter := range members(op.Input) {
			has(op.Name, text, "`"+parameter+"`")
		}
	}

	_, actions, _ := strings.Cut(page, "\n## Session actions\n")
	actions, _, _ = strings.Cut(actions, "\n## ")
	for path, name := range sessionurl.HLSActions() {
		has("session actions", actions,
			name+" `"+strings.TrimPrefix(path, sessionurl.HLSPath)+"` | yes")
	}
	_, errors, _ := strings.Cut(page, "\n## Errors\n")
	errors, _, _ = strings.Cut(errors, "\n## ")
	for _, name := range constants(t, "internal/api/errors.go", "ErrorCode") {
		code := api.ErrorCode(name)
		has("errors", errors, name)
		if row := regexp.MustCompile(`(?m)^\| ` + name +
			` \| (\d+)`).FindStringSubmatch(
			errors); row != nil && row[1] != strconv.Itoa(code.Status()) {
			t.Errorf("errors: %s is said to be %s, and is %d", name, row[1], code.Status())
		}
	}
	for _, id := range constants(t, "internal/api/ack.go", "AckErrorID") {
		n, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		if row := "\n| " + id + " | " + api.AckErrorID(n).Code() +
			" | "; !strings.Contains(page, row) {
			t.Errorf("acknowledgements: no row %q", strings.TrimSpace(row))
		}
	}
	_, limits, _ := strings.Cut(page, "\n## Limits\n")
	for _, name := range constantNames(t, "internal/api/limits.go") {
		has("limits", limits, "`"+name+"`")
	}
}

// The page about administration has a row for each operation, with its path, its command and its
// parameters.
func TestAdministrationIsDocumented(t *testing.T) {
	const name = "docs/administration.md"
	page := read(t, name)
	for _, op := range api.Operations() {
		if op.Service != api.Administration {
			continue
		}
		_, row, _ := strings.Cut(page, "\n| `"+op.Name+"` `POST "+op.Path+"` | `weir "+op.Command+
			"` |")
		row, _, _ = strings.Cut(row, "\n")
		for _, parameter := range members(op.Input) {
			if !strings.Contains(row, "`"+parameter+"`") {
				t.Errorf("%s: the row of %s does not have %s", name, op.Name, parameter)
			}
		}
		if !testReference.MatchString(row) {
			t.Errorf("%s: the row of %s names no test", name, op.Name)
		}
	}
	exist := testNames(t)
	for _, m := range testReference.FindAllStringSubmatch(page, -1) {
		if !exist[m[1]+"."+m[2]] {
			t.Errorf("%s names %s.%s, which does not exist", name, m[1], m[2])
		}
	}
}

// The table of packages has all of them, and the files to begin with are there.
func TestArchitectureNamesThePackages(t *testing.T) {
	page := read(t, "docs/architecture.md")
	for pkg := range imports {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(pkg) +
			"` \\|.*\\|(.*)\\|$").FindStringSubmatch(page)
		if row == nil {
			t.Errorf("docs/architecture.md has no row of %s", pkg)
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z0-9_.]+)`").FindAllStringSubmatch(row[1], -1) {
			if _, err := os.Stat(filepath.Join(pkg, m[1])); err != nil {
				t.Errorf("docs/architecture.md sends readers to %s of %s, which is not there", m[1],
					pkg)
			}
		}
	}
}

var (
	pathReference = regexp.MustCompile(
		"`((?:\\.ci|cmd|docs|internal|packaging|test)/[A-Za-z0-9_./-]+)[ `]")
	targetReference = regexp.MustCompile("`make ([a-z]+)`")
)

// The pages for those who change Weir name files, make targets and tests that exist.
func TestPagesNameWhatExists(t *testing.T) {
	makefile, exist := read(t, "Makefile"), testNames(t)
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "docs/architecture.md"} {
		page := read(t, name)
		for _, m := range pathReference.FindAllStringSubmatch(page, -1) {
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
		for _, m := range targetReference.FindAllStringSubmatch(page, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s names make %s, which does not exist", name, m[1])
			}
		}
		for _, m := range testReference.FindAllStringSubmatch(page, -1) {
			if !exist[m[1]+"."+m[2]] {
				t.Errorf("%s names %s.%s, which does not exist", name, m[1], m[2])
			}
		}
	}
}

// testNames returns the tests and fuzz targets of the repository as package.Test.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	exist := map[string]bool{}
	walk(t, ".go", func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, d := range parse(t, path).Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				exist[filepath.Base(filepath.Dir(path))+"."+f.Name.Name] = true
			}
		}
	})
	return exist
}

// members lists the names of an input's members on the wire, and of those below them.
func members(s *api.Shape) (names []string) {
	switch s.Kind {
	case api.KindStructure:
		for _, m := range s.Members {
			names = append(names, cmp.Or(m.Header, m.Name))
			names = append(names, members(m.Shape)...)
		}
	case api.KindList:
		return members(s.Item)
	}
	return names
}

// constants returns the literals of a file's constants of a type, without quotes.
func constants(t *testing.T, path, typ string) (values []string) {
	t.Helper()
	eachConstant(t, path, func(_ int, spec *ast.ValueSpec) {
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == typ {
			values = append(values, strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		}
	})
	if len(values) == 0 {
		t.Fatalf("%s has no constants of type %s", path, typ)
	}
	return values
}

// constantNames returns the names of the constants in a file's first block.
func constantNames(t *testing.T, path string) (names []string) {
	t.Helper()
	eachConstant(t, path, func(block int, spec *ast.ValueSpec) {
		if block == 0 {
			names = append(names, spec.Names[0].Name)
		}
	})
	return names
}

func eachConstant(t *testing.T, path string, visit func(block int, spec *ast.ValueSpec)) {
	t.Helper()
	block := 0
	for _, d := range parse(t, path).Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			continue
		}
		for _, s := range decl.Specs {
			visit(block, s.(*ast.ValueSpec))
		}
		block++
	}
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
