package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A key that `weir keys create` prints is a profile of the AWS command line, until it is disabled.
func TestKeysFromTheAWSCommandLine(t *testing.T) {
	waits(t)
	needTool(t, "aws")
	s := start(t, "")
	printed := s.run("weir", "keys", "create", "front-door", "--policy", "producer")
	profiles := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(profiles, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	root := s.env
	var camera []string
	for _, variable := range root {
		if !strings.HasPrefix(variable, "AWS_ACCESS_KEY_ID=") &&
			!strings.HasPrefix(variable, "AWS_SECRET_ACCESS_KEY=") {
			camera = append(camera, variable)
		}
	}
	camera = append(camera, "AWS_SHARED_CREDENTIALS_FILE="+profiles, "AWS_PROFILE=front-door")

	s.env = camera
	s.aws("kinesisvideo", "create-stream", "--stream-name", "front-door",
		"--data-retention-in-hours", "24")
	s.aws("kinesisvideo", "describe-stream", "--stream-name", "front-door")
	s.env = root
	s.run("weir", "keys", "disable", "front-door")
	s.env = camera
	s.awsFails("UnrecognizedClientException", "kinesisvideo", "describe-stream", "--stream-name",
		"front-door")
	s.env = root
	s.run("weir", "keys", "enable", "front-door")
	s.env = camera
	s.aws("kinesisvideo", "describe-stream", "--stream-name", "front-door")
}
