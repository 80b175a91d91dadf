package policy

import (
	"embed"
	"path"
	"strings"
)

//go:embed builtin/*.json
var builtinFiles embed.FS

// builtin are the policies that come with Weir. If a file does not parse, the program ends at its
// start, and so does every test.
var builtin = func() (all []Named) {
	entries, err := builtinFiles.ReadDir("builtin")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		text, err := builtinFiles.ReadFile(path.Join("builtin", e.Name()))
		if err != nil {
			panic(err)
		}
		doc, err := Parse(text)
		if err != nil {
			panic(e.Name() + ": " + err.Error())
		}
		all = append(all, Named{strings.TrimSuffix(e.Name(), ".json"), doc})
	}
	return all
}()

// Builtin returns the policies that come with Weir, by name: administrator, camera (only the stream
// that has the camera's name), producer, read-only and viewer.
func Builtin() []Named { return append([]Named(nil), builtin...) }
