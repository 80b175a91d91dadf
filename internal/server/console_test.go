package server

import (
	"net/http"
	"strings"
	"testing"

	"weir/internal/console"
)

// Browsers that come to the main listener get the console. Everybody else gets the same as before
// there was one.
func TestConsoleIsForBrowsers(t *testing.T) {
	t.Parallel()
	if !console.HasApp() {
		t.Skip("the console is not embedded; `make build` does that")
	}
	s, players := newPlayersSite(t)
	const browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
	res, page := s.fetch(s.client, http.MethodGet, s.url+"/", browser)
	if res.StatusCode != http.StatusOK || !strings.Contains(page, `id="app"`) {
		t.Fatalf("%s: %s", res.Status, page)
	}
	for _, c := range []struct {
		client              *http.Client
		method, url, accept string
	}{
		{s.client, http.MethodGet, s.url + "/", "Accept: */*"},
		{s.client, http.MethodPost, s.url + "/", browser},
		{s.client, http.MethodGet, s.url + "//", browser},
		{s.client, http.MethodGet, s.url + "/console/../console/icon.svg", browser},
		{players, http.MethodGet, "https://" + s.players + "/", browser},
		{players, http.MethodGet, "https://" + s.players + "/console/icon.svg", browser},
	} {
		if res, body := s.fetch(c.client, c.method, c.url, c.accept); res.StatusCode < 400 ||
			strings.Contains(res.Header.Get("Content-Type"), "html") {
			t.Errorf("%s %s, %s: %s: %s", c.method, c.url, c.accept, res.Status, body)
		}
	}
}
