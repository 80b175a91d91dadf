// Package server is the HTTP side of Weir. It has all routes on one page (routes.go), verifies
// signatures, maps errors to AWS's wire form, manages PutMedia's full-duplex connections, and
// serves the session actions of playback, metrics and health. It stops gracefully. Packages ingest
// and playback decide what happens to media.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/access"
	"weir/internal/administration"
	"weir/internal/api"
	"weir/internal/audit"
	"weir/internal/auth"
	"weir/internal/cameras"
	"weir/internal/clip"
	"weir/internal/connections"
	"weir/internal/console"
	"weir/internal/fragments"
	"weir/internal/images"
	"weir/internal/ingest"
	"weir/internal/live"
	"weir/internal/playback"
	"weir/internal/quota"
	"weir/internal/relay"
	"weir/internal/status"
	"weir/internal/still"
	"weir/internal/store"
	"weir/internal/sts"
	"weir/internal/throttle"
)

// Timeouts and sizes of connections. A request as a whole has no deadline of its own; each phase
// has one.
const (
	readHeaderTimeout = 10 * time.Second
	keepAliveTimeout  = 2 * time.Minute  // an idle connection
	bodyTimeout       = 10 * time.Second // for the JSON body of a call, or an unexpected body
	answerTimeout     = time.Minute      // for an answer; media answers get more, by their size
	slowestClient     = 16 << 10         // bytes per second; a slower media answer is given up
	readyTimeout      = 2 * time.Second  // for the store to answer /readyz
)

// What a graceful stop waits for.
const (
	StopTimeout         = 10 * time.Second // for answers
	defaultDrainTimeout = 4 * time.Second  // for the current fragments to come to their ends
	lastAcks            = time.Second      // for their acknowledgements to leave after that
)

// ErrHandover is the cause of the end of Serve's context when another process takes over its
// listeners.
var ErrHandover = errors.New("another process takes over")

// Store is what the server and ingest use of the store.
type Store interface {
	store.Streams
	store.Sessions
	ingest.Store
	status.Store
	// Full reports whether fragments are refused for want of space.
	Full() bool
	// Room returns store.ErrFull when so many bytes would use space that is to be kept free.
	Room(ctx context.Context, bytes int64) error
	// Ready returns why fragments cannot be stored safely, or found; ErrLost when their files are
	// gone.
	Ready(ctx context.Context) error
}

// Options of a Server. Store, Playback, Fragments, Clips, Access, Region and Account are required.
type Options struct {
	Store     Store
	Playback  *playback.Service
	Fragments *fragments.Service
	Clips     *clip.Service
	Access    *access.Registry // who may do what
	Region    string           // of signatures and ARNs
	Account   string           // twelve digits, of ARNs

	Audit       *audit.Log               // nil: none is kept
	TokenKeys   administration.TokenKeys // of the sessions of Playback, for RotateTokenKey
	Notifier    Notifier                 // nil: there are no notifications
	Images      *images.Service          // nil: none can be made
	ImageFolder *still.Folder            // nil: no images are generated

	// AdvertiseURL is the beginning of session URLs and of the answers of GetDataEndpoint; empty:
	// the scheme and Host of the request.
	AdvertiseURL string
	// PlaybackURL is the beginning of the URLs of sessions and links; empty: like AdvertiseURL,
	// with the port of Listeners.Playback if there is one.
	PlaybackURL string
	// Cameras gives cameras certificates, and credentials at Listeners.Cameras; nil: one that mints
	// none. CameraURL is the beginning of URLs for cameras; empty: the address that the camera
	// used.
	Cameras   *cameras.Service
	CameraURL string
	// STS gives temporary credentials; nil: nobody does, and its path is unknown.
	STS *sts.Service
	// Relay tells other nodes what this one receives; nil: there are none.
	Relay   *relay.Relay
	Page    http.Handler    // of GET /player; the player page when nil
	Console http.Handler    // of GET / for browsers; the console when nil
	Status  *status.Sampler // what GetServerStatus reports; nil: it is not served
	Ingest  Ingest          // of PutMedia connections

	// TrustedProxies are believed about the callers behind them (X-Forwarded-For and
	// X-Forwarded-Proto).
	TrustedProxies []netip.Prefix
	// CloseLostSessions closes sessions whose openers may no longer open them.
	CloseLostSessions bool

	Clock        func() time.Time      // time.Now when nil
	Logger       *slog.Logger          // discards when nil
	Registerer   prometheus.Registerer // a registry of its own when nil
	Metrics      http.Handler          // serves GET /metrics; nil: there is no such path
	Limits       quota.Limits          // none when zero
	Connections  connections.Limits    // none when zero
	DrainTimeout time.Duration         // defaultDrainTimeout when 0
	Notice       time.Duration         // how long /readyz says no before a stop begins
	bodyTime     time.Duration         // of tests; bodyTimeout when 0
	answerTime   time.Duration         // of tests; answerTimeout when 0
}

// Ingest is what PutMedia connections share; the zero value has the defaults of package ingest.
type Ingest struct {
	Limits  ingest.Limits
	Memory  *ingest.Memory  // nil: one with ingest.DefaultMemory
	Resends *ingest.Resends // nil: one of its own
	Numbers *ingest.Numbers // what fragments.Options.Pending asks; nil: none
	Edge    *live.Edge      // which connections tell about frames; nil: none
	Metrics *ingest.Metrics // nil: none
}

// Server answers all of Weir's HTTP. It is an http.Handler, safe for concurrent use.
type Server struct {
	store      Store
	playback   *playback.Service
	fragments  *fragments.Service
	clips      *clip.Service
	images     *images.Service
	proxies    []netip.Prefix
	closesLost bool // sessions whose openers may no longer open them
	verifier   *auth.Verifier[*access.Principal]
	// stsVerifier is verifier for the STS API, whose signatures have another scope.
	stsVerifier *auth.Verifier[*access.Principal]
	sts         *sts.Service
	relay       *relay.Relay
	access      *access.Registry
	region      string
	account     string
	advertise   string // without trailing slash

	playbackBase  string // without trailing slash
	playersScheme string // of the listener for players
	playersPort   string // of it; "": there is none
	page          http.Handler
	console       http.Handler
	sampler       *status.Sampler
	codes         status.Codes
	camerasBase   string // without trailing slash
	camerasPort   string // of the listener for cameras; "": there is none
	mainScheme    string // of the main listener
	mainPort      string

	audit     *audit.Log
	tokenKeys administration.TokenKeys
	ingest    Ingest
	notifier  Notifier
	events    chan ingest.Event // fragments that are stored
	folder    *still.Folder
	generate  chan imageTask // fragments of which images are wanted

	clock        func() time.Time
	log          *slog.Logger
	metrics      *metrics
	media        *mediaMetrics
	connections  *connections.Limiter
	quotas       *quota.Meter
	storage      *quota.Storage
	penalties    *throttle.Penalties[penaltyKey]
	notes        *throttle.Notes[noteKind]
	noteRates    *throttle.Buckets[string] // by caller
	auditRates   *throttle.Buckets[string] // by caller, and for changes by what is changed
	main         *port
	players      *port
	cameras      *port
	certified    *cameras.Service
	drainTimeout time.Duration
	notice       time.Duration
	leaving      atomic.Bool // the notice runs

	// wait delays an answer; tests replace it.
	wait func(ctx context.Context, d time.Duration)

	bodyTime   time.Duration  // for a body that is not media
	answerTime time.Duration  // for an answer that is not media
	stopping   chan struct{}  // closed when a graceful stop begins
	drained    chan struct{}  // closed when the current fragments have had their time to end
	producers  sync.WaitGroup // PutMedia connections; entered under mu, by enter

	mu      sync.Mutex
	stopped bool // stopping is closed; guarded by mu

	serving *servers // of Serve
}

// New returns a server. An advertised URL that clients could not use is an error.
func New(o Options) (*Server, error) {
	if err := errors.Join(CheckAdvertiseURL(o.AdvertiseURL),
		CheckPlaybackURL(o.PlaybackURL), CheckCameraURL(o.CameraURL)); err != nil {
		return nil, err
	}
	advertise := strings.TrimRight(o.AdvertiseURL, "/")
	s := &Server{
		store: o.Store, playback: o.Playback, fragments: o.Fragments, clips: o.Clips,
		images: o.Images, proxies: o.TrustedProxies, closesLost: o.CloseLostSessions,
		region: o.Region, account: o.Account, advertise: advertise,
		playbackBase: strings.TrimRight(o.PlaybackURL, "/"),
		camerasBase:  strings.TrimRight(o.CameraURL, "/"), audit: o.Audit,
		tokenKeys: o.TokenKeys, page: cmp.Or(o.Page, console.Player()),
		console: cmp.Or(o.Console, console.App(o.Region, o.Account)), sampler: o.Status,
		certified: o.Cameras, relay: o.Relay,
		notifier: o.Notifier, events: make(chan ingest.Event, maxEvents),
		folder: o.ImageFolder, generate: make(chan imageTask, maxImageTasks),
		ingest: o.Ingest, clock: o.Clock, log: o.Logger,
		drainTimeout: cmp.Or(o.DrainTimeout, defaultDrainTimeout),
		notice:       o.Notice,
		stopping:     make(chan struct{}), drained: make(chan struct{}),
	}
	if s.certified == nil {
		s.certified = cameras.New(cameras.Options{Access: o.Access})
	}
	if s.images == nil {
		s.images = images.New(images.Options{})
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	reg := o.Registerer
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	if s.ingest.Memory == nil {
		s.ingest.Memory = ingest.NewMemory(ingest.DefaultMemory)
	}
	if s.ingest.Resends == nil {
		s.ingest.Resends = ingest.NewResends(s.clock)
	}
	var err error
	if s.metrics, err = newMetrics(reg); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if s.folder != nil {
		err = reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_generated_images_bytes",
			Help: "Space that images of tagged fragments take, unless somebody deleted some.",
		}, func() float64 { return float64(s.folder.Bytes()) }))
		if err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	if s.media, err = newMediaMetrics(reg); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s.access = o.Access
	s.verifier = &auth.Verifier[*access.Principal]{
		Keys: o.Access, Region: o.Region, Service: auth.Service, Clock: s.clock,
		Hosts: append(advertisedHosts(advertise), advertisedHosts(s.camerasBase)...),
		// Otherwise a signature for one stream would be valid for all.
		MustSign: []string{api.HeaderStreamName, api.HeaderStreamARN},
	}
	ofSTS := *s.verifier
	ofSTS.Service, ofSTS.MustSign = "sts", nil
	s.stsVerifier, s.sts = &ofSTS, o.STS
	s.penalties = throttle.NewPenalties[penaltyKey](s.clock)
	s.notes = throttle.NewNotes[noteKind](s.clock)
	s.noteRates, s.auditRates = throttle.New[string](), throttle.New[string]()
	if s.connections, err = connections.New(o.Connections, portNames, reg, s.warn); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	o.Limits.MaxConnections = o.Connections.Total
	s.quotas = quota.NewMeter(o.Limits, s.clock)
	if err := s.newStorage(o.Limits); err != nil {
		return nil, err
	}
	s.wait, s.bodyTime = s.hold, cmp.Or(o.bodyTime, bodyTimeout)
	s.answerTime = cmp.Or(o.answerTime, answerTimeout)
	all := s.newRoutes(o.Metrics)
	s.main = newPort(portMain, all, s.metrics.ports)
	s.players = newPort(portPlayers, all.forPlayers(), s.metrics.ports)
	ofCameras := all.forCameras(s.auditCredentials(s.certified))
	s.cameras = newPort(portCameras, ofCameras, s.metrics.ports)
	return s, nil
}

// Serve answers requests on the listeners until ctx ends. Then it stops gracefully. For
// Options.Notice, /readyz says that the server is not ready while everything is still served, so
// that a load balancer looks elsewhere. After that, no connection is accepted, PutMedia connections
// end with their current fragment, and other requests are answered. It cuts off fragments that take
// longer than the drain timeout, and answers that take longer than the stop timeout. On return the
// listeners are closed. Serve is called once.
//
// If the cause of ctx's end is ErrHandover, Serve returns at most a second after the drain timeout.
// Nothing is being stored by then, and the store may be closed. Answers that are still being sent
// have what they need; Finish waits for them.
func (s *Server) Serve(ctx context.Context, on Listeners) error {
	all := s.newServers(on)
	s.serving = all
	defer inBackground(s.handleEvents)()
	defer inBackground(s.generateImages)()
	defer inBackground(s.relay.Run)()
	if s.closesLost {
		defer inBackground(s.closeLostSessions)()
	}
	done := make(chan error, 1)
	go func() { done <- all.serve() }()
	select {
	case err := <-done:
		all.close()
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	handover := errors.Is(context.Cause(ctx), ErrHandover)
	if !handover && s.notice > 0 {
		s.leaving.Store(true)
		s.wait(context.WithoutCancel(ctx), s.notice)
	}
	s.beginStop()
	drained := time.AfterFunc(s.drainTimeout, func() { close(s.drained) })
	defer drained.Stop()
	limit := StopTimeout
	if handover {
		limit = s.drainTimeout + lastAcks
	}
	// ctx has ended, but the stop needs more time.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := all.stop(grace); err != nil && !handover {
		s.log.Warn("requests were still in flight at the stop and are cut off",
			"after", StopTimeout)
		all.close()
	}
	<-done
	// The store is closed next, so nobody may be storing then. The producers, whose connections are
	// cut, end soon.
	s.producers.Wait()
	if err := s.playback.Stopped(grace); err != nil {
		s.log.Warn("what sessions have listed may not be written at the stop", "error", err)
	}
	return nil
}

// Finish waits up to the stop timeout for the answers that Serve has left unfinished, and then cuts
// them off.
func (s *Server) Finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, StopTimeout)
	defer cancel()
	if err := s.serving.stop(ctx); err != nil {
		s.log.Warn("answers were still being sent after the handover and are cut off",
			"after", StopTimeout)
		s.serving.close()
	}
}

// enter registers a PutMedia connection, unless the server stops.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.producers.Add(1)
	return true
}

func (s *Server) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// beginStop tells everything that lasts that the process is about to end.
func (s *Server) beginStop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stopping)
		s.playback.Stop()
		s.relay.Stop()
	}
}

// hold waits, unless the client leaves or the server stops.
func (s *Server) hold(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.stopping:
	}
}
