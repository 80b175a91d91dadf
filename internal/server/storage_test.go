package server

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/quota"
	"weir/test/output"
)

// When somebody's streams store as much as they may, producers get error 5001, after which they
// send again later. Log and status say why. What is stored already is still acknowledged, other
// streams go on storing, and space that is freed is used.
func TestLimitOfStorage(t *testing.T) {
	t.Parallel()
	st, _ := openStore(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var later atomic.Int64
	var log output.Buffer
	p := &permitTest{site: newSiteOver(t, st, listener, func(o *Options) {
		o.Limits = quota.Limits{CreatorStored: 120_000, StreamStored: 1 << 20}
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		o.Logger = logTo(&log)
	}), keys: map[string]auth.Credentials{}}
	p.who = p.server.access
	root := p.signer.Credentials
	all := statement("Allow", "kinesisvideo:*", "*", "")
	create := func(key auth.Credentials, name string) (arn string) {
		p.signer.Credentials = key
		return p.ok("/createStream",
			`{"StreamName":"`+name+`","DataRetentionInHours":1}`)["StreamARN"].(string)
	}
	start := time.Now().Add(-time.Minute).UnixMilli()
	put := func(key auth.Credentials, name string, after int64) string {
		p.signer.Credentials = key
		c := p.dial(name)
		c.started()
		c.send(newCamera(t).cluster(start+after, 25, 2000).endOfFragment().take())
		for {
			switch a := c.ack(); a.EventType {
			case "ERROR":
				c.ended() // and logged
				return "ERROR " + a.ErrorCode
			case "PERSISTED":
				return "PERSISTED"
			}
		}
	}
	holds := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	greedy, modest := p.as(all), p.as(" "+all)
	cam1 := create(greedy, "cam1")
	create(greedy, "cam2")
	create(modest, "cam3")
	create(root, "cam4")
	holds("the first", put(greedy, "cam1", 0), "PERSISTED")
	holds("the second", put(modest, "cam2", 0), "PERSISTED") // counts for its creator
	holds("the third", put(greedy, "cam2", 2000), "ERROR ARCHIVAL_ERROR")
	holds("the first again", put(greedy, "cam1", 0), "PERSISTED")
	holds("another's stream", put(modest, "cam3", 0), "PERSISTED")
	for i := range int64(3) {
		holds("root's", put(root, "cam4", i*2000), "PERSISTED")
	}
	if !strings.Contains(log.String(), "the streams of arn:aws:iam::000000000000:user/up0 have") {
		t.Errorf("log: %s", log.String())
	}
	a := p.call("/weir/getStreamStatus", `{"StreamNames":["cam1","cam2"]}`)
	if strings.Count(a.body, `"StorageState":"WRITABLE"`) != 1 ||
		strings.Count(a.body, `"StorageState":"FULL"`) != 1 ||
		strings.Count(a.body, `"StoredBytesLimit":1048576`) != 2 {
		t.Errorf("status: %s", a.body)
	}
	p.ok("/deleteStream", `{"StreamARN":"`+cam1+`"}`)
	later.Store(int64(2 * time.Second))
	holds("with room again", put(greedy, "cam2", 2000), "PERSISTED")
}
