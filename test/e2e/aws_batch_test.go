package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// awsBatch runs command lines of the AWS command line in children of one process, which has loaded
// its modules and models. A process of its own for each would take a second of the processor,
// twenty times as much.
type awsBatch struct {
	in  *json.Encoder
	out *json.Decoder
}

// awsBatchProgram is awscli.clidriver.main in two halves. One driver reads the models of the
// services, once. Then each command line runs in a child. Two commands run first, so that the
// modules that they load are there for all.
const awsBatchProgram = `
import contextlib, io, json, os, sys, tempfile, warnings
warnings.simplefilter("ignore")
import awscli.clidriver
def run(driver, args):
    sys.argv = ["aws"] + args
    try:
        return driver.main(args)
    except SystemExit as e:
        return e.code or 0
for warm in (["kinesisvideo", "list-streams"], ["kinesisvideo", "no-command"]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(awscli.clidriver.create_clidriver(), warm)
driver = awscli.clidriver.create_clidriver()
services = driver.create_help_command().command_table
for name in services:
    if name.startswith(("kinesisvideo", "kinesis-video")):
        services[name].create_help_command()
        driver.session.create_client(name)
for line in sys.stdin:
    files = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
    child = os.fork()
    if child == 0:
        code = 254
        try:
            os.dup2(files[0].fileno(), 1)
            os.dup2(files[1].fileno(), 2)
            code = run(driver, json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    texts = []
    for f in files:
        f.seek(0)
        texts.append(f.read().decode())
    print(json.dumps({"Out": texts[0], "Err": texts[1], "Code": os.waitstatus_to_exitcode(status)}), flush=True)
`

// awsPython is the Python that runs the AWS command line, and its arguments.
func awsPython() []string {
	if path, err := exec.LookPath("aws"); err == nil {
		if script, err := os.ReadFile(path); err == nil {
			line, _, _ := strings.Cut(string(script), "\n")
			if own, ok := strings.CutPrefix(line, "#!"); ok && strings.Contains(own, "python") {
				return strings.Fields(own)
			}
		}
	}
	return []string{"python3"}
}

// awsVersion is the version of the AWS command line's Python package; empty when there is none.
var awsVersion = sync.OnceValue(func() string {
	python := awsPython()
	cmd := exec.Command(python[0],
		append(python[1:], "-c", "import awscli; print(awscli.__version__)")...)
	out, _ := cmd.Output()
	return strings.TrimSpace(string(out))
})

// newAWSBatch starts the process with the environment of the server's clients.
func newAWSBatch(t testing.TB, s *server) *awsBatch {
	t.Helper()
	python := awsPython()
	cmd := s.command(t.Context(), python[0], append(python[1:], "-c", awsBatchProgram)...)
	cmd.Stderr = os.Stderr
	in, out := startPiped(t, cmd)
	polite(t, cmd)
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &awsBatch{json.NewEncoder(in), json.NewDecoder(out)}
}

// run runs one command line, such as kinesisvideo list-streams, and returns what it printed and its
// exit code.
func (b *awsBatch) run(args []string) (stdout, stderr []byte, code int, err error) {
	if err := b.in.Encode(args); err != nil {
		return nil, nil, -1, err
	}
	var result struct {
		Out, Err string
		Code     int
	}
	if err := b.out.Decode(&result); err != nil {
		return nil, nil, -1, err
	}
	return []byte(result.Out), []byte(result.Err), result.Code, nil
}

// try is run with an exit code other than 0 as an error.
func (b *awsBatch) try(args []string) (stdout, stderr []byte, err error) {
	stdout, stderr, code, err := b.run(args)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d", code)
	}
	return stdout, stderr, err
}
