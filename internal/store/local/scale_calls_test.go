package local_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/fragments"
	"weir/internal/server"
	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/storetest"
)

// scaleCalls calls ListFragments over HTTP, signed as by the SDKs, for pages of 1,000 at random
// places, by both clocks: the first page of a range and the one after it. It returns milliseconds
// from the call to the last byte of its answer.
func scaleCalls(
	t *testing.T, s *local.Store, streams []store.Stream, size scaleSize,
) (p50, p99 float64) {
	const listed = 1000
	keys, err := auth.LoadOrCreateKeys(filepath.Join(t.TempDir(), "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	who, err := access.Open(t.Context(), access.Options{Store: s, Keys: keys,
		KeyFile: filepath.Join(os.Getenv("WEIR_SCALE_DATA"), "access.key"),
		Account: "000000000000"})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Options{Store: s, Access: who, Region: "us-west-2",
		Account: "000000000000", Clock: time.Now,
		Fragments: fragments.New(fragments.Options{Store: s, Clock: storetest.NewClock().Now})})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(srv)
	defer site.Close()
	signer := auth.Signer{Credentials: keys.Default().Credentials(), Region: "us-west-2"}
	var took []float64
	call := func(body []byte) (page struct {
		Fragments []struct{ FragmentNumber string }
		NextToken string
	}) {
		began := time.Now()
		req, err := http.NewRequest(http.MethodPost, site.URL+"/listFragments",
			bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		signer.Sign(req, body)
		res, err := site.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		took = append(took, time.Since(began).Seconds()*1000)
		if err == nil {
			err = json.Unmarshal(text, &page)
		}
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %.300s %v", res.Status, text, err)
		}
		return page
	}
	calls := 400
	if size.Streams < 1000 {
		calls = 20 // nobody looks at the figure
	}
	r := rand.New(rand.NewPCG(2, 1000))
	start := storetest.NewClock().Now().UnixMilli()
	for i := range calls {
		st := streams[r.IntN(len(streams))]
		at := r.IntN(size.Fragments - listed)
		clock, from := "SERVER_TIMESTAMP", start+int64(at)*2000
		if i%2 == 1 {
			clock, from = "PRODUCER_TIMESTAMP", from-500
		}
		first := min(listed, size.Fragments/3)
		page := call(fmt.Appendf(nil, `{"StreamName":%q,"MaxResults":%d,"FragmentSelector":`+
			`{"FragmentSelectorType":%q,"TimestampRange":{"StartTimestamp":%d.%03d,`+
			`"EndTimestamp":%d}}}`, st.Name, first, clock, from/1000, from%1000, start/1000+1e9))
		if len(page.Fragments) != first ||
			page.Fragments[0].FragmentNumber != st.FormatNumber(scaleNumber(at)) {
			t.Fatalf("%d fragments from %d on, the first %+v", len(page.Fragments), at,
				page.Fragments[0])
		}
		if size.Fragments-at < 2*first {
			continue
		}
		page = call(fmt.Appendf(nil, `{"StreamName":%q,"NextToken":%q}`, st.Name, page.NextToken))
		if len(page.Fragments) != first ||
			page.Fragments[0].FragmentNumber != st.FormatNumber(scaleNumber(at+first)) {
			t.Fatalf("then %d fragments after %d", len(page.Fragments), at+first)
		}
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}
