package api

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestDASHDefaults(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: `{"PlaybackMode":"LIVE","DisplayFragmentTimestamp":"NEVER",` +
			`"DisplayFragmentNumber":"NEVER",` +
			`"DASHFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP"},` +
			`"Expires":300,"MaxManifestFragmentResults":5}`,
		`{"PlaybackMode":"ON_DEMAND","DisplayFragmentNumber":"ALWAYS"}`: `{"PlaybackMode":` +
			`"ON_DEMAND","DisplayFragmentTimestamp":"NEVER","DisplayFragmentNumber":"ALWAYS",` +
			`"DASHFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP"},` +
			`"Expires":300,"MaxManifestFragmentResults":1000}`,
	} {
		var in GetDASHStreamingSessionURLInput
		if err := DecodeJSON([]byte(body), &in); err != nil {
			t.Fatal(err)
		}
		in.ApplyDefaults()
		if got, _ := json.Marshal(&in); string(got) != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func TestHLSDefaults(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: `{"PlaybackMode":"LIVE",` +
			`"HLSFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP"},` +
			`"ContainerFormat":"FRAGMENTED_MP4","DiscontinuityMode":"ALWAYS",` +
			`"DisplayFragmentTimestamp":"NEVER","Expires":300,"MaxMediaPlaylistFragmentResults":5}`,
		`{"PlaybackMode":"ON_DEMAND",` +
			`"HLSFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP"}}`: `{"PlaybackMode":"ON_DEMAND","HLSFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP"},"ContainerFormat":"FRAGMENTED_MP4","DiscontinuityMode":"NEVER","DisplayFragmentTimestamp":"NEVER","Expires":300,"MaxMediaPlaylistFragmentResults":1000}`,
		`{"PlaybackMode":"LIVE_REPLAY","ContainerFormat":"MPEG_TS","DiscontinuityMode":"NEVER",` +
			`"DisplayFragmentTimestamp":"ALWAYS","Expires":400,"MaxMediaPlaylistFragmentResults":7}`: `{"PlaybackMode":"LIVE_REPLAY","HLSFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP"},"ContainerFormat":"MPEG_TS","DiscontinuityMode":"NEVER","DisplayFragmentTimestamp":"ALWAYS","Expires":400,"MaxMediaPlaylistFragmentResults":7}`,
		`{"PlaybackMode":"LIVE_REPLAY"}`: `{"PlaybackMode":"LIVE_REPLAY",` +
			`"HLSFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP"},` +
			`"ContainerFormat":"FRAGMENTED_MP4","DiscontinuityMode":"ALWAYS",` +
			`"DisplayFragmentTimestamp":"NEVER","Expires":300,"MaxMediaPlaylistFragmentResults":5}`,
	} {
		var in GetHLSStreamingSessionURLInput
		if err := DecodeJSON([]byte(body), &in); err != nil {
			t.Fatal(err)
		}
		in.ApplyDefaults()
		if got, _ := json.Marshal(&in); string(got) != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
}

func TestNewRetention(t *testing.T) {
	for _, c := range []struct {
		operation             string
		current, change, want int // want -1: refused
	}{
		{IncreaseDataRetention, 0, 1, 1},
		{IncreaseDataRetention, 87599, 1, 87600},
		{IncreaseDataRetention, 87600, 1, -1},
		{IncreaseDataRetention, 1, 1<<31 - 1, -1},
		{DecreaseDataRetention, 24, 24, 0},
		{DecreaseDataRetention, 24, 25, -1},
	} {
		in := UpdateDataRetentionInput{Operation: c.operation, DataRetentionChangeInHours: c.change}
		got, err := in.NewRetention(c.current)
		if c.want < 0 && !errors.Is(err, &Error{Code: InvalidArgumentException}) || c.want >= 0 &&
			(err != nil || got != c.want) {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}
