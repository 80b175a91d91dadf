package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"weir/internal/handover"
	"weir/internal/server"
)

const packaging = "../../packaging"

// settings reads a unit file: the last value of each setting.
func settings(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := os.Open(filepath.Join(packaging, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	options, err := unit.DeserializeOptions(file)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, o := range options {
		values[o.Name] = o.Value
	}
	return values
}

// The unit files set what the server relies on. systemd accepts them, and its security rating is
// good.
func TestUnitFiles(t *testing.T) {
	for name, socket := range map[string]string{"weir.socket": handover.Main,
		"weir-playback.socket": handover.Playback, "weir-metrics.socket": handover.Metrics,
		"weir-camera.socket": handover.Camera, "weir-redirect.socket": handover.Redirect} {
		if got := settings(t, name)["FileDescriptorName"]; got != socket {
			t.Errorf("%s passes its socket as %q, not %q", name, got, socket)
		}
	}
	service := settings(t, "weir.service")
	stop, err := time.ParseDuration(service["TimeoutStopSec"] + "s")
	if err != nil || stop < 2*server.StopTimeout {
		t.Errorf("a stop may take %q s, %v", service["TimeoutStopSec"], err)
	}
	if service["Type"] != "notify" || !strings.HasPrefix(service["ExecStart"],
		"/usr/local/bin/weir serve") {
		t.Errorf("the service is %v", service)
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("systemd-analyze is not installed: what it says of the files was left out")
	}
	dir := t.TempDir() // with an existing program
	var units []string
	for _, name := range []string{"weir.socket", "weir-playback.socket", "weir-metrics.socket",
		"weir-camera.socket", "weir-redirect.socket",
		"weir.service"} {
		text, err := os.ReadFile(filepath.Join(packaging, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		changed := strings.Replace(string(text), "/usr/local/bin/weir", "/bin/true", 1)
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, path)
	}
	rating := exec.Command(analyze, "security", "--offline=true", "--threshold=20",
		units[len(units)-1])
	if out, err := rating.CombinedOutput(); err != nil {
		t.Errorf("systemd rates the service as more exposed than 2.0: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"},
		units...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// HAProxy accepts the load balancer's configuration, which lets nobody speak as a node and does not
// hold acknowledgements back.
func TestLoadBalancer(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(packaging, "haproxy.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"    option http-no-delay", "    http-request deny"} {
		if !strings.Contains(string(text), "\n"+line) {
			t.Errorf("it has no line%s", line)
		}
	}
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		haproxy = "/usr/sbin/haproxy"
	}
	if _, err := os.Stat(haproxy); err != nil {
		t.Skip("haproxy is not installed: what it says of the file was left out")
	}
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	here := strings.NewReplacer("node1:", "127.0.0.1:", "node2:", "127.0.0.1:", "node3:",
		"127.0.0.1:").Replace(string(text))
	if err := os.WriteFile(config, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(haproxy, "-c", "-f", config).CombinedOutput()
	if err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
}

// What the containers set are settings of the server, and not something misspelt that it would
// ignore.
func TestContainerSettings(t *testing.T) {
	_, help, _ := command(t, "serve", "--help")
	for _, name := range []string{"Dockerfile", "compose.yaml"} {
		text, err := os.ReadFile(filepath.Join(packaging, name))
		if err != nil {
			t.Fatal(err)
		}
		set := regexp.MustCompile(`\bWEIR_\w+`).FindAllString(string(text), -1)
		for _, s := range set {
			if !strings.Contains(help, "("+s+")") {
				t.Errorf("%s sets %s", name, s)
			}
		}
		if len(set) == 0 {
			t.Errorf("%s sets nothing", name)
		}
	}
}
