# Weir: `make demo` shows it, `make test` proves it, `make bench` measures it. README.md says more.

SHELL     := /bin/bash
GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
PLAYER    := internal/console/dist/hls.min.js
WEB       := internal/console/web
CONSOLE   := internal/console/dist/console/index.html.gz
FUZZTIME  ?= 30s
PLAYERS   := gst-launch-1.0:gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
             gstreamer1.0-libav cvlc:vlc-bin vlc-plugin-base
E2E_TOOLS := ffmpeg:ffmpeg chromium:chromium aws:awscli python3-botocore python3-boto3 zsh:zsh fish:fish groff:groff-base openssl:openssl \
             mkvmerge:mkvtoolnix nginx:nginx-light libnginx-mod-stream haproxy:haproxy pebble:pebble postgresql $(PLAYERS)
BENCH_TOOLS := nginx:nginx-light

# The S3 server of the cluster's tests, kept where the tests look for it. Without optimization it compiles in half the time.
S3SERVER  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/weir/s3server

# The binary and the end-to-end tests are built in one way, what the race detector watches in another, so that the compiler sees each
# package twice at most. vet and staticcheck look at the second: they need the compiled tests, too, and most of them run there.
# `make check` vets everything: the tests need not do so again.
PLAIN     := CGO_ENABLED=0 GOFLAGS="$$($(GO) env GOFLAGS) -trimpath"

# The race detector watches everything but SQLite's C, which was translated to Go: it only makes that three times slower. Without
# inlining, what is not ours compiles in two thirds of the time; without what a debugger needs, all compiles in nine tenths. Without
# the path of the tree, it serves the next clone, too.
RACE      := -race -trimpath -gcflags=all=-dwarf=false '-gcflags=github.com/...=-dwarf=false -l' \
             '-gcflags=modernc.org/sqlite/lib=-dwarf=false -race=false' '-gcflags=modernc.org/libc/...=-dwarf=false -race=false'

# These packages start no goroutine, and MODELS go through long histories in one: no races to find, and without the detector they take a
# sixth of the time. TestPurePackagesStartNoGoroutine holds the list to the code.
PURE      := awscli fmp4 manifest media mkv mpegts policy recut sessionurl timeline
MODELS    := ^Test((Live|Replay|Switching)Timeline|LostCommits(OfAReplay)?|ReplayOfVeryMany)$$

.PHONY: all build deb demo test compiled check e2e bench scale soak glass follow fuzz crash cluster-crash cluster-year upgrade attack deps programs bench-deps clean

all: build

build: $(PLAYER) $(CONSOLE)
	$(PLAIN) $(GO) build -ldflags "-X main.version=$(VERSION)" -o bin/weir ./cmd/weir

# The console, and the player of the local page: from npm, pinned by package-lock.json, embedded into the binary, never committed.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-fund --no-audit
	touch $@

$(PLAYER): node_modules/.package-lock.json
	cp node_modules/hls.js/dist/hls.min.js $@

$(CONSOLE): node_modules/.package-lock.json $(shell find $(WEB) -type f)
	node $(WEB)/build.mjs $(@D)

# bin/weir_VERSION_ARCHITECTURE.deb
deb: build
	packaging/debian/build bin/weir "$(VERSION)" bin

demo: build
	bin/weir demo

# Everything, on a machine that has Go, npm, apt and root. The network is waited for while Go compiles. The end-to-end tests do not run
# beside the others: players in browsers that get no processor lose pictures.
test:
	$(MAKE) -j3 deps compiled
	$(MAKE) check
	$(MAKE) e2e

# One compilation after the other: two at a time would both compile what they share.
compiled: $(S3SERVER) node_modules/.package-lock.json
	$(MAKE) build

check: build $(S3SERVER)
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt'; exit 1; }
	node_modules/.bin/tsc -p $(WEB)
	node_modules/.bin/oxlint --quiet -c $(WEB)/.oxlintrc.json $(WEB)
	node $(WEB)/test.mjs
	$(GO) vet $(RACE) ./...
	GOFLAGS="$(RACE)" $$($(PLAIN) $(GO) tool -n staticcheck) ./...
	$(PLAIN) $(GO) test -vet=off . $(addprefix ./internal/,$(PURE)) ./test/bench
	$(PLAIN) $(GO) test -vet=off -run '$(MODELS)' ./internal/playback
	@# store/local takes longest, so it begins first
	WEIR_CLUSTER_REQUIRE_TOOLS=1 $(GO) test $(RACE) -vet=off -timeout 20m -skip '$(MODELS)' \
	  $$($(GO) list ./internal/store/local ./cmd/... ./internal/... | grep -vxF $(addprefix -e weir/internal/,$(PURE)))

# Real clients against the built binary; a missing tool is a failure here, a named skip in a plain `go test ./...`.
e2e: build $(S3SERVER)
	$(PLAIN) WEIR_E2E_REQUIRE_TOOLS=1 WEIR_E2E_BINARY=$(CURDIR)/bin/weir $(GO) test -vet=off -count=1 -timeout 20m ./test/e2e/...

# A table of every figure, with its limit beside it where it has one.
bench: build bench-deps
	{ $(GO) test -run '^$$' -bench . -benchtime $(or $(BENCHTIME),2s) ./internal/...; \
	  WEIR_E2E_BINARY=$(CURDIR)/bin/weir $(GO) test -run '^$$' -bench . -benchtime 7x -timeout 20m ./test/e2e; } | $(GO) run ./test/bench

# Ten million fragments over 1,000 streams, some minutes and 3 GB in SCALE_DIR (default: the temporary directory); docs/scale.md.
# SCALE_SIZE=1,1000000,1000 makes one stream of a million, and lists it a thousand times.
scale: build
	WEIR_SCALE=1 WEIR_SCALE_DIR=$(SCALE_DIR) WEIR_SCALE_SIZE=$(SCALE_SIZE) $(GO) test -count=1 -timeout 30m -run '^TestScale$$' -v ./internal/store/local
	WEIR_SCALE=1 $(GO) test -count=1 -run '^TestManyProducers$$' -v ./internal/server
	WEIR_SCALE=1 WEIR_E2E_BINARY=$(CURDIR)/bin/weir $(GO) test -count=1 -timeout 30m -run '^Test(ManyViewers|LiveStreams)$$' -v ./test/e2e

# A server under producers and viewers for SOAK: memory, open files and goroutines reach a plateau; docs/operations.md.
soak: build
	WEIR_SOAK=$(or $(SOAK),10m) WEIR_E2E_BINARY=$(CURDIR)/bin/weir $(GO) test -count=1 -timeout 0 -run '^TestSoak$$' -v ./test/e2e

# From a frame's sending to its painting in players of Chromium, each watched for GLASS; docs/latency.md.
glass: build
	WEIR_GLASS=$(or $(GLASS),10m) WEIR_E2E_BINARY=$(CURDIR)/bin/weir $(GO) test -count=1 -timeout 0 -run '^Test(GlassToGlass|PartLatency)$$' -v ./test/e2e

# A consumer of GetMedia that follows a stream for FOLLOW while the server restarts twice; docs/operations.md.
follow: build
	WEIR_FOLLOW=$(or $(FOLLOW),10m) WEIR_E2E_BINARY=$(CURDIR)/bin/weir $(GO) test -count=1 -timeout 0 -run '^TestGetMediaForLong$$' -v ./test/e2e

# One target after another: FuzzX of every package, FUZZTIME each.
fuzz:
	@set -e; for pkg in $$($(GO) list ./internal/...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

# The kill -9 loop of the end-to-end tests, for longer: CRASH_ROUNDS rounds.
crash: build
	WEIR_E2E_BINARY=$(CURDIR)/bin/weir WEIR_CRASH_ROUNDS=$(or $(CRASH_ROUNDS),100) $(GO) test -count=1 -timeout 60m -run TestKillNine -v ./test/e2e/...

# The kill -9 loops of the nodes of a cluster, for longer: CRASH_ROUNDS rounds; docs/cluster.md.
cluster-crash: build $(S3SERVER)
	WEIR_CLUSTER_REQUIRE_TOOLS=1 WEIR_CLUSTER_ROUNDS=$(or $(CRASH_ROUNDS),200) $(GO) test -count=1 -timeout 60m -run '^TestKilled$$' -v \
	  ./internal/store/cluster
	WEIR_E2E_REQUIRE_TOOLS=1 WEIR_E2E_BINARY=$(CURDIR)/bin/weir WEIR_CLUSTER_ROUNDS=$(or $(CRASH_ROUNDS),200) $(GO) test -count=1 \
	  -timeout 60m -run '^TestClusterKillNine$$' -v ./test/e2e

# Nodes of an older weir, FROM (a path), are replaced one after the other while everything goes on; docs/cluster.md.
upgrade: build $(S3SERVER)
	WEIR_E2E_REQUIRE_TOOLS=1 WEIR_E2E_BINARY=$(CURDIR)/bin/weir WEIR_UPGRADE_FROM=$(abspath $(FROM)) $(GO) test -count=1 -v \
	  -run '^TestRollingUpgrade$$' ./test/e2e

# YEAR simulated days of a cluster's compaction, retention and sweeps, 365 by default, some minutes; docs/cluster.md.
cluster-year: $(S3SERVER)
	WEIR_CLUSTER_REQUIRE_TOOLS=1 WEIR_CLUSTER_YEAR=$(or $(YEAR),365)d $(GO) test -count=1 -timeout 60m -run '^TestYear$$' -v ./internal/store/cluster

# Strangers by the thousand who hold back the end of what they send, and producers of more than the memory for fragments: memory
# of the server, and what a viewer beside the strangers sees.
attack: build
	WEIR_ATTACK=1 WEIR_E2E_BINARY=$(CURDIR)/bin/weir $(GO) test -count=1 -run '^Test(Strangers|LargeFragments)$$' -v ./test/e2e

deps: programs $(S3SERVER)

programs:
	@$(call install,$(E2E_TOOLS))

$(S3SERVER): $(wildcard test/s3server/*)
	mkdir -p $(@D)
	$(PLAIN) $(GO) build -C test/s3server -ldflags=-s -gcflags='github.com/...=-N -l' -o $@.new .
	mv $@.new $@

bench-deps:
	@$(call install,$(BENCH_TOOLS))

clean:
	rm -rf bin node_modules internal/console/dist/*

# install takes command:package pairs and names of packages without a command, and installs the packages that are missing.
define install
missing=""; for pair in $(1); do command -v "$${pair%%:*}" >/dev/null || [ -x "/usr/sbin/$${pair%%:*}" ] || \
  dpkg -s "$${pair%%:*}" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$$missing $${pair##*:}"; done; \
if [ -n "$$missing" ]; then echo "installing$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi
endef
