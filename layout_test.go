// Package weir_test holds the rules of the repository that no compiler checks: which package may
// import which, that every package says what it is for, and that no file grows past comfort.
package weir_test

import (
	"bufio"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imports is the table of docs/architecture.md: what each package may import of Weir. Arrows point
// one way.
var imports = map[string][]string{
	"internal/still":   {"internal/fair", "internal/mkv"},
	"internal/fair":    {},
	"internal/webhook": {},
	"internal/images": {"internal/still", "internal/fmp4", "internal/store", "internal/api",
		"internal/media"},
	"internal/playback": {"internal/timeline", "internal/live", "internal/throttle",
		"internal/fair", "internal/quota", "internal/sessionurl",
		"internal/fmp4", "internal/mpegts", "internal/manifest", "internal/store", "internal/api",
		"internal/auth", "internal/media"},
	"internal/fragments": {"internal/live", "internal/throttle", "internal/mkv", "internal/store",
		"internal/api",
		"internal/media"},
	"internal/sessionurl": {"internal/api"},
	"internal/policy":     {},
	"internal/throttle":   {},
	"internal/quota": {"internal/fair", "internal/throttle", "internal/store",
		"internal/api"},
	"internal/connections": {"internal/api"},
	"internal/audit":       {},
	"internal/certs":       {"internal/auth"},
	"internal/clip": {"internal/fair", "internal/fmp4", "internal/store", "internal/api",
		"internal/auth", "internal/media"},
	"internal/timeline":              {"internal/store", "internal/media"},
	"internal/timeline/timelinetest": {"internal/timeline", "internal/store", "internal/media"},
	"internal/live":                  {"internal/store", "internal/media"},
	"internal/relay": {"internal/live", "internal/connections", "internal/store",
		"internal/store/record", "internal/varint", "internal/api", "internal/media"},
	"internal/varint":   {},
	"internal/media":    {},
	"internal/mkv":      {"internal/media"},
	"internal/fmp4":     {"internal/media"},
	"internal/mpegts":   {"internal/media"},
	"internal/manifest": {},
	"internal/api":      {"internal/media"},
	"internal/auth":     {},
	"internal/sealing":  {"internal/auth"},
	"internal/access": {"internal/policy", "internal/sealing", "internal/store",
		"internal/auth", "internal/api"},
	"internal/cameras": {"internal/access", "internal/certs", "internal/policy",
		"internal/store", "internal/auth", "internal/api"},
	"internal/oidc": {"internal/access", "internal/policy", "internal/store", "internal/api"},
	"internal/sts": {"internal/access", "internal/oidc", "internal/policy", "internal/store",
		"internal/auth", "internal/api"},
	"internal/store":        {"internal/media"},
	"internal/store/record": {"internal/store", "internal/varint", "internal/media"},
	"internal/store/encryption": {"internal/sealing", "internal/store",
		"internal/store/record", "internal/media"},
	"internal/store/local": {"internal/store", "internal/store/record",
		"internal/store/encryption",
		"internal/store/local/index",
		"internal/store/local/volume", "internal/store/local/clock", "internal/store/recent",
		"internal/store/local/directory", "internal/store/sealed", "internal/store/objects",
		"internal/media"},
	"internal/store/recent": {"internal/store", "internal/store/record",
		"internal/store/encryption", "internal/media"},
	"internal/store/sealed": {"internal/store", "internal/store/record"},
	"internal/store/sealed/sealedtest": {"internal/store", "internal/store/record",
		"internal/store/sealed"},
	"internal/store/local/index": {"internal/store", "internal/store/record",
		"internal/store/sealed", "internal/store/local/clock", "internal/store/local/directory",
		"internal/media"},
	"internal/store/local/volume": {"internal/store", "internal/store/record",
		"internal/store/local/directory", "internal/store/encryption", "internal/media"},
	"internal/store/local/clock":     {},
	"internal/store/local/directory": {},
	"internal/store/local/localtest": {"internal/store", "internal/store/local",
		"internal/store/local/index",
		"internal/store/local/volume", "internal/store/sealed"},
	"internal/store/objects": {"internal/store"},
	"internal/store/cluster": {"internal/store", "internal/store/record",
		"internal/store/recent", "internal/store/sealed", "internal/store/objects",
		"internal/store/cluster/rows",
		"internal/store/cluster/contents", "internal/store/cluster/repair", "internal/media"},
	"internal/terminal": {},
	"internal/check": {"internal/terminal", "internal/store", "internal/store/local",
		"internal/store/cluster/repair"},
	"internal/store/cluster/contents": {"internal/store", "internal/store/record",
		"internal/media"},
	"internal/store/cluster/repair": {"internal/store", "internal/store/record",
		"internal/store/sealed", "internal/store/objects", "internal/store/cluster/rows",
		"internal/store/cluster/contents"},
	"internal/store/cluster/rows": {"internal/store", "internal/store/record",
		"internal/store/sealed", "internal/media"},
	"internal/store/cluster/clustertest": {},
	"internal/store/memory": {"internal/store", "internal/store/record",
		"internal/media"},
	"internal/store/storetest":  {"internal/store", "internal/media"},
	"internal/store/cameratest": {"internal/store", "internal/store/memory", "internal/media"},

	"internal/ingest": {"internal/live", "internal/mkv", "internal/store", "internal/api",
		"internal/media"},
	"internal/console":   {"internal/negotiate"},
	"internal/negotiate": {},
	"internal/node": {"internal/access", "internal/auth", "internal/handover", "internal/live",
		"internal/relay",
		"internal/store",
		"internal/store/cluster", "internal/store/cluster/rows", "internal/store/local"},
	"internal/migrate": {"internal/terminal",
		"internal/node", "internal/access", "internal/auth", "internal/store",
		"internal/store/record", "internal/store/sealed", "internal/store/encryption",
		"internal/store/cluster", "internal/store/objects", "internal/store/local",
		"internal/store/local/index", "internal/store/local/volume", "internal/media"},
	"internal/status":   {"internal/store", "internal/api", "internal/media"},
	"internal/handover": {},
	"internal/administration": {"internal/access", "internal/cameras", "internal/oidc",
		"internal/policy",
		"internal/store", "internal/audit", "internal/auth", "internal/api"},
	"internal/server": {"internal/administration", "internal/ingest", "internal/live",
		"internal/relay",
		"internal/playback", "internal/sessionurl", "internal/fragments", "internal/clip",
		"internal/images", "internal/still", "internal/console", "internal/status",
		"internal/access", "internal/negotiate",
		"internal/cameras", "internal/sts", "internal/oidc", "internal/throttle",
		"internal/policy",
		"internal/store", "internal/audit",
		"internal/connections", "internal/fair", "internal/quota", "internal/api", "internal/auth",
		"internal/media"},
	"internal/awscli": {"internal/api"},
	"internal/recut":  {"internal/mkv", "internal/api", "internal/media"},
	"internal/client": {"internal/recut", "internal/mkv", "internal/api", "internal/auth",
		"internal/media"},
	"test/e2e/conformance": {},
	"test/bench":           {},
	"test/output":          {},
	"test/s3server":        {}, // a module of its own
	"internal/browser":     {},
	"cmd/weir": {"internal/browser", "internal/check", "internal/terminal",
		"internal/server", "internal/connections", "internal/quota",
		"internal/client", "internal/oidc",
		"internal/recut", "internal/awscli",
		"internal/ingest", "internal/live",
		"internal/playback", "internal/fragments", "internal/clip", "internal/images",
		"internal/still",
		"internal/webhook",
		"internal/console", "internal/status",
		"internal/node", "internal/migrate", "internal/store/cluster",
		"internal/handover", "internal/certs",
		"internal/access", "internal/cameras", "internal/audit",
		"internal/sts", "internal/policy", "internal/store",
		"internal/store/local", "internal/store/objects",
		"internal/api", "internal/auth", "internal/mkv", "internal/fmp4", "internal/mpegts"},
}

// pure do no I/O. Formats turn structs into bytes and back, and whoever uses them decides where the
// bytes go; the timeline is a fold over what it is handed.
var pure = []string{
	"internal/media", "internal/mkv", "internal/fmp4", "internal/mpegts", "internal/manifest",
	"internal/timeline", "internal/policy",
}

const maxPackageLines = 5000 // without tests

type source struct {
	path, pkg string // relative to the repository
	imports   []string
	doc       bool
	lines     int
}

func TestImportsFollowTheLayout(t *testing.T) {
	for _, src := range sources(t) {
		allowed, ok := imports[src.pkg]
		if !ok {
			t.Errorf("%s: package %s is not in the table", src.path, src.pkg)
			continue
		}
		for _, imp := range src.imports {
			own, isOwn := strings.CutPrefix(imp, "weir/")
			if isOwn && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which %s may not", src.path, own, src.pkg)
			}
			if imp == "net/http" && slices.Contains(pure, src.pkg) {
				t.Errorf("%s imports net/http: it does no I/O of its own", src.path)
			}
			if strings.Contains(imp, ".") && slices.Contains(pure, src.pkg) {
				t.Errorf("%s imports %s: it needs the standard library only", src.path, imp)
			}
		}
	}
}

func TestPackagesStaySmall(t *testing.T) {
	perPackage := map[string]int{}
	for _, src := range sources(t) {
		perPackage[src.pkg] += src.lines
	}
	for pkg, lines := range perPackage {
		if lines > maxPackageLines {
			t.Errorf("%s has %d lines, more than %d", pkg, lines, maxPackageLines)
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	documented := map[string]bool{}
	for _, src := range sources(t) {
		documented[src.pkg] = documented[src.pkg] || src.doc
	}
	for pkg, doc := range documented {
		if !doc {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// sources parses the non-test Go files of the repository. It reads the files itself: a subprocess
// would not be seen by the test cache, and the result would be stale.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	walk(t, ".go", func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil,
			parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		src := source{path: path, pkg: filepath.ToSlash(filepath.Dir(path)), doc: file.Doc != nil,
			lines: countLines(t, path)}
		for _, imp := range file.Imports {
			src.imports = append(src.imports, strings.Trim(imp.Path.Value, `"`))
		}
		out = append(out, src)
	})
	if len(out) == 0 {
		t.Fatal("no Go files found")
	}
	return out
}

func walk(t *testing.T, ext string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() &&
			(d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "weir-data" ||
				d.Name() == "bin") {
			return filepath.SkipDir
		}
		if !d.IsDir() && filepath.Ext(path) == ext {
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func countLines(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		n++
	}
	return n
}
