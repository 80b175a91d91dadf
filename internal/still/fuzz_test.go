package still

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"weir/internal/mkv"
)

// Whatever a process outputs, images come in the order of the job, none twice and none too long, or
// there is an error that says whose fault it is.
func FuzzAnswerOfTheDecoder(f *testing.F) {
	var b bytes.Buffer
	w := mkv.NewWriter(&b)
	must(f, w.WriteHeader(mkv.Header{Tracks: imageTracks}))
	for _, seconds := range []int64{1, 3} {
		must(f, w.WriteCluster(seconds*1000))
		must(f, w.WriteFrame(1, seconds*1000, true, []byte("image")))
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()-2])
	f.Add([]byte("no Matroska"))
	d := NewDecoder("ffmpeg", Limits{Image: 1000, Time: time.Second}, nil)
	f.Fuzz(func(t *testing.T, answer []byte) {
		frames := []int{1, 3}
		made := 0
		err := d.read(bytes.NewReader(answer), &Job{Frames: frames,
			Made: func(frame int, image []byte) error {
				if made == len(frames) || frame != frames[made] || len(image) > 1000 {
					t.Errorf("image %d is of frame %d, %d bytes", made, frame, len(image))
				}
				made++
				return nil
			}})
		if (err == nil) != (made == len(frames)) || err != nil && !errors.Is(err, ErrMedia) {
			t.Errorf("%d images, %v", made, err)
		}
	})
}
