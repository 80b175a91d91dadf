package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestAcksInEveryForm(t *testing.T) {
	text := `{"EventType":"BUFFERING","FragmentTimecode":12,` +
		`"FragmentNumber":"9"}{"EventType":"IDLE"}` + "\r\n" +
		`{"FragmentTimecode":"13","EventType":"PERSISTED","Unknown":[{}]} {"EventType":"ERROR",` +
		`"ErrorId":4006,"ErrorCode":"INVALID_MKV_DATA"}`
	r := newAckReader(strings.NewReader(text))
	var got []string
	for {
		a, err := r.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		got = append(got, fmt.Sprintf("%s %v %d %d", a.Type, a.HasTimecode, a.Timecode, a.ErrorID))
	}
	expected := []string{"BUFFERING true 12 0", "IDLE false 0 0", "PERSISTED true 13 0",
		"ERROR false 0 4006"}
	if !slices.Equal(got, expected) {
		t.Errorf("%q, expected %q", got, expected)
	}
	for _, bad := range []string{"{", "nonsense", `{"FragmentTimecode":1.5}`, `[]`,
		`{"FragmentTimecode":"x"}`, `"` + strings.Repeat("x", 2*maxAck) + `"`} {
		if _, err := newAckReader(strings.NewReader(bad)).next(); err == nil {
			t.Errorf("%.20q was taken", bad)
		}
	}
}

func FuzzAcks(f *testing.F) {
	f.Add([]byte(`{"EventType":"PERSISTED","FragmentTimecode":12,"FragmentNumber":"9"}`))
	f.Add([]byte(
		`{"EventType":"ERROR","FragmentTimecode":"12","ErrorId":4006}{"EventType":"IDLE"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newAckReader(bytes.NewReader(data))
		for range len(data) + 1 {
			if _, err := r.next(); err != nil {
				return
			}
		}
		t.Error("the reader does not come to an end")
	})
}
