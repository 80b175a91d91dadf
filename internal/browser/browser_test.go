package browser

import (
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page reaches the browser in a file that nobody else can read, not in the arguments of a
// program. The file is gone afterwards, even if there was no browser.
func TestOpenShowsThePageToNobodyElse(t *testing.T) {
	const page = "https://weir.example/#sign-in=se-cret_1/streams/a%20b?x=1&y=%22"
	for _, end := range []string{"0", "3"} {
		bin, home := t.TempDir(), t.TempDir()
		script := "#!/bin/sh\n" + `cd "` + bin + `" && echo "$@" >args && cat "$1" >seen &&` +
			` ls -ld "$1" "$(dirname "$1")" >modes` + "\nexit " + end + "\n"
		for _, name := range []string{"xdg-open", "open"} {
			if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		t.Setenv("HOME", home)
		if err := open(t.Context(), page, 0); (err == nil) != (end == "0") {
			t.Errorf("a browser that ends with %s: %v", end, err)
		} else if err != nil && strings.Contains(err.Error(), "se-cret") {
			t.Errorf("the error has the page: %v", err)
		}
		read := func(name string) string {
			text, err := os.ReadFile(filepath.Join(bin, name))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		if args := read("args"); strings.Contains(args, "se-cret") {
			t.Errorf("arguments %q", args)
		}
		if modes := read("modes"); !strings.Contains(modes, "-rw-------") ||
			!strings.Contains(modes, "drwx------") {
			t.Errorf("modes\n%s", modes)
		}
		if text := read("seen"); !strings.Contains(html.UnescapeString(text),
			`content="0;url=`+page+`"`) {
			t.Errorf("the browser was sent to\n%s", text)
		}
		if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
			t.Errorf("%v is left: %v", left, err)
		}
	}
}
