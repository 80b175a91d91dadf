package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// sdk calls an operation with the AWS SDK for JavaScript. An error of the service is a member "error".
func (s *server) sdk(service, operation string, input map[string]any) map[string]any {
	s.t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.runJSON("node", "sdk.mjs", service, operation, string(text))
}

// control calls an operation on cam1.
func (s *server) control(operation string, input map[string]any) map[string]any {
	s.t.Helper()
	all := map[string]any{"StreamName": "cam1"}
	for k, v := range input {
		all[k] = v
	}
	return s.sdk("kinesis-video", operation, all)
}

// What is configured of a stream, by the AWS SDK for JavaScript.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	needTool(t, "node")
	s := start(t, "")
	s.run("weir", "create-stream", "--stream-name", "cam1", "--data-retention-in-hours", "24")
	info := s.control("DescribeStream", nil)["StreamInfo"].(map[string]any)

	warm := map[string]any{"CurrentVersion": info["Version"], "StreamStorageConfiguration": map[string]any{"DefaultStorageTier": "WARM"}}
	if got := s.control("UpdateStreamStorageConfiguration", warm); len(got) != 0 {
		t.Errorf("storage: %v", got)
	}
	if got := s.control("DescribeStreamStorageConfiguration", nil)["StreamStorageConfiguration"]; fmt.Sprint(got) !=
		"map[DefaultStorageTier:WARM]" {
		t.Errorf("storage is %v", got)
	}
	if got := s.control("UpdateStreamStorageConfiguration", warm); got["error"] != "VersionMismatchException" {
		t.Errorf("storage of an old version: %v", got)
	}
}
