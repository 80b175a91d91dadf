package server

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"weir/internal/api"
	"weir/internal/images"
)

// imagesAnswer sends a page of images from where they are kept, because the base64 of 25 images is
// too much to hold in memory for each caller.
type imagesAnswer struct{ page *images.Page }

// imagesLookUp is the cost of a call of GetImages in points of metadata, besides its images
// (developer guide, "Amazon Kinesis Video Streams service quotas").
const imagesLookUp = 400

func (s *Server) getImages(
	ctx context.Context, req *request, in *api.GetImagesInput,
) (*imagesAnswer, error) {
	stream := req.target
	n := min(cmp.Or(in.MaxResults, api.MaxImagesPage), api.MaxImagesPage)
	if err := s.quotas.Points(stream.ID, imagesLookUp+n, n); err != nil {
		return nil, err
	}
	page, err := s.images.Get(ctx, stream, in)
	if err != nil {
		return nil, err
	}
	return &imagesAnswer{page}, nil
}

// send implements response.
func (a *imagesAnswer) send(w http.ResponseWriter, _ *http.Request) error {
	defer a.page.Close()
	heads, tail, total := a.text()
	_ = http.NewResponseController(w).SetWriteDeadline( // only writers of tests lack deadlines
		time.Now().Add(answerTimeout + time.Duration(total/slowestClient)*time.Second))
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.FormatInt(total, 10))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(w, 32<<10)
	for i := range heads {
		_, _ = out.WriteString(heads[i]) // Flush tells
		if image := a.page.Images[i].Still; image != nil {
			if err := copyBase64(out, image); err != nil {
				return err
			}
			_, _ = out.WriteString(`"}`)
		}
	}
	_, _ = out.WriteString(tail)
	return out.Flush()
}

// text returns the text before each image's content, the text at the end, and the size of the whole
// answer in bytes.
func (a *imagesAnswer) text() (heads []string, tail string, total int64) {
	for i := range a.page.Images {
		image := &a.page.Images[i]
		head := []byte(`,{"TimeStamp":`)
		if i == 0 {
			head = []byte(`{"Images":[{"TimeStamp":`)
		}
		head = api.AppendTimestamp(head, image.Time)
		if image.Still == nil {
			head = append(head, `,"Error":"`+string(image.Error)+`"}`...)
		} else {
			head = append(head, `,"ImageContent":"`...)
			total += int64(base64.StdEncoding.EncodedLen(int(image.Still.Size()))) +
				int64(len(`"}`))
		}
		heads = append(heads, string(head))
		total += int64(len(head))
	}
	tail = `],"NextToken":null}`
	if token := a.page.NextToken; token != "" {
		text, _ := json.Marshal(token) // a string always encodes
		tail = `],"NextToken":` + string(text) + "}"
	}
	if len(heads) == 0 {
		tail = `{"Images":[` + tail
	}
	return heads, tail, total + int64(len(tail))
}

// copyBase64 writes an image.
func copyBase64(w io.Writer, image interface {
	Open() (io.ReadCloser, error)
	Size() int64
}) error {
	file, err := image.Open()
	if err != nil {
		return fmt.Errorf("send image: %w", err)
	}
	defer file.Close()
	encoder := base64.NewEncoder(base64.StdEncoding, w)
	if n, err := io.Copy(encoder, file); err != nil {
		return fmt.Errorf("send image: %w", err)
	} else if n != image.Size() {
		return fmt.Errorf("send image: %w", io.ErrUnexpectedEOF)
	}
	return encoder.Close()
}
