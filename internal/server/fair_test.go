package server

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/fair"
	"weir/internal/images"
	"weir/internal/quota"
	"weir/internal/still"
	"weir/internal/store"
)

// oneByOne is a decoder that makes one image whenever the test says so.
type oneByOne struct {
	blankDecoder
	turns *fair.Turns
	began chan int // widths of images
	next  chan struct{}
}

func (d *oneByOne) Enter(ctx context.Context) (func(), error) { return d.turns.Enter(ctx) }

func (d *oneByOne) Run(ctx context.Context, j *still.Job) error {
	d.began <- j.Width
	<-d.next
	return d.blankDecoder.Run(ctx, j)
}

// A caller that asks for one image waits for only one image of a caller that has asked for many
// before.
func TestGreedyImages(t *testing.T) {
	t.Parallel()
	cache, err := still.OpenCache(filepath.Join(t.TempDir(), "images"), 1<<20, time.Hour, nil)
	must(t, err)
	d := &oneByOne{blankDecoder{1000}, fair.NewTurns(1, 50, 0), make(chan int), make(chan struct{})}
	p := newPermitTest(t, func(o *Options) {
		o.Images = images.New(images.Options{Store: o.Store.(engine), Decoder: d, Cache: cache})
	})
	p.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	p.record()
	first := p.ok("/listFragments", `{"StreamName":"cam1","FragmentSelector":`+serverRange+`}`)
	begin := first["Fragments"].([]any)[0].(map[string]any)["ProducerTimestamp"].(float64)
	var asked sync.WaitGroup
	ask := func(key auth.Credentials, width int) {
		body := fmt.Sprintf(`{"StreamName":"cam1","ImageSelectorType":"PRODUCER_TIMESTAMP",`+
			`"Format":"JPEG","StartTimestamp":%.3f,"EndTimestamp":%.3f,"WidthPixels":%d}`,
			begin, begin+1, width)
		r := p.request(http.MethodPost, "/getImages", body)
		signer := p.signer
		signer.Credentials = key
		signer.Sign(r, []byte(body))
		asked.Go(func() {
			res, err := p.client.Do(r)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("image of %d pixels: %v, %v", width, res, err)
				return
			}
			res.Body.Close()
		})
	}
	waiting := func(n int) {
		t.Helper()
		await(t, "requests that wait", n, d.turns.Waiting)
	}
	const many, modest = 8, 99
	greedy := p.as(statement("Allow", "kinesisvideo:*", "*", ""))
	for i := range many {
		ask(greedy, 100+i)
	}
	<-d.began
	waiting(many - 1)
	ask(p.as(" "+statement("Allow", "kinesisvideo:*", "*", "")), modest)
	waiting(many)
	turn := 0
	for i := range many {
		d.next <- struct{}{}
		if <-d.began == modest {
			turn = i + 1
		}
	}
	d.next <- struct{}{}
	asked.Wait()
	if turn == 0 || turn > 2 {
		t.Errorf("the modest one's turn is number %d after those that were there", turn)
	}
}

// A caller that opens as many connections as it can leaves some to others, whatever keys it has.
func TestGreedyConnections(t *testing.T) {
	t.Parallel()
	p := newPermitTest(t, func(o *Options) { o.Connections.Total = 8 })
	_, err := p.store.CreateStream(t.Context(), store.Stream{Name: "cam1", RetentionHours: 1})
	must(t, err)
	all := statement("Allow", "kinesisvideo:*", "*", "")
	greedy, modest := p.as(all), p.as(" "+all)
	another, err := p.who.CreateKey(t.Context(), "up0")
	must(t, err)
	var open []*producer
	dial := func(key auth.Credentials) (int, string) {
		p.signer.Credentials = key
		c := p.dial("cam1")
		status, h := c.header()
		if status == http.StatusOK {
			open = append(open, c)
		}
		return status, h.Get("x-amzn-ErrorType")
	}
	for i := range 6 {
		if status, code := dial(greedy); status != http.StatusOK {
			t.Fatalf("connection %d is answered with %d %s", i, status, code)
		}
	}
	for _, key := range []auth.Credentials{greedy, {AccessKeyID: another.AccessKeyID,
		SecretAccessKey: another.SecretAccessKey}} {
		if status, code := dial(key); status != http.StatusBadRequest ||
			code != "ConnectionLimitExceededException" {
			t.Errorf("one more of the greedy one is answered with %d %s", status, code)
		}
	}
	if status, code := dial(modest); status != http.StatusOK {
		t.Errorf("the modest one is answered with %d %s", status, code)
	}
	for _, c := range open {
		c.end()
	}
}

// A principal that calls too often is told so, and others are still served. Refused calls do not
// count for the stream.
func TestLimitsOfCalls(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPermitTest(t, func(o *Options) {
		o.Clock = func() time.Time { return now }
		o.Limits = quota.Limits{PrincipalCalls: 3, StreamCalls: 1, Streams: 2}
	})
	for _, name := range []string{"cam1", "cam2"} {
		_, err := p.store.CreateStream(t.Context(), store.Stream{Name: name})
		must(t, err)
	}
	all := statement("Allow", "kinesisvideo:*", "*", "")
	calls := func(key auth.Credentials, n int, path, body string) (last answer) {
		p.signer.Credentials = key
		for range n {
			last = p.call(path, body)
		}
		return last
	}
	const cam1, cam2 = `{"StreamName":"cam1"}`, `{"StreamName":"cam2"}`
	nobody := p.as(statement("Allow", "s3:*", "*", ""))
	calls(nobody, 15, "/describeStream", cam1).fails(t, 403, "AccessDeniedException", "")
	calls(nobody, 1, "/describeStream", cam1).fails(t, 400, "ClientLimitExceededException",
		"3 calls of one principal")
	first := p.as(all)
	if a := calls(first, 5, "/describeStream", cam1); a.status != http.StatusOK {
		t.Errorf("the stream has no call left: %d %s", a.status, a.body)
	}
	calls(first, 1, "/describeStream", cam1).fails(t, 400, "ClientLimitExceededException",
		"1 calls of DescribeStream")
	if a := calls(first, 1, "/describeStream", cam2); a.status != http.StatusOK {
		t.Errorf("another stream: %d %s", a.status, a.body)
	}
	calls(p.as(" "+all), 1, "/createStream", `{"StreamName":"cam3"}`).fails(t, 400,
		"AccountStreamLimitExceededException", "2 streams")
}
