package ingest

import (
	"fmt"
	"slices"
	"testing"
)

// Reserved tags ask for more than storage. They belong to the same fragment as the other tags
// around them, and take effect when it is durable.
func TestEvents(t *testing.T) {
	const (
		notify = "AWS_KINESISVIDEO_NOTIFICATION"
		image  = "AWS_KINESISVIDEO_IMAGE_GENERATION"
		prefix = "AWS_KINESISVIDEO_IMAGE_PREFIX"
	)
	next := int64(epoch + 1000)
	for _, c := range []struct {
		name string
		body *builder
		want []string
	}{
		{"of the cluster that follows", build(t).header(sdk).tag(notify, "").
			tag("a", "1").gop(epoch, 1).tag(image, "").tag(prefix, "p/").gop(next, 1).end(),
			[]string{"0 {true false } [{a 1}]", "1000 {false true p/} []"}},
		{"of the fragment that the mark closes", build(t).header(sdk).gop(epoch, 1).tag(notify, "").
			tag("b", "2").end().gop(next, 1).end(), []string{"0 {true false } [{b 2}]"}},
		{"other reserved ones", build(t).header(sdk).tag("AWS_KINESISVIDEO_OTHER", "").
			gop(epoch, 1).end(), nil},
		{"none", build(t).header(sdk).tag("a", "1").gop(epoch, 1).end(), nil},
	} {
		s := newStore()
		var got []string
		o := absolute(s)
		o.Event = func(e Event) {
			if len(s.all()) == 0 {
				t.Errorf("%s: an event of nothing", c.name)
			}
			got = append(got, fmt.Sprint(e.Fragment.ProducerTimestamp-epoch, " ", e.Wants, " ",
				e.Tags))
		}
		if _, err := run(t, o, c.body.reader()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
