package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"weir/internal/handover"
	"weir/internal/store/local"
)

// lockTime is for how long a server that is ending may keep the data directory locked.
const lockTime = 10 * time.Second

// takeOver gets the sockets of the server that has the data directory, asks it to end, and waits
// until it has. If any of that fails, the old server goes on as if nothing had happened. Without a
// server it returns nil.
func (c *serveCmd) takeOver(
	ctx context.Context, logger *slog.Logger,
) (*handover.Predecessor, handover.Sockets, error) {
	old, err := handover.Take(ctx, c.Data)
	if errors.Is(err, handover.ErrNobody) {
		logger.Info("no server to take over from")
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, withHint(err, "the server over %s was not touched", c.Data)
	}
	defer old.Sockets.Close()
	// What can fail does so before the other server stops.
	sockets, err := c.sockets(ctx, old.Sockets, logger)
	if err == nil && c.Database == "" {
		err = local.CheckSchema(ctx, c.Data)
	}
	if err == nil {
		logger.Info("taking over", "pid", old.PID)
		err = old.Stop(ctx)
	}
	if err != nil {
		old.Close()
		sockets.Close()
		return nil, nil, err
	}
	return old, sockets, nil
}

// sockets returns those that the flags ask for: what systemd has passed, else what another server
// has on the same address, else new ones.
func (c *serveCmd) sockets(ctx context.Context, others handover.Sockets,
	logger *slog.Logger) (handover.Sockets, error) {
	sockets, err := handover.Activated()
	if err != nil {
		return nil, withHint(err,
			"one socket is to listen for everything; one called %s may for players, one called %s "+
				"for cameras, one called %s for /metrics, one called %s for http",
			handover.Playback, handover.Camera, handover.Metrics, handover.Redirect)
	}
	for name, flag := range map[string]*string{handover.Metrics: &c.MetricsListen,
		handover.Playback: &c.PlaybackListen, handover.Camera: &c.CameraListen,
		handover.Redirect: &c.RedirectHTTP} {
		if passed := sockets[name]; passed != nil {
			address, err := handover.Address(passed)
			if err != nil {
				return nil, err
			}
			*flag = address.String()
		}
	}
	for _, want := range []struct{ name, flag, address string }{
		{handover.Main, "--listen", c.Listen},
		{handover.Playback, "--playback-listen", c.PlaybackListen},
		{handover.Camera, "--camera-listen", c.CameraListen},
		{handover.Redirect, "--redirect-http", c.RedirectHTTP},
		{handover.Metrics, "--metrics-listen", c.MetricsListen},
	} {
		other := others[want.name]
		switch {
		case sockets[want.name] != nil:
			continue
		case want.address == "":
		case other != nil && handover.Serves(other, want.address):
			sockets[want.name] = other
			delete(others, want.name)
			continue
		default:
			socket, err := listen(ctx, want.flag, want.address)
			if err != nil {
				sockets.Close()
				return nil, err
			}
			sockets[want.name] = socket
		}
		if other != nil {
			address, _ := handover.Address(other) // a nil value in a log line is harmless
			logger.Warn("nobody will listen on this address any more", "socket", want.name,
				"address", address)
		}
	}
	return sockets, nil
}

// handOver lets the successor begin and waits until it serves. An error means that it does not.
func handOver(ctx context.Context, successor *handover.Successor) error {
	defer successor.Close()
	defer context.AfterFunc(ctx, successor.Close)()
	if err := successor.Release(); err != nil {
		return err
	}
	return successor.Serves()
}

// notify tells systemd something, if it has started the server with Type=notify.
func notify(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("cannot notify the service manager", "state", state, "error", err)
	}
}
