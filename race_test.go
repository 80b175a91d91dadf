package weir_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// `make check` runs the packages of PURE without the race detector, which has nothing to find in
// them.
func TestPurePackagesStartNoGoroutine(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^PURE +:= (.*)$`).FindSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile has no PURE")
	}
	for _, name := range strings.Fields(string(list[1])) {
		files, err := filepath.Glob(filepath.Join("internal", filepath.FromSlash(name), "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("internal/%s has no Go files (%v)", name, err)
		}
		for _, path := range files {
			for _, what := range concurrency(t, path) {
				t.Errorf("%s: run internal/%s with the race detector", what, name)
			}
		}
	}
}

// concurrency lists where a file starts a goroutine, or imports what is for several of them.
func concurrency(t *testing.T, path string) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		switch i.Path.Value {
		case `"sync"`, `"sync/atomic"`, `"net/http"`, `"net/http/httptest"`, `"os/exec"`:
			found = append(found, set.Position(i.Pos()).String()+" imports "+i.Path.Value)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			found = append(found, set.Position(g.Pos()).String()+" starts a goroutine")
		}
		return true
	})
	return found
}
