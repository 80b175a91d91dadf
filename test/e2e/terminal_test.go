package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/test/output"
)

// terminal is a program on a pseudo-terminal of its own, as a person has it.
type terminal struct {
	t      testing.TB
	keys   *os.File
	screen *output.Buffer
	wrote  chan struct{} // told when there is more on the screen
	gone   chan struct{} // closed when the program has ended
	cmd    *exec.Cmd
}

// newTerminal starts a program on a terminal of 200 columns.
func newTerminal(t testing.TB, cmd *exec.Cmd) *terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	var number int
	err = errors.Join(unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(int(keys.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}))
	if err == nil {
		number, err = unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	}
	if err != nil {
		t.Fatal(err)
	}
	side, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, keys: keys, screen: &output.Buffer{}, wrote: make(chan struct{}, 1),
		gone: make(chan struct{}), cmd: cmd}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = side, side, side
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	side.Close()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-term.gone
	})
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := keys.Read(buffer)
			term.screen.Write(buffer[:n])
			select {
			case term.wrote <- struct{}{}:
			default:
			}
			if err != nil { // EIO when nobody has the other side any more
				break
			}
		}
		cmd.Wait()
		close(term.gone)
	}()
	return term
}

// send presses keys.
func (m *terminal) send(keys string) {
	m.t.Helper()
	if _, err := io.WriteString(m.keys, keys); err != nil {
		m.t.Fatal(err)
	}
}

// expect waits until the screen shows something, and returns what the group of the expression is.
func (m *terminal) expect(expression string) string {
	m.t.Helper()
	pattern := regexp.MustCompile(expression)
	timeout := time.After(30 * time.Second)
	for {
		if found := pattern.FindStringSubmatch(m.screen.String()); found != nil {
			return found[len(found)-1]
		}
		select {
		case <-m.wrote:
		case <-m.gone:
			if found := pattern.FindStringSubmatch(m.screen.String()); found != nil {
				return found[len(found)-1]
			}
			m.t.Fatalf("the program ended without %s; the screen shows\n%q", expression,
				m.screen.Tail(2000))
		case <-timeout:
			m.t.Fatalf("no %s; the screen shows\n%q", expression, m.screen.Tail(2000))
		}
	}
}

// The completion scripts in the shells themselves: what is typed, followed by a tab, becomes what
// is wanted.
func TestCompletionInShells(t *testing.T) {
	prepares(t)
	needTool(t, "bash", "zsh", "fish")
	s := start(t, "")
	s.run("weir", "create-stream", "--stream-name", "garden-gate")
	dir := t.TempDir()
	for path, target := range map[string]string{dir + "/weir": weirBinary,
		dir + "/recording.mkv": "/dev/null"} {
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	typed := []struct{ line, becomes string }{
		{"weir delete-s", "weir delete-stream"},
		{"weir --output text delete-s", "weir --output text delete-stream"},
		{"weir describe-stream --stream-n", "weir describe-stream --stream-name"},
		{"weir hls --expi", "weir hls --expires"},
		{"weir update-data-retention --operation I",
			"weir update-data-retention --operation INCREASE_DATA_RETENTION"},
		{"weir list-streams --output=te", "weir list-streams --output=text"},
		{"weir describe-stream --stream-name gard",
			"weir describe-stream --stream-name garden-gate"},
		{"weir hls ", "weir hls garden-gate"},
		{"weir put-media --stream-name x recor", "weir put-media --stream-name x recording.mkv"},
	}
	for shell, begin := range map[string][]string{
		"bash": {"bash", "--norc", "--noprofile", "-i"},
		"zsh":  {"zsh", "-f", "-i"},
		"fish": {"fish", "--no-config", "-i"},
	} {
		t.Run(shell, func(t *testing.T) {
			waits(t)
			load := map[string]string{
				"bash": "source <(weir completion bash)",
				"zsh":  "autoload -U compinit && compinit -D -u && source <(weir completion zsh)",
				"fish": "weir completion fish | source",
			}[shell]
			home := t.TempDir()
			cmd := s.command(t.Context(), begin[0], begin[1:]...)
			cmd.Dir = dir
			cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"), "TERM=dumb", "HOME="+home,
				"ZDOTDIR="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home, "HISTFILE=")
			m := newTerminal(t, cmd)
			m.send(load + " && echo load''ed\r")
			m.expect(`loaded`)
			for i, c := range typed {
				// Ctrl-A goes to the beginning of the line.
				m.send(fmt.Sprintf("%s\t\x01echo '<%d' \x05'>'\r", c.line, i))
				got := m.expect(fmt.Sprintf(`(?m)^<%d (.*)>`, i))
				if strings.TrimSpace(got) != c.becomes {
					t.Errorf("%q becomes %q, want %q", c.line, got, c.becomes)
				}
			}
		})
	}
}
