# `make demo` and `make test` are the two commands to know. Each installs what
# it needs by scripts/install-deps.sh, which does nothing when all is there.
# Everything is built with the release profile, so that the AWS SDK, which takes
# minutes, is compiled once for all of them.

# Where scripts/install-deps.sh puts an AWS CLI that is in no package.
export PATH := $(CURDIR)/target/tools/awscli/bin:$(PATH)

DEMO_SECONDS ?= 30
DEMO_OUT ?= demo-out
PORT ?= 8000
MINUTES ?= 5
SEED ?=
N ?= 1000
FUZZ_SECONDS ?= 600
HOSTILE_SECONDS ?= 600
HOSTILE_SEED ?= 1
FUZZ_SEED ?= 1
BENCH ?=
CARGO ?= cargo
COMPILE = ./scripts/step.sh 'compiling (the first time some minutes, most of it the AWS SDK)' $(CARGO) build --release --locked
# `make` target: $(call packages,PROFILE...) installs what those of scripts/install-deps.sh need.
packages = @./scripts/step.sh 'packages' ./scripts/install-deps.sh $(1)
# The tools, and the store that the tests and checks run them against. The store is named also where nobody needs it: without
# the examples' dependencies cargo would choose other features for the shared ones, and compile them all again.
tools = @$(COMPILE) --bins --example local_store
export DEMO_SECONDS DEMO_OUT

SLOW_PAGE_TESTS = tests/browser/low_latency.test.mjs tests/browser/viewers.test.mjs tests/browser/firefox.test.mjs

.DEFAULT_GOAL := help
.PHONY: help demo demo-web demo-obs test test-rust test-page test-viewers test-recipes test-players test-ceph test-nginx test-obs soak kills fuzz-rtmp hostile bench microbench lint build install deb test-deb dist test-dist page

help:
	@echo 'make demo      a live stream through writer and reader, with a summary'
	@echo '               (DEMO_SECONDS=30, DEMO_OUT=demo-out)'
	@echo 'make demo-web  a live stream in your browser, out of a private bucket (MINUTES=5)'
	@echo 'make demo-obs  the same out of your OBS: prints server, stream key and link'
	@echo 'make test      all tests'
	@echo 'make test-viewers   what goes by the clock in browsers: low latency, outages, hidden tabs, slow lines, Firefox'
	@echo 'make test-players   playlists in browsers, mpv, VLC and GStreamer'
	@echo 'make test-ceph   both tools on a real Ceph gateway (Debian: 60 MB of packages, nothing is installed)'
	@echo 'make test-nginx   two gateways behind nginx (Debian: 0.5 MB of package, nothing is installed)'
	@echo 'make test-obs   OBS streams to writer, on a screen that nobody sees (Debian: 30 MB of packages)'
	@echo 'make soak      writer and readers through random faults (MINUTES=5, SEED=)'
	@echo 'make kills     many short uploads, each with a kill or a race in it (N=1000, SEED=)'
	@echo 'make fuzz-rtmp   damaged streams of encoders (RTMP, HTTP), for ten minutes, what others found when they fuzzed theirs and samples of enhanced'
	@echo '               RTMP (fetched), and another parser beside ours (FUZZ_SECONDS=600, FUZZ_SEED=1)'
	@echo 'make hostile   a server of many streams under all that is hostile, with live streams beside it (HOSTILE_SECONDS=600, HOSTILE_SEED=1)'
	@echo 'make bench     measures both tools beside others, and writes docs/performance.md'
	@echo '               (ten minutes; BENCH=quick: two, and only prints; BENCH=tls: TLS alone;'
	@echo '               BENCH=objects: live objects alone, against their goals;'
	@echo '               BENCH=gateway: the gateway alone, beside nginx; BENCH=gateway-quick only prints;'
	@echo '               BENCH=ingest: encoders alone, beside ffmpeg and nginx-rtmp, half an hour; BENCH=ingest-quick only prints)'
	@echo 'make microbench   the ways through memory alone (criterion)'
	@echo 'make lint      formatting, clippy, documentation and its links, shell scripts'
	@echo 'make build     writer and reader in target/release'
	@echo 'make install   writer and reader, their manual pages and completions, into ~/.local (PREFIX=)'
	@echo 'make deb       a Debian package in target/dist, with systemd units (make test-deb tries it in a bare Debian)'
	@echo 'make dist      a release tarball in target/dist, with checksums and a bill of materials (make test-dist makes it twice'
	@echo '               and compares)'
	@echo 'make page      index.html on http://127.0.0.1:8000/ (PORT=8000)'

demo:
	$(call packages,build demo)
	$(tools) --example demo
	@exec $(CARGO) run --quiet --release --locked --example demo

demo-web:
	$(call packages,build demo)
	$(tools)
	@DEMO_SECONDS=$$((60 * $(MINUTES))) exec ./scripts/demo-web.sh

# Without the ffmpeg that `demo-web` takes for a camera.
demo-obs:
	$(call packages,build)
	$(tools)
	@DEMO_FROM=obs exec ./scripts/demo-web.sh

# The recipes wait for cameras most of the time, and so do many of the tests in Rust for what they started. All is compiled
# before, because compiling waits for nothing.
test:
	$(call packages,build test)
	@./scripts/step.sh 'compiling the tests (the first time some minutes, most of it the AWS SDK)' $(CARGO) test --release --locked --no-run
	@./scripts/beside.sh '$(MAKE) test-recipes' '$(MAKE) test-rust'
	$(MAKE) test-page

# Most of what drives the tools waits for them, so more of it runs at once than there are processors.
test-rust:
	$(call packages,build test)
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((2 * $$(getconf _NPROCESSORS_ONLN)))} CARGO='$(CARGO)' ./scripts/test-rust.sh

test-recipes:
	$(call packages,build test)
	$(tools)
	./scripts/test-install-deps.sh
	./scripts/check-recipes.sh

test-page:
	$(call packages,build test)
	$(tools)
	node --test --test-concurrency=2 $(filter-out $(SLOW_PAGE_TESTS), $(wildcard tests/browser/*.test.mjs))

# Those that go by the clock: outages, hidden tabs, slow lines; and those in Firefox.
test-viewers:
	$(call packages,build test)
	$(tools)
	node --test $(SLOW_PAGE_TESTS)
	CUTS=20 node --test tests/browser/ingest.test.mjs

test-players:
	$(call packages,build players)
	$(tools)
	./scripts/check-players.sh
	./scripts/check-live-players.sh
	./scripts/check-gateway-players.sh
	./scripts/check-dash-players.sh
	./scripts/check-smooth-players.sh

test-ceph:
	$(call packages,build)
	$(tools)
	./scripts/test-ceph.sh

test-nginx:
	$(call packages,build)
	$(tools)
	./scripts/test-nginx.sh

test-obs:
	$(call packages,build obs)
	$(tools)
	./scripts/check-obs.sh

soak:
	$(call packages,build)
	$(tools)
	SOAK_MINUTES='$(MINUTES)' SOAK_SEED='$(SEED)' \
		$(CARGO) test --quiet --release --locked --test tools -- --ignored --nocapture a_long_soak

# What it drives shares the processors with whatever else runs there.
kills:
	$(call packages,build)
	$(tools)
	KILLS='$(N)' KILLS_SEED='$(SEED)' \
		nice $(CARGO) test --quiet --release --locked --test tools -- --ignored --nocapture many_lives

fuzz-rtmp:
	$(call packages,build)
	corpora=; ! ./scripts/fetch-corpora.sh || corpora='--include-ignored corpora::'; \
	FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_SEED='$(FUZZ_SEED)' \
		$(CARGO) test --quiet --release --locked --lib -- --nocapture damaged_captures_do_no_harm damaged_pushes_do_no_harm $$corpora
	cd scripts/differential && $(CARGO) run --quiet --release --locked -- '$(FUZZ_SEED)'

# It is in nobody's way.
hostile:
	$(call packages,build)
	$(tools)
	HOSTILE_SECONDS='$(HOSTILE_SECONDS)' HOSTILE_SEED='$(HOSTILE_SEED)' \
		nice -n 10 $(CARGO) test --quiet --release --locked --test tools -- --ignored --nocapture streams_are_unharmed_beside_all_that_is_hostile

bench:
	$(call packages,build bench)
	$(tools)
	@BENCH='$(BENCH)' python3 bench/run.py

microbench:
	@./scripts/install-deps.sh build
	$(CARGO) bench --locked --bench queues

# Clippy is a program of its own, which hears nothing of options in CARGO; so documentation goes without them as well, and finds all
# dependencies checked.
lint:
	@./scripts/install-deps.sh lint
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --locked --no-deps --lib --bins --examples
	@./scripts/check-dependencies.sh
	@if command -v python3 >/dev/null 2>&1; then ./scripts/check-links.py; fi
	@if command -v shellcheck >/dev/null 2>&1; then \
		echo 'shellcheck -x scripts/*.sh watch_upload.sh .ci/run'; \
		shellcheck -x scripts/*.sh watch_upload.sh .ci/run; \
	fi

build:
	$(call packages,build)
	$(tools)

# What `build` has made, so that nothing is compiled again.
install: build
	@./scripts/install.sh

deb: build
	@./scripts/make-deb.sh

test-deb: deb
	@./scripts/test-deb.sh target/dist/*.deb

# Compiled anew, so that nothing of this machine is in it.
dist:
	$(call packages,build)
	@./scripts/make-dist.sh

test-dist:
	$(call packages,build)
	@./scripts/test-dist.sh

page:
	@./scripts/install-deps.sh page
	@exec node scripts/serve.mjs $(PORT)
