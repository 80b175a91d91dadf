package auth

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCreateKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	made, err := LoadOrCreateKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v", info.Mode())
	}
	key := made.Default()
	if !regexp.MustCompile(`^WEIR[A-Z2-7]{16}$`).MatchString(key.AccessKeyID) ||
		!regexp.MustCompile(`^[A-Za-z0-9]{40}$`).MatchString(key.SecretAccessKey) {
		t.Errorf("made the key pair %+v", key)
	}
	again, err := LoadOrCreateKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if again.Default() != key || !made.Created() || again.Created() {
		t.Errorf("made %+v, read %+v", key, again.Default())
	}
	files, _ := os.ReadDir(filepath.Dir(path))
	if len(files) != 1 {
		t.Errorf("%d files are left in the directory", len(files))
	}
	if other, _ := LoadOrCreateKeys(filepath.Join(t.TempDir(),
		"c")); other.Default().SecretAccessKey == key.SecretAccessKey {
		t.Error("two files have the same key")
	}
}

func TestParseCredentials(t *testing.T) {
	const id, secret = "aws_access_key_id = A\n", "aws_secret_access_key = S\n"
	for name, c := range map[string]struct {
		text string
		want []Key
		err  string // part of the error
	}{
		"usual": {"[default]\n" + id + secret, []Key{{"default", "A", "S", ""}}, ""},
		"token": {"[default]\n" + id + secret + "aws_session_token=T==\n",
			[]Key{{"default", "A", "S", "T=="}}, ""},
		"two": {"[a]\n" + id + secret +
			"\n[b]\naws_access_key_id=B\naws_secret_access_key=X/y+z=\n",
			[]Key{{"a", "A", "S", ""}, {"b", "B", "X/y+z=", ""}}, ""},
		"Windows": {"\xef\xbb\xbf[default]\r\naws_access_key_id=A\r\naws_secret_access_key=S",
			[]Key{{"default", "A", "S", ""}}, ""},
		"comments": {"# c\n; c\n[default] # c\n" + id +
			"aws_secret_access_key = S # mine\n\tregion = r\n", []Key{{"default", "A", "S", ""}},
			""},
		"upper case": {"[default]\nAWS_ACCESS_KEY_ID=A\nAws_Secret_Access_Key=S\n",
			[]Key{{"default", "A", "S", ""}}, ""},
		"no pair": {"[sso]\nsso_session = x\n[default]\n" + id + secret,
			[]Key{{"default", "A", "S", ""}}, ""},
		"empty": {"", nil, ""},

		"no secret":     {"[p]\n" + id, nil, `profile "p" has no aws_secret_access_key`},
		"no id":         {"[p]\n" + secret, nil, `profile "p" has no aws_access_key_id`},
		"no section":    {"\n" + id, nil, "line 2: there is no [profile]"},
		"no equal sign": {"[p]\nhello\n", nil, "line 2: neither"},
		"unclosed":      {"[p\n", nil, "line 1: a [profile] does not end"},
		"nameless":      {"[ ]\n", nil, "without a name"},
		"text after":    {"[p] x\n", nil, "text after"},
		"twice":         {"[p]\n[p]\n", nil, `line 2: profile "p" is there twice`},
		"slash in id":   {"[p]\naws_access_key_id=A/B\n" + secret, nil, "cannot carry"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCredentials([]byte(c.text))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, %v; want an error with %q", got, err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("got %+v, want %+v", got[i], c.want[i])
				}
			}
		})
	}
}

func TestLoadKeysErrors(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"there is no key pair": "# nothing\n",
		"different secrets": "[a]\naws_access_key_id=A\naws_secret_access_key=1\n[b]\n" +
			"aws_access_key_id=A\naws_secret_access_key=2\n",
		"line 1":      "garbage\n",
		"larger than": strings.Repeat("#", maxKeyFile+1),
	} {
		path := filepath.Join(dir, "credentials")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateKeys(path); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
		if after, _ := os.ReadFile(path); string(after) != text {
			t.Error("a bad key file was overwritten")
		}
	}
	if _, err := LoadOrCreateKeys(filepath.Join(dir, "no", "such", "directory")); err == nil {
		t.Error("made keys in a directory that does not exist")
	}
}

func FuzzCredentialsFile(f *testing.F) {
	f.Add([]byte("[default]\naws_access_key_id = A\naws_secret_access_key = S # c\n"))
	f.Add([]byte("\xef\xbb\xbf[a]\r\naws_session_token==\r\n[b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseCredentials(data)
		if err != nil {
			return
		}
		for _, k := range keys {
			if k.AccessKeyID == "" || k.SecretAccessKey == "" || k.Profile == "" {
				t.Fatalf("an incomplete key: %+v", k)
			}
		}
	})
}
