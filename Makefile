# Two commands for a newcomer: `make demo` and `make test`. Everything is built from Cargo.lock and go.sum.
# What is built or installed besides lies under FAIRWAY_CACHE, by content, outside the tree.

FAIRWAY_CACHE ?= $(HOME)/.cache/fairway
BIN           := $(CURDIR)/target/debug
DENY_VERSION  := 0.20.2
VERSION       := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
CONFORMANCE   := FAIRWAY_CACHE=$(FAIRWAY_CACHE) $(BIN)/fairway-conformance
FUZZ_TARGETS  := resources routes authority first_bytes path token
FUZZ_SECONDS  ?= 300
GO_FLAGS      := -trimpath -ldflags '-s -w'

export CGO_ENABLED := 0

.PHONY: demo test lint fmt build istiod release clean-mesh test-rust test-go test-mesh replay goldens \
	conformance conformance-controls conformance-story conformance-if-built conformance-tool cluster cluster-down fuzz

demo: build ## Bookinfo behind our ztunnel and waypoint; prints a URL; Ctrl-C removes everything
	$(BIN)/fairway up examples/bookinfo

build: istiod ## the programs of the local mesh, debug build
	cargo build --locked --workspace --exclude fairway-fuzz --bins

istiod: ## istiod with its Kubernetes in memory
	cd local/istiod && go build $(GO_FLAGS) -o $(BIN)/fairway-istiod ./cmd/fairway-istiod

release: istiod ## the proxies as they ship
	cargo build --locked --release --workspace --exclude fairway-fuzz --bins

test: test-rust test-go replay test-mesh ## everything; the last part runs the README's story on a real mesh

test-rust:
	cargo test --locked --workspace --exclude fairway-fuzz

test-go:
	cd local/istiod && go test -trimpath ./...
	cd conformance && go test -trimpath ./...

test-mesh: build
	$(BIN)/fairway up examples/bookinfo --port 0 --exec examples/bookinfo/check.sh

replay: build ## recorded configurations and hostile requests through the waypoint: conformance/replay
	FAIRWAY_CACHE=$(FAIRWAY_CACHE) conformance/replay/run

goldens: istiod ## what istiod sends in conformance/goldens' scenarios, recorded anew
	conformance/goldens/record $(BIN)/fairway-istiod

conformance: build conformance-tool ## the official Gateway API suite's mesh part, on a real API server and istiod (first time: minutes of building)
	$(CONFORMANCE) run mesh known --reports conformance/reports --project-version $(VERSION)

conformance-controls: build conformance-tool ## negative controls: each makes the suite fail, or the suite proves nothing
	$(CONFORMANCE) run controls

conformance-story: build conformance-tool ## Istio's Bookinfo enrolled, routed and released; what passes between the nodes; the life of pods
	$(CONFORMANCE) run story crossing pods

conformance-if-built: build conformance-tool ## the mesh part if its programs are cached or built in CONFORMANCE_BUDGET seconds; says so if not
	FAIRWAY_CACHE=$(FAIRWAY_CACHE) conformance/if-built

conformance-tool:
	cd conformance && go build $(GO_FLAGS) -o $(BIN)/fairway-conformance .

cluster: build conformance-tool ## a Kubernetes with Istio and our proxies that stays; with Istio's Bookinfo sample
	$(CONFORMANCE) build
	$(CONFORMANCE) up --sample

cluster-down: conformance-tool
	$(CONFORMANCE) down

fuzz: ## each fuzz target for FUZZ_SECONDS; wants nightly Rust and cargo-fuzz: fuzz/README.md
	cargo run --locked -p fairway-fuzz --example seeds
	@# No sanitizer: our code is safe Rust and panics are what is looked for. LTO would only make the build slow.
	for target in $(FUZZ_TARGETS); do \
	  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	  cargo +nightly fuzz run --sanitizer none $$target -- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 || exit 1; \
	done

lint: $(FAIRWAY_CACHE)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$< --locked check bans licenses sources
	@test -z "$$(gofmt -l local/istiod conformance)" || { gofmt -l local/istiod conformance; echo "gofmt: the files above"; exit 1; }
	cd local/istiod && go vet -trimpath ./...
	cd conformance && go vet -trimpath ./...
	bash -n examples/bookinfo/check.sh examples/bookinfo/check-lib.sh .ci/run conformance/replay/run conformance/goldens/record \
		conformance/if-built conformance/suites/check.sh conformance/suites/story.sh conformance/suites/pods.sh

fmt:
	cargo fmt --all
	gofmt -w local/istiod conformance

clean-mesh: ## ends a running local mesh; its namespaces and rules go with it
	-$(BIN)/fairway down

$(FAIRWAY_CACHE)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny:
	cargo install --locked cargo-deny --version $(DENY_VERSION) --root $(FAIRWAY_CACHE)/cargo-deny-$(DENY_VERSION)
