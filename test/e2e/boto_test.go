package e2e_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"testing"

	"weir/internal/api"
)

// botoPython is a Python that has boto3, the AWS SDK for Python; with the AWS command line's
// package it is the system's.
func botoPython(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import boto3").Run() == nil {
			return python
		}
	}
	missing(t, "boto3 is not installed; `make deps` installs it")
	return ""
}

// The calls that read stored media answer boto3, whose models and parsers are the service's, with
// results and with errors.
func TestBoto(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	python := botoPython(t)
	s := start(t, "")
	s.run("weir", "put-media", "--stream-name", "cam", "--create", "--data-retention-in-hours",
		"24", clip{rate: "25", seconds: 6}.make(t))
	var got struct {
		Numbers             []string
		Chunks, Media, Clip []byte
		ClipType            string
		Images              [][]byte
		DASH                string
		Errors              map[string]string
	}
	if err := json.Unmarshal(s.run(python, "boto.py", "cam"), &got); err != nil {
		t.Fatal(err)
	}
	if want := s.numbers("weir", "cam"); len(want) < 3 || !slices.Equal(got.Numbers, want) {
		t.Errorf("fragments %v, want %v", got.Numbers, want)
	}
	chunks := documents(t, got.Chunks)
	if len(chunks) != len(got.Numbers) {
		t.Fatalf("%d chunks of %d fragments", len(chunks), len(got.Numbers))
	}
	for i, chunk := range chunks {
		if !bytes.Contains(chunk, []byte(got.Numbers[i])) {
			t.Errorf("chunk %d is of another fragment", i)
		}
	}
	if !bytes.HasPrefix(got.Media, chunks[0]) || !bytes.Contains(got.Media, []byte(tokenTag)) {
		t.Error("GetMedia does not begin with the oldest fragment, or has no token after it")
	}
	if got.ClipType != "video/mp4" || len(got.Clip) < 8 || string(got.Clip[4:8]) != "ftyp" {
		t.Errorf("a clip of %s, %d bytes", got.ClipType, len(got.Clip))
	}
	if len(got.Images) != 3 {
		t.Errorf("%d images of two seconds", len(got.Images))
	}
	for _, image := range got.Images {
		if !bytes.HasPrefix(image, []byte{0xFF, 0xD8, 0xFF}) {
			t.Errorf("an image of %d bytes is no JPEG", len(image))
		}
	}
	if manifest := mustGet(t, got.DASH); !bytes.Contains(manifest, []byte("<MPD ")) {
		t.Errorf("the manifest is %.200s", manifest)
	}
	want := map[string]string{
		"ListFragments":              string(api.ResourceNotFoundException),
		"GetMedia":                   string(api.InvalidArgumentException),
		"GetMediaForFragmentList":    string(api.InvalidArgumentException),
		"GetClip":                    string(api.ResourceNotFoundException),
		"GetImages":                  string(api.ResourceNotFoundException),
		"GetDASHStreamingSessionURL": string(api.InvalidArgumentException),
	}
	if !maps.Equal(got.Errors, want) {
		t.Errorf("errors %v, want %v", got.Errors, want)
	}
}
