package api

import (
	"encoding/json"
	"testing"
)

// A page is written exactly as by json.Marshal.
func TestListFragmentsOutputAsJSON(t *testing.T) {
	token := "AQ+/x=="
	for _, o := range []ListFragmentsOutput{
		{Fragments: []Fragment{}},
		{Fragments: []Fragment{{FragmentNumber: "91343852333181432392682062607542012683"}}},
		{NextToken: &token, Fragments: []Fragment{
			{"1", 2, 1_700_000_000_001, -1, 5}, {"6", 1 << 62, 0, 1_700_000_000_999, 10}}},
	} {
		want, err := json.Marshal(&o)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(o.AppendJSON(nil)); got != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
