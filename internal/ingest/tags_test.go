package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTags(t *testing.T) {
	tags := func(s *testStore) (list []string) {
		for _, r := range s.all() {
			text := fmt.Sprint(r.Timecode - epoch)
			for _, tag := range r.Tags {
				text += " " + tag.Name + "=" + tag.Value
			}
			list = append(list, text)
		}
		return list
	}
	next := epoch + 1000
	for _, c := range []struct {
		name string
		body *builder
		want []string
	}{
		{"of the cluster that follows",
			build(t).header(sdk).tag("a", "1").gop(epoch, 1).tag("b", "2").tag("c", "3").gop(next,
				1).end(),
			[]string{"0 a=1", "1000 b=2 c=3"}},
		{"of the fragment that the mark closes",
			build(t).header(sdk).gop(epoch, 1).tag("b", "2").end().tag("c", "3").gop(next, 1).end(),
			[]string{"0 b=2", "1000 c=3"}},
		{"at the end", build(t).header(sdk).tag("a", "1").gop(epoch, 1).tag("a", "1").tag("b", "2"),
			[]string{"0 a=1 b=2"}},
		{"reserved", build(t).header(sdk).tag("AWS_KINESISVIDEO_NOTIFICATION",
			"").tag("AWS_KINESISVIDEO_IMAGE_PREFIX", "p").gop(epoch, 1).end(),
			[]string{"0"}},
		{"ten, and reserved ones beside",
			build(t).header(sdk).tag("AWS_KINESISVIDEO_IMAGE_GENERATION", "").
				tag("0", "").tag("1", "").tag("2", "").tag("3", "").tag("4", "").tag("5",
				"").tag("6", "").tag("7", "").tag("8", "").tag("9", "").gop(epoch, 1).end(),
			[]string{"0 0= 1= 2= 3= 4= 5= 6= 7= 8= 9="}},
		{"before a new document",
			build(t).header(sdk).gop(epoch, 1).tag("b", "2").header(sdk).gop(next, 1).end(),
			[]string{"0 b=2", "1000"}},
	} {
		s := newStore()
		if _, err := run(t, absolute(s), c.body.reader()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := tags(s); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}

	// A muxer of files describes the file before the clusters, with any number of tags.
	b := build(t).header("Lavf59")
	b.Write(element(0x114D9B74))
	for i := range 30 {
		b.tag(fmt.Sprint("AWS meta ", i), strings.Repeat("x", 1000))
	}
	s := newStore()
	if _, err := run(t, absolute(s),
		b.gop(epoch, 1).tag("b", "2").gop(next, 1).reader()); err != nil {
		t.Fatal(err)
	}
	if got, want := tags(s), []string{"0", "1000 b=2"}; !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
	if !bytes.Contains(s.all()[0].Header, []byte("AWS meta 29")) {
		t.Error("the file's tags are not in its header")
	}
}
