package server

import (
	"fmt"
	"testing"
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
