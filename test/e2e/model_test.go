package e2e_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/internal/api"
)

// serviceModel is a service model as botocore, the library below the AWS command line, ships it.
type serviceModel struct {
	Operations map[string]struct {
		HTTP  struct{ Method, RequestURI string }
		Input struct{ Shape string }
	}
	Shapes map[string]modelShape
}

type modelShape struct {
	Type        string
	Required    []string
	Members     map[string]struct{ Shape string }
	Member, Key struct{ Shape string }
	Value       struct{ Shape string }
	Enum        []string
	Min, Max    int64
	Pattern     string
}

// tighter are bounds that only the texts of the models have.
var tighter = map[string]int64{"DataRetentionInHours": api.MaxRetentionHours,
	"DataRetentionChangeInHours": 1<<31 - 1}

// loosened are members of which the models of 2022 demanded more.
var loosened = []string{"SamplingInterval"}

// The table of the API has every operation of the installed service models, and of those that Weir
// serves every member with its constraints. The models may be older than the table, so what only
// the table has is not an error.
func TestTableIsTheServiceModel(t *testing.T) {
	waits(t)
	data := botocoreData(t)
	seen := 0
	for _, service := range []api.Service{api.Control, api.ArchivedMedia, api.Media, api.Signaling,
		api.WebRTCStorage} {
		model := readModel(t, data, service.String())
		for name, row := range model.Operations {
			seen++
			op := api.Find(name)
			if op == nil {
				t.Errorf("%s: the table has no %s", service, name)
				continue
			}
			if op.Service != service || op.Path != row.HTTP.RequestURI ||
				row.HTTP.Method != "POST" {
				t.Errorf("%s is %s %s of %s, the table has %s of %s",
					name, row.HTTP.Method, row.HTTP.RequestURI, service, op.Path, op.Service)
			}
			if op.Served() {
				compareShape(t, model, name, row.Input.Shape, op.Input)
			}
		}
	}
	if seen < 38 { // as many as the models of 2023 had
		t.Errorf("the models have %d operations only", seen)
	}
}

func compareShape(t *testing.T, model *serviceModel, path, name string, s *api.Shape) {
	t.Helper()
	m := model.Shapes[name]
	if s.Name != name && s.Kind != api.KindTimestamp || s.Kind.String() != m.Type {
		t.Errorf("%s is %s %s, the table has %s %s", path, m.Type, name, s.Kind, s.Name)
		return
	}
	most := m.Max
	if most == 0 {
		most = tighter[name]
	}
	if (s.Min != m.Min || s.Max != most) && !slices.Contains(loosened, name) {
		t.Errorf("%s is bounded by %d and %d, the table has %d and %d", path, m.Min, most, s.Min,
			s.Max)
	}
	if pattern := s.Pattern; pattern != nil && pattern.String() != m.Pattern ||
		pattern == nil && m.Pattern != "" {
		t.Errorf("%s has the pattern %s, the table %s", path, m.Pattern, pattern)
	}
	for _, v := range m.Enum {
		if !slices.Contains(s.Enum, v) {
			t.Errorf("%s may be %s, not so in the table", path, v)
		}
	}
	for member, of := range m.Members {
		row := s.Member(member)
		if row == nil {
			t.Errorf("%s.%s is not in the table", path, member)
			continue
		}
		if row.Required != slices.Contains(m.Required, member) &&
			!slices.Contains(loosened, member) {
			t.Errorf("%s.%s: required is %t in the table", path, member, row.Required)
		}
		compareShape(t, model, path+"."+member, of.Shape, row.Shape)
	}
	switch s.Kind {
	case api.KindList:
		compareShape(t, model, path+"[]", m.Member.Shape, s.Item)
	case api.KindMap:
		compareShape(t, model, path+"(key)", m.Key.Shape, s.Key)
		compareShape(t, model, path+"(value)", m.Value.Shape, s.Item)
	}
}

// botocoreData is the directory of the installed service models.
func botocoreData(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		for _, module := range []string{"botocore", "awscli.botocore"} {
			out, err := exec.Command(python, "-c",
				"import "+module+" as m; print(m.__path__[0])").Output()
			if err != nil {
				continue
			}
			data := filepath.Join(strings.TrimSpace(string(out)), "data")
			if _, err := os.Stat(filepath.Join(data, "kinesisvideo")); err == nil {
				return data
			}
		}
	}
	missing(t, "the service models of botocore are not installed; the AWS command line brings them")
	return ""
}

func readModel(t *testing.T, data, service string) *serviceModel {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(data, service, "*", "service-2.json*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no model of %s below %s: %v", service, data, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var text io.Reader = f
	if strings.HasSuffix(found[0], ".gz") {
		if text, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var model serviceModel
	if err := json.NewDecoder(text).Decode(&model); err != nil {
		t.Fatalf("%s: %v", found[0], err)
	}
	return &model
}
