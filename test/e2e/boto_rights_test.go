package e2e_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The keys of a producer and of a viewer each do their part with boto3, and nothing else. What
// they may not do, and limits, raise the exception classes of the service's models.
func TestBotoKnowsRefusals(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	python := botoPython(t)
	s := start(t, "", "--stream-call-rate", "1", "--media-connections-per-stream", "1")
	s.run("weir", "put-media", "--stream-name", "cam", "--create", "--data-retention-in-hours",
		"24", clip{rate: "25", seconds: 2}.make(t))
	profiles := filepath.Join(t.TempDir(), "credentials")
	keys := append(s.run("weir", "keys", "create", "viewer", "--policy", "viewer"),
		s.run("weir", "keys", "create", "producer", "--policy", "producer")...)
	if err := os.WriteFile(profiles, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	var as []string
	for _, variable := range s.env {
		if !strings.HasPrefix(variable, "AWS_ACCESS_KEY_ID=") &&
			!strings.HasPrefix(variable, "AWS_SECRET_ACCESS_KEY=") {
			as = append(as, variable)
		}
	}
	s.env = append(as, "AWS_SHARED_CREDENTIALS_FILE="+profiles)
	var got struct {
		Viewer, Producer            map[string]string
		Missing, Limit, Connections string
	}
	if err := json.Unmarshal(s.run(python, "boto_rights.py", "cam"), &got); err != nil {
		t.Fatal(err)
	}
	const denied, refused = "AccessDeniedException", "NotAuthorizedException"
	if want := map[string]string{"create": denied, "list": "ok", "session": "ok", "media": "ok",
		"delete": denied}; !maps.Equal(got.Viewer, want) {
		t.Errorf("a viewer: %v, want %v", got.Viewer, want)
	}
	if want := map[string]string{"create": "ok", "list": refused, "session": refused,
		"media": refused, "delete": denied}; !maps.Equal(got.Producer, want) {
		t.Errorf("a producer: %v, want %v", got.Producer, want)
	}
	if got.Missing != "ResourceNotFoundException" || got.Limit != "ClientLimitExceededException" ||
		got.Connections != "ConnectionLimitExceededException" {
		t.Errorf("beside rights: %q %q %q", got.Missing, got.Limit, got.Connections)
	}
}
