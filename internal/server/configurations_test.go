package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/internal/media"
)

func TestStorageTier(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	arn := s.ok("/createStream", `{"StreamName":"cam1"}`)["StreamARN"]
	s.ok("/createStream", `{"StreamName":"cam2","StreamStorageConfiguration":{"DefaultStorageTier":"WARM"}}`)
	tier := func(stream string) any {
		t.Helper()
		out := s.ok("/describeStreamStorageConfiguration", stream)
		if len(out) != 3 || out["StreamName"] == "" || out["StreamARN"] == "" {
			t.Errorf("%s: %v", stream, out)
		}
		return out["StreamStorageConfiguration"].(map[string]any)["DefaultStorageTier"]
	}
	if a, b := tier(`{"StreamName":"cam1"}`), tier(`{"StreamName":"cam2"}`); a != "HOT" || b != "WARM" {
		t.Errorf("at first %v and %v", a, b)
	}
	update := func(version any, tier string) answer {
		return s.call("/updateStreamStorageConfiguration", fmt.Sprintf(`{"StreamARN":%q,"CurrentVersion":%q,`+
			`"StreamStorageConfiguration":{"DefaultStorageTier":%q}}`, arn, version, tier))
	}
	version := func() any {
		return s.ok("/describeStream", `{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any)["Version"]
	}
	was := version()
	if a := update(was, "WARM"); a.status != 200 || a.body != "{}" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := tier(fmt.Sprintf(`{"StreamARN":%q}`, arn)); got != "WARM" || version() == was {
		t.Errorf("%v in version %v, which was %v", got, version(), was)
	}
	update(was, "HOT").fails(t, 400, "VersionMismatchException", "")
	s.call("/describeStreamStorageConfiguration", `{"StreamName":"none"}`).
		fails(t, 404, "ResourceNotFoundException", "")
}

// sent keeps the notifications that would be sent.
type sent struct {
	off bool
	got chan string

	to      destination // of the last one
	hurried []string
}

func (s *sent) Enabled() bool { return !s.off }
func (s *sent) Send(sender string, to destination, body []byte) {
	url, err := to(context.Background())
	s.to = to
	s.got <- fmt.Sprint(sender, " ", url, " ", string(body), err)
}
func (s *sent) Hurry(sender string) { s.hurried = append(s.hurried, sender) }

// There is a notification of a tagged fragment, with its own tags, when it is stored, if the stream
// is configured so.
func TestNotifications(t *testing.T) {
	t.Parallel()
	out := &sent{got: make(chan string, 100)}
	s := newStreamSite(t, func(o *Options) { o.Notifier = out })
	arn := s.ok("/describeStream", `{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any)["StreamARN"]
	describe := func() string {
		t.Helper()
		a := s.call("/describeNotificationConfiguration", `{"StreamName":"cam1"}`)
		if a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
		return a.body
	}
	if got := describe(); got != `{"NotificationConfiguration":null}` {
		t.Errorf("at first %s", got)
	}
	start := time.Now().Add(-time.Minute).UnixMilli()
	c := newCamera(t)
	shoot := func(at int64, tags ...media.Tag) {
		t.Helper()
		p := s.dial("cam1")
		p.started()
		c.cluster(start+at, 5, 200)
		must(t, c.w.WriteTags(tags))
		p.send(c.endOfFragment().take())
		p.until(fmt.Sprintf("PERSISTED %d", start+at))
		p.end()
		c = newCamera(t)
	}
	notify := media.Tag{Name: "AWS_KINESISVIDEO_NOTIFICATION"}
	shoot(0, notify) // nobody listens
	const enabled = `{"DestinationConfig":{"Uri":"https://a.example/b"},"Status":"ENABLED"}`
	s.ok("/updateNotificationConfiguration", `{"StreamName":"cam1","NotificationConfiguration":`+enabled+`}`)
	if got := describe(); got != `{"NotificationConfiguration":{"Status":"ENABLED","DestinationConfig":{"Uri":"https://a.example/b"}}}` {
		t.Errorf("then %s", got)
	}
	shoot(1000) // does not ask
	shoot(2000, notify, media.Tag{Name: "who", Value: `a "cat"`})
	got := <-out.got
	fragments, _ := s.fragments("cam1", 10)
	last := fragments[len(fragments)-1]
	want := fmt.Sprintf(`cam1 https://a.example/b {"StreamArn":%q,"FragmentNumber":%q,`+
		`"FragmentStartProducerTimestamp":%d,"FragmentStartServerTimestamp":%.0f,"NotificationType":"PERSISTED",`+
		`"NotificationPayload":{"who":"a \"cat\""}}`, arn, last["FragmentNumber"], start+2000,
		last["ServerTimestamp"].(float64)*1000)
	if want += "<nil>"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	out.hurried = nil
	for _, change := range []struct{ configuration, to string }{
		{strings.Replace(enabled, "a.example", "c.example", 1), "https://c.example/b"},
		{strings.Replace(enabled, "ENABLED", "DISABLED", 1), ""}, {"null", ""},
	} {
		s.ok("/updateNotificationConfiguration", `{"StreamName":"cam1","NotificationConfiguration":`+
			change.configuration+`}`)
		if to, err := out.to(t.Context()); to != change.to || err != nil {
			t.Errorf("what waits goes to %q with %s, %v", to, change.configuration, err)
		}
	}
	if got := strings.Join(out.hurried, " "); got != "cam1 cam1 cam1" {
		t.Errorf("%q are told of", got)
	}
	shoot(3000, notify)
	if got := describe(); got != `{"NotificationConfiguration":null}` || len(out.got) != 0 {
		t.Errorf("at last %s", got)
	}

	s.ok("/createStream", `{"StreamName":"none"}`)
	s.call("/updateNotificationConfiguration", `{"StreamName":"none","NotificationConfiguration":`+enabled+`}`).
		fails(t, 400, "NoDataRetentionException", "")
	out.off = true
	s.call("/updateNotificationConfiguration", `{"StreamName":"cam1","NotificationConfiguration":`+enabled+`}`).
		fails(t, 400, "InvalidArgumentException", "--notification-allow")
	s.call("/describeNotificationConfiguration", `{"StreamName":"other"}`).fails(t, 404, "ResourceNotFoundException", "")
}
