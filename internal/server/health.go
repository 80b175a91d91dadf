package server

import (
	"context"
	"errors"
	"io"
	"net/http"

	"weir/internal/store"
)

// healthy answers as long as the process can.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// textDiskFull is what /readyz says of a full disk, with 200: whoever sends no more requests to a
// server that is not ready would keep viewers from what is there, and everybody from deleting it.
const textDiskFull = "degraded, read-only: the disk is full; playback and deleting work, " +
	"fragments are refused\n"

// degraded is a store that works but needs its operator: Degraded says in a sentence what for, or
// "".
type degraded interface{ Degraded() string }

// ready answers 200 when requests can be served: the store answers and no stop has begun.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if s.leaving.Load() || s.isStopping() {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "stopping\n")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	err := s.store.Ready(ctx)
	if errors.Is(err, store.ErrLost) { // it is in the log already
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "the data directory was deleted or replaced\n")
		return
	}
	if err == nil {
		_, err = s.store.ListStreams(ctx, "", "", 1)
	}
	if err != nil {
		s.log.Error("not ready", logError, err)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "the store does not answer\n")
		return
	}
	text := "ready\n"
	if d, ok := s.store.(degraded); ok && d.Degraded() != "" {
		text = "degraded: " + d.Degraded() + "\n"
	}
	if s.store.Full() {
		text = textDiskFull
	}
	_, _ = io.WriteString(w, text)
}
