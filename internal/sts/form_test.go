package sts

import (
	"errors"
	"testing"

	"weir/internal/api"
)

// Any form is refused, or is read within its limits.
func FuzzForm(f *testing.F) {
	for _, body := range []string{"Action=GetCallerIdentity&Version=2011-06-15", "a=%zz", "a=1&a=2",
		"DurationSeconds=99999999999999999999", "Tags.member.1.Key=a&Tags.member.1.Value=b",
		"Tags.member.99999999999999999999.Key=a", "ExternalId=a&RoleSessionName=b&Policy="} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := ParseForm(body)
		if err != nil {
			if !errors.As(err, new(*Error)) {
				t.Fatal(err)
			}
			return
		}
		_, _ = form.Action()
		const least, most = api.MinTemporary, api.MaxRoleSession
		if d, err := form.duration(least, most, least); err == nil && (d < least || d > most) {
			t.Errorf("it lasts %s", d)
		}
		if tags, err := form.tags(); err == nil && len(tags) > 50 {
			t.Errorf("%d tags", len(tags))
		}
		if name, err := form.text("RoleSessionName", "", sessionNames, true); err == nil &&
			len(name) > 64 {
			t.Errorf("the session's name is %q", name)
		}
	})
}
