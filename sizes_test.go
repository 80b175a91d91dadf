package weir_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// What a reader can take in at once, in tests too. Where more would read better, split by meaning.
const (
	maxColumns       = 100 // a tab is 4
	maxFileLines     = 500
	maxFunctionLines = 80
)

func TestLinesFilesAndFunctionsStaySmall(t *testing.T) {
	walk(t, ".go", func(path string) {
		for _, fault := range sizeFaults(t, path) {
			t.Error(fault)
		}
	})
}

// sizeFaults says what is too large in a file.
func sizeFaults(t *testing.T, path string) (faults []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	fault := func(line int, what string) {
		faults = append(faults, set.Position(file.Package).Filename+":"+fmt.Sprint(line)+": "+what)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) > maxFileLines {
		fault(1, fmt.Sprintf("%d lines, more than %d", len(lines), maxFileLines))
	}
	raw := rawLines(set, file)
	for i, line := range lines {
		n := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
		if n > maxColumns && !raw[i+1] {
			fault(i+1, fmt.Sprintf("%d columns, more than %d", n, maxColumns))
		}
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			if n := functionLines(set, f); n > maxFunctionLines {
				fault(set.Position(f.Pos()).Line,
					fmt.Sprintf("%s has %d lines, more than %d", f.Name.Name, n, maxFunctionLines))
			}
		}
	}
	return faults
}

// rawLines are the lines that a raw string is on, which cannot be broken: struct tags, golden
// texts.
func rawLines(set *token.FileSet, file *ast.File) map[int]bool {
	raw := map[int]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(s.Value, "`") {
			for l := set.Position(s.Pos()).Line; l <= set.Position(s.End()).Line; l++ {
				raw[l] = true
			}
		}
		return true
	})
	return raw
}

// functionLines is how many lines a function has beside the rows of its tables and the texts of raw
// strings.
func functionLines(set *token.FileSet, f *ast.FuncDecl) int {
	line := func(p token.Pos) int { return set.Position(p).Line }
	n := line(f.End()) - line(f.Pos()) + 1
	ast.Inspect(f, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CompositeLit:
			n -= line(node.Rbrace) - line(node.Lbrace)
			return false
		case *ast.BasicLit:
			n -= strings.Count(node.Value, "\n")
		}
		return true
	})
	return n
}
