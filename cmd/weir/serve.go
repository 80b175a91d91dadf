package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/internal/access"
	"weir/internal/audit"
	"weir/internal/auth"
	"weir/internal/cameras"
	"weir/internal/certs"
	"weir/internal/clip"
	"weir/internal/console"
	"weir/internal/fragments"
	"weir/internal/handover"
	"weir/internal/node"
	"weir/internal/playback"
	"weir/internal/server"
	"weir/internal/status"
	"weir/internal/sts"
)

const defaultRegion = "us-west-2"

// maxSyncInterval is far less than the two minutes after which producers' buffers overflow.
const maxSyncInterval = 10 * time.Second

// serveCmd runs the server. Each flag also has an environment variable, which its help names.
type serveCmd struct {
	Listen          string `default:"127.0.0.1:8480" group:"Addresses" env:"WEIR_LISTEN" placeholder:"ADDR" help:"Address to listen on; port 0 takes a free one."`
	Data            string `default:"./weir-data" group:"Storage" env:"WEIR_DATA" type:"path" placeholder:"DIR" help:"Data directory, made at the first start."`
	AdvertiseURL    string `name:"advertise-url" group:"Addresses" env:"WEIR_ADVERTISE_URL" placeholder:"URL" help:"URL that clients are told to use, for a server behind a proxy. By default, the address that they came to."`
	Region          string `default:"us-west-2" env:"WEIR_REGION" placeholder:"NAME" help:"AWS region to stand for."`
	AccountID       string `name:"account-id" default:"000000000000" env:"WEIR_ACCOUNT_ID" placeholder:"DIGITS" help:"AWS account to stand for: twelve digits."`
	MetricsListen   string `name:"metrics-listen" group:"Addresses" env:"WEIR_METRICS_LISTEN" placeholder:"ADDR" help:"Serve /metrics on this address instead of the main one, and /debug/pprof/ with it."`
	LogLevel        string `name:"log-level" default:"info" enum:"debug,info,warn,error" env:"WEIR_LOG_LEVEL" placeholder:"LEVEL" help:"What to log: debug, info, warn or error."`
	CodecChanges    string `name:"codec-changes" default:"exclude" enum:"exclude,switch" group:"Playback" env:"WEIR_CODEC_CHANGES" placeholder:"HOW" help:"Fragments of an HLS session whose codec private data is not its first one's: exclude leaves them out, switch shows them after a discontinuity."`
	tlsFlags        `embed:""`
	playbackFlags   `embed:""`
	cameraFlags     `embed:""`
	limitFlags      `embed:"" group:"Limits"`
	lowLatencyFlags `embed:""`
	clipFlags       `embed:""`
	imageFlags      `embed:""`

	notificationFlags `embed:""`

	storeFlags   `embed:""`
	clusterFlags `embed:""`

	encryptionFlags `embed:""`
	SyncInterval    time.Duration `name:"sync-interval" default:"0s" group:"Storage" env:"WEIR_SYNC_INTERVAL" placeholder:"DURATION" help:"For spinning disks: collect fragments for so long, then sync them together. Acknowledgements wait, and a stream stores one fragment in each interval. Use about 250ms; 0s syncs each fragment at once."`

	memoryFlags    `embed:""`
	accessFlags    `embed:""`
	authorizeFlags `embed:""`
	tokenFlags     `embed:""`
	auditFlags     `embed:""`

	Takeover bool `env:"WEIR_TAKEOVER" help:"Take the place of the server that runs over the data directory: get its listening sockets and let it end, so that no connection is refused. If none runs, start as usual."`

	ready func(endpoint string) // called when requests are answered; may be nil
}

// Help is shown by weir serve --help.
func (c *serveCmd) Help() string {
	return `SIGTERM or Ctrl-C stops it once what is in flight is done, or after ten seconds; a second one stops it at once. Incoming
fragments have four seconds to end. A socket that systemd passes (LISTEN_FDS) replaces --listen. Sockets named "playback",
"camera", "redirect" and "metrics" replace --playback-listen, --camera-listen, --redirect-http and --metrics-listen.

Example:

  weir serve --data /var/lib/weir --listen :8480 --advertise-url https://video.example.com`
}

var regionPattern = regexp.MustCompile(`\A[a-z0-9-]+\z`)
var accountPattern = regexp.MustCompile(`\A[0-9]{12}\z`)

// check refuses flags with which no start could succeed.
func (c *serveCmd) check() error {
	switch {
	case !regionPattern.MatchString(c.Region):
		return fmt.Errorf("--region %q is not the name of a region, such as %s", c.Region,
			defaultRegion)
	case !accountPattern.MatchString(c.AccountID):
		return fmt.Errorf("--account-id %q is not twelve digits", c.AccountID)
	case c.SyncInterval < 0 || c.SyncInterval > maxSyncInterval:
		return fmt.Errorf("--sync-interval %s is not within 0s and %s: producers' buffers run "+
			"over before acknowledgements come", c.SyncInterval, maxSyncInterval)
	}
	if err := server.CheckAdvertiseURL(c.AdvertiseURL); err != nil {
		return err
	}
	return errors.Join(c.tlsFlags.check(), c.playbackFlags.check(), c.cameraFlags.check(),
		c.limitFlags.check(), c.lowLatencyFlags.check(), c.memoryFlags.check(),
		c.imageFlags.check(), c.checkCluster(), server.CheckNodeURL(c.NodeURL),
		c.notificationFlags.check(), c.tokenFlags.check(), c.auditFlags.check())
}

// checkKeys refuses files of keys that exist but cannot be used. They are read again, or made, once
// this process has the data directory.
func (c *serveCmd) checkKeys(ctx context.Context) error {
	_, err := auth.LoadKeys(filepath.Join(c.Data, credentialsFile))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		_, err = auth.LoadTokenKeys(filepath.Join(c.Data, tokenKeysFile))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return c.checkKeyFile(ctx, c.Data)
	}
	return err
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std stdio) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	if c.Database == "" { // a node's are the cluster's
		if err := c.checkKeys(ctx); err != nil {
			return err
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	logger := slog.New(slog.NewTextHandler(std.Err, &slog.HandlerOptions{Level: level}))
	certificates, err := c.readCertificates(logger)
	if err != nil {
		return err
	}
	s := &serving{stdio: std, log: logger, certificates: certificates}
	defer func() { s.sockets.Close() }()
	defer s.closeAudit()
	if c.Takeover {
		if s.old, s.sockets, err = c.takeOver(ctx, logger); err != nil {
			return err
		}
	}
	for {
		successor, err := c.serve(ctx, s)
		if err != nil || successor == nil {
			return err
		}
		err = handOver(ctx, successor)
		_ = s.offer.Close(false) // the successor has its own, or this server makes a new one
		if err == nil {
			logger.Info("another process has taken over", "pid", successor.PID)
			s.server.Finish(ctx)
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		logger.Error("the process that was to take over does not serve; this one goes on", "pid",
			successor.PID, "error", err)
	}
}

// serving is what stays while a server gives its directory away and takes it back.
type serving struct {
	stdio
	log          *slog.Logger
	certificates sources
	sockets      handover.Sockets      // nil at first, unless they were taken over
	old          *handover.Predecessor // waits until this server serves; nil: nobody does
	offer        *handover.Offer       // of the last time
	server       *server.Server        // of the last time
	certified    *cameras.Service      // likewise
	temporary    *sts.Service          // likewise
	sampler      *status.Sampler       // likewise
	audit        *audit.Log            // nil before the first time
}

// serve opens the directory and serves until ctx ends, or until another process takes over, which
// it returns.
func (c *serveCmd) serve(
	ctx context.Context, s *serving,
) (successor *handover.Successor, err error) {
	if s.old != nil {
		defer s.old.Close()
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	st, err := c.openStore(ctx, s, registry)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	notifier, err := c.notifier(c.Data, s.log, registry)
	if err != nil {
		return nil, err
	}
	defer notifier.Close()
	who, keys, err := c.openAccess(ctx, st, s.log)
	if err != nil {
		return nil, err
	}
	tokens, err := c.openTokenKeys(st, s.log)
	if err != nil {
		return nil, err
	}
	s.sampler = status.NewSampler(version, registry, time.Now())
	srv, err := c.newServer(s, st, who, tokens, notifier, registry)
	if err != nil {
		return nil, err
	}
	s.server = srv

	on, err := c.listeners(ctx, s)
	if err != nil {
		return nil, err
	}
	defer on.Close() // again after Serve, for the returns before it
	if socket := s.sockets[handover.Metrics]; socket != nil {
		stop, err := server.ServeMetrics(socket, registry, s.log)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	if on.Playback != nil {
		s.log.Info("players", "url", c.playbackAddress(on))
	}
	target := clientConfig{endpoint: c.endpoint(on.Main.Addr()), region: c.Region,
		ca: s.certificates.caFile()}
	if err := s.announce(c.Data, target); err != nil {
		return nil, err
	}
	defer func() {
		if st.Intact() == nil { // else it is another one's
			err = errors.Join(err, removeClientConfig(c.Data))
		}
	}()
	if s.offer, err = handover.NewOffer(c.Data, s.sockets, s.log); err != nil {
		s.log.Warn("no other process can take over from this one", "error", err) // the disk is full
	}

	defer inBackground(ctx, st.Run, who.Run, s.sampler.Run, c.keepTokenKeys(tokens, s.log),
		s.orderCertificates)()
	c.greet(s.Out, target, keys.Created(), c.playbackAddress(on))
	if c.ready != nil {
		c.ready(target.endpoint)
	}
	notify(s.log, daemon.SdNotifyReady)
	if s.old != nil {
		s.old.Serving()
		s.old = nil
	}
	successor, err = s.until(ctx, srv, on)
	if successor == nil {
		err = errors.Join(err, s.offer.Close(st.Intact() == nil))
	}
	return successor, err
}

// announce writes where other commands find the server.
func (s *serving) announce(data string, target clientConfig) error {
	err := writeClientConfig(data, target)
	if errors.Is(err, syscall.ENOSPC) {
		s.log.Warn("no room to write the address of the server: other commands need --endpoint-url",
			"error", err)
		return nil
	}
	return err
}

// inBackground runs what the parts do by themselves, until the returned function is called. The
// only error of each is its context's.
func inBackground(ctx context.Context, run ...func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, part := range run {
		all.Go(func() { _ = part(ctx) })
	}
	return func() { cancel(); all.Wait() }
}

// until serves until ctx ends, or until another process takes over, which it returns.
func (s *serving) until(ctx context.Context, srv *server.Server,
	on server.Listeners) (*handover.Successor, error) {
	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var successor *handover.Successor
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case successor = <-s.offer.Asked():
			s.log.Info("another process takes over", "pid", successor.PID)
			stop(server.ErrHandover)
		case <-serving.Done():
			notify(s.log, daemon.SdNotifyStopping)
		}
	}()
	err := srv.Serve(serving, on)
	stop(nil)
	<-watched
	return successor, err
}

// newServer connects everything above the store.
func (c *serveCmd) newServer(s *serving, st engine, who *access.Registry,
	tokens *auth.TokenKeys, notifier server.Notifier, registry *prometheus.Registry,
) (*server.Server, error) {
	s.certified = c.giveCredentials(s, who)
	if err := c.openAudit(s, c.Data, registry); err != nil {
		return nil, err
	}
	logger := s.log
	warnExposed(logger, c.TLSKey, c.PlaybackTLSKey)
	producers, err := c.ingest(registry)
	if err != nil {
		return nil, err
	}
	others, err := node.Relay(st, producers.Edge, producers.Numbers, logger, registry)
	if err != nil {
		return nil, err
	}
	players := playback.Options{Store: st, Tokens: tokens,
		SwitchCodecs: c.CodecChanges == "switch", Logger: logger}
	if err := c.lowLatencyFlags.configure(&players, producers.Edge, registry); err != nil {
		return nil, err
	}
	players.Limits, players.BindSessions = c.limitFlags.playback(), c.BindSessions
	clips, err := clip.New(clip.Options{Store: st, Tokens: tokens,
		Limits: c.limitFlags.clips(),
		Dir:    filepath.Join(c.Data, clipsDirectory), CacheBytes: int64(c.ClipCache),
		Logger: logger})
	if err != nil {
		return nil, err
	}
	pictures, err := c.images(c.Data, st, logger, registry)
	if err != nil {
		return nil, err
	}
	folder, err := c.folder(c.Data)
	if err != nil {
		return nil, err
	}
	options := server.Options{
		Store:        st,
		Clips:        clips,
		Notifier:     notifier,
		Audit:        s.audit,
		TokenKeys:    tokens,
		ImageFolder:  folder,
		Playback:     playback.New(players),
		Fragments:    fragments.New(c.mediaOptions(st, producers)),
		Images:       pictures,
		Access:       who,
		Region:       c.Region,
		Account:      c.AccountID,
		AdvertiseURL: c.AdvertiseURL,
		PlaybackURL:  c.PlaybackURL,
		Cameras:      s.certified,
		STS:          s.temporary,
		Relay:        others,
		CameraURL:    c.CameraURL,
		Page:         certs.HSTS(c.HSTS, console.Player()),
		Console:      certs.HSTS(c.HSTS, console.App(c.Region, c.AccountID)),
		Status:       s.sampler,
		Ingest:       producers,
		Limits:       c.Limits,
		Connections:  c.limitFlags.connections(logger),
		Notice:       c.Notice,
		Logger:       logger,
		Registerer:   registry,
	}
	c.authorizeFlags.configure(&options)
	if c.MetricsListen == "" {
		options.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	}
	return server.New(options)
}

func listen(ctx context.Context, flag, address string) (*os.File, error) {
	socket, err := handover.Listen(ctx, address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, withHint(fmt.Errorf("%s: %w", flag, err),
			"another program listens there; %s 127.0.0.1:0 takes a free port", flag)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return socket, nil
}

// endpoint returns where a client on this machine finds the server.
func (c *serveCmd) endpoint(address net.Addr) string {
	if c.AdvertiseURL != "" {
		return strings.TrimRight(c.AdvertiseURL, "/")
	}
	if tcp, ok := address.(*net.TCPAddr); ok && len(c.ACME) > 0 {
		return fmt.Sprintf("https://%s:%d", c.ACME[0], tcp.Port)
	}
	return origin(address, c.secure())
}

// origin returns scheme, host and port for an address of this machine.
func origin(address net.Addr, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host := address.String()
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		host = fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return scheme + "://" + host
}

// greet prints what to do next.
func (c *serveCmd) greet(w io.Writer, target clientConfig, first bool, playback string) {
	fmt.Fprintf(w, "weir %s serves %s, region %s, data in %s\n", version, target.endpoint,
		target.region, c.Data)
	if first {
		fmt.Fprintf(w, "A new key pair is in %s.\n", filepath.Join(c.Data, credentialsFile))
	}
	if target.ca != "" {
		fmt.Fprintf(w, "Clients need %s to trust it.\n", target.ca)
	}
	fmt.Fprintf(w, `
Next, in another shell:

  eval "$(weir env --data %[1]s)"
  aws kinesisvideo create-stream --stream-name cam1 --data-retention-in-hours 24
  weir put-media --stream-name cam1 video.mkv
  aws kinesis-video-archived-media get-hls-streaming-session-url --stream-name cam1

`, quote(c.Data))
	if console.HasPlayer() {
		fmt.Fprintf(w, "The player is at %s/player\n", cmp.Or(playback, target.endpoint))
	}
}
