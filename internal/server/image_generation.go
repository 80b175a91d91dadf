package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"weir/internal/api"
	"weir/internal/ingest"
	"weir/internal/still"
	"weir/internal/store"
)

const (
	// maxImageTasks is how many fragments may wait for their images.
	maxImageTasks = 256
	// maxImagePrefix limits what a fragment's own prefix adds to file names, in bytes.
	maxImagePrefix = 80
	// maxImageStream limits what the stream's name adds: a file name has at most 255 bytes.
	maxImageStream = 100
	// maxSampled limits the streams of which the time of the last image is remembered.
	maxSampled = 10_000
)

func (s *Server) describeImageGeneration(_ context.Context, req *request,
	_ *api.DescribeImageGenerationConfigurationInput,
) (*api.DescribeImageGenerationConfigurationOutput, error) {
	configured, err := settingsOf(&req.target)
	if err != nil {
		return nil, err
	}
	return &api.DescribeImageGenerationConfigurationOutput{
		ImageGenerationConfiguration: configured.Images}, nil
}

func (s *Server) updateImageGeneration(ctx context.Context, req *request,
	in *api.UpdateImageGenerationConfigurationInput,
) (*api.UpdateImageGenerationConfigurationOutput, error) {
	stream := req.target
	if c := in.ImageGenerationConfiguration; c != nil {
		switch {
		case stream.RetentionHours == 0:
			return nil, api.NewError(api.NoDataRetentionException, api.MessageNoDataRetention)
		case c.DestinationConfig.DestinationRegion != s.region:
			return nil, api.Errorf(api.InvalidArgumentException,
				"DestinationRegion must be the region of the stream, %s.", s.region)
		case c.Status == api.StatusEnabled && s.folder == nil:
			return nil, api.NewError(api.InvalidArgumentException,
				"This server generates no images: --generated-images is 0.")
		case c.Status == api.StatusEnabled:
			if err := s.images.Check(); err != nil {
				return nil, err
			}
		}
	}
	err := s.configure(ctx, &stream, func(now *settings) {
		now.Images = in.ImageGenerationConfiguration
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateImageGenerationConfigurationOutput{}, nil
}

// imageTask is a fragment of which images are wanted.
type imageTask struct {
	stream store.Stream
	event  ingest.Event
	config *api.ImageGenerationConfiguration
}

// generateImages makes images until ctx ends, for one fragment at a time. It logs when an error
// comes up, and when it is over.
func (s *Server) generateImages(ctx context.Context) {
	last := map[store.StreamID]int64{} // moment of the last image
	failing, lost := "", 0
	for {
		select {
		case t := <-s.generate:
			made, err := s.generateOf(ctx, &t, last)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				s.metrics.eventsDropped.Inc()
				lost++
				if err.Error() != failing {
					failing = err.Error()
					s.log.Error("images of fragments are not made", "stream", t.stream.Name,
						logError, err)
				}
			case made && failing != "":
				s.log.Info("images of fragments are made again", "fragments_without", lost)
				failing, lost = "", 0
			}
		case <-ctx.Done():
			return
		}
	}
}

// generateOf makes the images of a fragment, and returns whether there were any. A fragment that
// begins less than a sampling interval after the last image keeps to its rhythm.
func (s *Server) generateOf(ctx context.Context, t *imageTask,
	last map[store.StreamID]int64) (made bool, err error) {
	start := t.event.Fragment.ServerTimestamp
	if t.config.ImageSelectorType == api.SelectorProducerTimestamp {
		start = t.event.Fragment.ProducerTimestamp
	}
	from, interval := start, int64(t.config.SamplingInterval)
	if before, ok := last[t.stream.ID]; ok && before <= start && start < before+interval {
		from = before + interval
	}
	if len(last) >= maxSampled {
		clear(last) // the first image of each may come early
	}
	err = s.images.OfFragment(ctx, &t.stream, &t.event.Fragment, t.config, from,
		func(at int64, image *still.Image) error {
			if err := s.keepGenerated(ctx, t, at, image); err != nil {
				return err
			}
			s.metrics.generated.Inc()
			last[t.stream.ID], made = at, true
			return nil
		})
	return made, err
}

// errDiskFull says that there is no space for images.
var errDiskFull = errors.New("the disk is full")

// keepGenerated writes an image after its metadata, so that anybody who sees the image finds those.
func (s *Server) keepGenerated(ctx context.Context, t *imageTask, at int64,
	image *still.Image) error {
	elements, err := api.ImageDirectory(t.config.DestinationConfig.Uri)
	if err != nil {
		return err
	}
	name := filepath.Join(append(elements, s.imageName(t, at))...)
	about, err := json.Marshal(t.metadata())
	if err != nil {
		return err
	}
	err = s.store.Room(ctx, image.Size()+int64(len(about)))
	if errors.Is(err, store.ErrFull) {
		return errDiskFull // without numbers, which differ each time
	} else if err != nil {
		return err
	}
	if err := s.folder.Put(name+".json", int64(len(about)), bytes.NewReader(about)); err != nil {
		return err
	}
	file, err := image.Open()
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	defer file.Close()
	return s.folder.Put(name, image.Size(), file)
}

// imageName is the service's name for an image (docs/reference/service.md, "Generated images").
func (s *Server) imageName(t *imageTask, at int64) string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	name := t.stream.Name
	parts := []string{s.account, name[:min(len(name), maxImageStream)],
		strconv.FormatInt(at, 10),
		hex.EncodeToString(random[:])}
	if prefix := fileName(t.event.ImagePrefix); prefix != "" {
		parts = append([]string{prefix}, parts...)
	}
	extension := ".jpg"
	if t.config.Format == api.ImagePNG {
		extension = ".png"
	}
	return strings.Join(parts, "_") + extension
}

// fileName makes a producer's text fit for the beginning of a file name. Letters and digits of
// ASCII, '_', '-' and '.' stay, but no '.' or '-' at the beginning. Everything else becomes '_'.
func fileName(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9',
			r == '_', r == '-', r == '.':
			return r
		}
		return '_'
	}, text)
	return strings.TrimLeft(name[:min(len(name), maxImagePrefix)], ".-")
}

// metadata is what the service adds to an image's object in S3: where the image is from, and the
// fragment's own tags, which cannot replace that.
func (t *imageTask) metadata() map[string]string {
	m := map[string]string{}
	for _, tag := range t.event.Tags {
		m[tag.Name] = tag.Value
	}
	f := &t.event.Fragment
	m["aws_kinesisvideo_fragment_number"] = t.stream.FormatNumber(f.Number)
	m["aws_kinesisvideo_producer_timestamp"] = strconv.FormatInt(f.ProducerTimestamp, 10)
	m["aws_kinesisvideo_server_timestamp"] = strconv.FormatInt(f.ServerTimestamp, 10)
	return m
}
