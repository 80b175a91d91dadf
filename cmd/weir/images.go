package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"weir/internal/api"
)

// imagesCmd writes images to files.
type imagesCmd struct {
	rangeFlags
	Every   time.Duration `default:"3s" placeholder:"DURATION" help:"From one image to the next: 200ms or more."`
	PNG     bool          `name:"png" help:"Write PNG instead of JPEG."`
	Quality int           `default:"80" placeholder:"N" help:"Quality of JPEG, 1 to 100."`
	Width   int           `placeholder:"PIXELS" help:"Width. By default, it follows from the height and the video's shape."`
	Height  int           `placeholder:"PIXELS" help:"Height. By default, it follows from the width and the video's shape."`
	serverFlags
	streamArgument
	Directory string `arg:"" help:"Directory for the files; it is made if there is none."`
}

// Help is shown by weir images --help.
func (c *imagesCmd) Help() string {
	return `Each file is named by the moment that it shows, in UTC, such as
2026-09-21T14-13-20.000Z.jpg, and its name is printed. Moments without an image
are reported on standard error. The range may be as long as you like.

Examples:

  weir images cam1 stills --from "10m ago" --every 1m --width 320
  weir images cam1 stills --from "today 14:00" --to "today 14:05" --clock producer`
}

// Run writes them.
func (c *imagesCmd) Run(ctx context.Context, std stdio) error {
	start, end, err := c.between(time.Now())
	if err != nil {
		return err
	}
	if c.Every < api.MinSamplingInterval*time.Millisecond || c.Every%time.Millisecond != 0 {
		return withHint(fmt.Errorf("--every %v is not 200 ms or more, in whole milliseconds",
			c.Every), "such as --every 500ms, 3s or 1m")
	}
	connection, err := c.client(ctx)
	if err != nil {
		return err
	}
	data, err := connection.DataEndpoint(ctx, c.ref(), api.APIGetImages)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Directory, 0o777); err != nil {
		return err
	}
	written := 0
	every := c.Every.Milliseconds()
	// One call covers at most MaxImagesRange, including the last moment.
	step := max(api.MaxImagesRange.Milliseconds()/every, 1) * every
	for at := int64(start); at <= int64(end); at += step {
		from, to := api.Timestamp(at), api.Timestamp(min(at+step-1, int64(end),
			at+api.MaxImagesRange.Milliseconds()))
		in := &api.GetImagesInput{StreamRef: c.ref(), ImageSelectorType: c.selector(),
			StartTimestamp: &from, EndTimestamp: &to, SamplingInterval: int(every),
			WidthPixels: c.Width, HeightPixels: c.Height, Format: api.ImageJPEG,
			FormatConfig: map[string]string{"JPEGQuality": fmt.Sprint(c.Quality)}}
		if c.PNG {
			in.Format, in.FormatConfig = api.ImagePNG, nil
		}
		for more := true; more; more = in.NextToken != "" {
			var out imagesOutput
			if err := data.Call(ctx, "GetImages", in, &out); err != nil {
				return err
			}
			n, err := c.write(std, &out)
			if err != nil {
				return err
			}
			written += n
			in.NextToken = out.NextToken
		}
	}
	if written == 0 {
		return errors.New("there is no image in this range")
	}
	return nil
}

// imagesOutput is the answer of GetImages.
type imagesOutput struct {
	Images []struct {
		TimeStamp    api.Timestamp
		Error        api.ImageError
		ImageContent []byte
	}
	NextToken string
}

// write writes the images of a page, and returns how many there are.
func (c *imagesCmd) write(std stdio, page *imagesOutput) (written int, err error) {
	extension := ".jpg"
	if c.PNG {
		extension = ".png"
	}
	for i := range page.Images {
		image := &page.Images[i]
		name := time.UnixMilli(int64(image.TimeStamp)).UTC().Format("2006-01-02T15-04-05.000Z")
		if image.Error != "" {
			fmt.Fprintf(std.Err, "%s: %s\n", name, image.Error)
			continue
		}
		path := filepath.Join(c.Directory, name+extension)
		if err := os.WriteFile(path, image.ImageContent, 0o666); err != nil {
			return written, err
		}
		written++
		if _, err := fmt.Fprintln(std.Out, path); err != nil {
			return written, err
		}
	}
	return written, nil
}
