package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dpkg installs the package, whose service starts the program in it, and removes everything again
// except what was recorded.
func TestDebianPackage(t *testing.T) {
	waits(t)
	needTool(t, "dpkg-deb")
	if os.Getuid() != 0 {
		missing(t, "dpkg installs as root only")
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	recorded := filepath.Join(root, "var/lib/private/weir")
	for _, d := range []string{filepath.Join(root, "var/lib/dpkg/updates"),
		filepath.Join(root, "var/lib/dpkg/info"), recorded} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := strings.TrimSpace(string(program(t, "../../packaging/debian/build", weirBinary,
		"v1.2.3-4-gabcdef", dir)))
	if filepath.Base(file) != "weir_1.2.3+4.gabcdef_amd64.deb" &&
		filepath.Base(file) != "weir_1.2.3+4.gabcdef_arm64.deb" {
		t.Errorf("made %s", file)
	}

	dpkg := func(arguments ...string) string {
		return string(program(t, "dpkg", append([]string{"--root=" + root,
			"--force-script-chrootless", "--force-depends"}, arguments...)...))
	}
	dpkg("--install", file)
	read := func(path string) string {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	service := read("usr/lib/systemd/system/weir.service")
	start := regexp.MustCompile(`ExecStart=(\S+) serve`).FindStringSubmatch(service)
	if start == nil {
		t.Fatalf("the service starts nothing:\n%s", service)
	}
	help := string(program(t, filepath.Join(root, start[1]), "serve", "--help"))
	for _, m := range regexp.MustCompile(`(?m)^#(WEIR_\w+)=`).FindAllStringSubmatch(
		read("etc/weir.env"), -1) {
		if !strings.Contains(help, "("+m[1]+")") {
			t.Errorf("%s in /etc/weir.env is no setting", m[1])
		}
	}
	if out, err := exec.Command("bash", "-n", filepath.Join(root,
		"usr/share/bash-completion/completions/weir")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, m := range regexp.MustCompile(`\]\((docs/[^)#]+)`).FindAllStringSubmatch(
		read("usr/share/doc/weir/README.md"), -1) {
		read("usr/share/doc/weir/" + m[1])
	}
	if out := dpkg("--verify", "weir"); out != "" {
		t.Errorf("dpkg finds changed files:\n%s", out)
	}

	dpkg("--purge", "weir")
	for path, stays := range map[string]bool{recorded: true,
		filepath.Join(root, "etc/weir.env"): false, filepath.Join(root, start[1]): false} {
		if exists(path) != stays {
			t.Errorf("after a purge, %s is there: %v", path, !stays)
		}
	}
}
