package auth

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Only the pair of the default profile changes, whatever the file is like.
func TestResetDefault(t *testing.T) {
	const pair = "aws_access_key_id = OLD\naws_secret_access_key = s\n"
	for name, c := range map[string]struct{ text, profile, kept string }{
		"alone": {"# mine\n[default]\n" + pair, "default", "# mine\n[default]\n"},
		"beside others": {"[a]\naws_access_key_id=A\naws_secret_access_key=s\n\n[default]\n" +
			"region = x\n" + pair + "[b]\naws_access_key_id=B\naws_secret_access_key=s\n",
			"default", "region = x"},
		"the first, without a default": {"[a]\n" + pair + "[b]\naws_access_key_id=B\n" +
			"aws_secret_access_key=s\n", "a", "[b]\naws_access_key_id=B\n"},
		"with a token, of Windows": {"\xef\xbb\xbf[default] # root\r\n" +
			"AWS_Access_Key_ID=OLD\r\naws_secret_access_key=s\r\naws_session_token=t\r\n",
			"default", "[default] # root\n"},
		"no newline at the end":   {"[default]\n" + strings.TrimSpace(pair), "default", ""},
		"header alone at the end": {"[b]\n" + pair + "[c]", "b", "[c]"},
	} {
		path := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := LoadKeys(path)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ResetDefault(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after, err := LoadKeys(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), c.kept) ||
			strings.Contains(string(text), "OLD") {
			t.Errorf("%s: the file is now\n%s%v", name, text, err)
		}
		if after.Default() != key || key.Profile != c.profile || key.SessionToken != "" ||
			key.SecretAccessKey == before.Default().SecretAccessKey {
			t.Errorf("%s: the pair is %+v, was %+v, should be %+v", name, after.Default(),
				before.Default(), key)
		}
		for i, k := range before.Keys() {
			if k.Profile != c.profile && after.Keys()[i] != k {
				t.Errorf("%s: %+v is now %+v", name, k, after.Keys()[i])
			}
		}
	}
}

func TestResetDefaultOfNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	key, err := ResetDefault(path)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := LoadKeys(path); err != nil || f.Default() != key {
		t.Errorf("%+v, %v", f, err)
	}
	const damaged = "[default]\naws_access_key_id = OLD\n"
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ResetDefault(path); err == nil {
		t.Error("a file without a secret is taken")
	}
	if text, _ := os.ReadFile(path); string(text) != damaged {
		t.Errorf("it is now %q", text)
	}
}

// When root runs the command, the file still belongs to the server's user.
func TestSecretsKeepTheirOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12, 34); err != nil {
		return // only root can give files away
	}
	if err := WriteSecret(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 12 || stat.Gid != 34 {
		t.Errorf("the owner is %d:%d", stat.Uid, stat.Gid)
	}
}
