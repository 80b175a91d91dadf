package playback

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"weir/internal/api"
)

// A bound session plays only for the client of its first request.
func TestBoundSessions(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.sendMedia()
	r.service.bind = true
	token := r.open(r.input())
	play := func(from string) error {
		ctx := t.Context()
		if from != "" {
			ctx = From(ctx, netip.MustParseAddr(from))
		}
		_, err := r.service.MasterPlaylist(ctx, token)
		return err
	}
	for _, c := range []struct {
		from string
		ok   bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", true}, {"192.0.2.2", false},
		{"::ffff:192.0.2.1", true}, {"2001:db8::1", false}, {"", true},
	} {
		err := play(c.from)
		if !c.ok {
			wantError(t, err, api.NotAuthorizedException, "another address")
		} else if err != nil {
			t.Errorf("%s: %v", c.from, err)
		}
	}

	// A session records its opener, who learns its ID.
	const site = "arn:aws:iam::000000000000:user/site"
	opened, err := r.service.OpenHLS(t.Context(), r.stream, site, r.input())
	if err != nil {
		t.Fatal(err)
	}
	id, err := hex.DecodeString(opened.ID)
	if err != nil {
		t.Fatal(err)
	}
	session, err := r.store.Session(t.Context(), string(id))
	if err != nil || session.Principal != site || session.Address != "" {
		t.Errorf("%+v, %v", session, err)
	}
}

func TestClientPlace(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "::1": "::/64",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := clientPlace(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
