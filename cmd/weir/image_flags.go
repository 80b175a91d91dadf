package main

import (
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/images"
	"weir/internal/still"
)

// imageLife is how long images of GetImages are kept, so that they hardly outlive the media that
// they were made of.
const imageLife = time.Hour

// imageFlags are the flags of weir serve about images.
type imageFlags struct {
	FFmpeg     string   `name:"ffmpeg" default:"ffmpeg" group:"Images" env:"WEIR_FFMPEG" placeholder:"PATH" help:"The ffmpeg that decodes frames for images; a name without a slash is looked up in PATH. Without it there are no images, and everything else works."`
	ImageCache byteSize `name:"image-cache" default:"256MiB" group:"Images" env:"WEIR_IMAGE_CACHE" placeholder:"SIZE" help:"Space in the data directory for finished images, which are kept for an hour at most."`
	Generated  byteSize `name:"generated-images" default:"1GiB" group:"Images" env:"WEIR_GENERATED_IMAGES" placeholder:"SIZE" help:"Space in the data directory for images of tagged fragments; the oldest make room for new ones. 0 generates none."`
}

// check refuses a path without a program. A name may be installed later.
func (f *imageFlags) check() error {
	if !strings.ContainsRune(f.FFmpeg, filepath.Separator) {
		return nil
	}
	if _, err := exec.LookPath(f.FFmpeg); err != nil {
		return fmt.Errorf("--ffmpeg: %w", err)
	}
	return nil
}

// images returns the service that makes images, with a cache below a data directory.
func (f *imageFlags) images(data string, st images.Store, logger *slog.Logger,
	registry *prometheus.Registry) (*images.Service, error) {
	cache, err := still.OpenCache(filepath.Join(data, "image-cache"), int64(f.ImageCache),
		imageLife, nil)
	if err != nil {
		return nil, err
	}
	metrics, err := images.NewMetrics(registry, cache)
	if err != nil {
		return nil, err
	}
	return images.New(images.Options{Store: st, Cache: cache, Logger: logger, Metrics: metrics,
		Decoder: still.NewDecoder(f.FFmpeg, still.Limits{}, logger)}), nil
}

// folder opens the folder for generated images below a data directory; nil when there is none.
func (f *imageFlags) folder(data string) (*still.Folder, error) {
	if f.Generated == 0 {
		return nil, nil
	}
	return still.OpenFolder(filepath.Join(data, "images"), int64(f.Generated))
}
