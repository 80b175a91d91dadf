package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": main})
}

// The behaviour of the command line that people rely on, as scripts in testdata/script. Each has
// its own server, and the environment that names it. `exits CODE PROGRAM …` runs a program that
// must end with that exit code.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			data := filepath.Join(t.TempDir(), "data") // outlives the script, as the server does
			r := serveHere(t, serveCmd{Data: data})
			env.Setenv("AWS_ENDPOINT_URL", r.url)
			env.Setenv("KEYS", filepath.Join(data, credentialsFile))
			env.Setenv("AWS_SHARED_CREDENTIALS_FILE", env.Getenv("KEYS"))
			env.Setenv("AWS_CONFIG_FILE", os.DevNull)
			env.Setenv("TZ", "UTC")
			clip, err := filepath.Abs("demo.mkv")
			if err != nil {
				return err
			}
			env.Setenv("CLIP", clip)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT ...]")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				code := 0
				var exit *exec.ExitError
				if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
					code = exit.ExitCode()
				} else {
					ts.Check(err)
				}
				if code != want {
					ts.Fatalf("exit code %d, want %d", code, want)
				}
			},
		},
	})
}
