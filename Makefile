# The commands of the README. Each sets up what it needs first.

CARGO ?= cargo

# How long each fuzz target runs.
SECONDS ?= 60

# How long the last part of the soak takes.
MINUTES ?= 10

.PHONY: help setup setup-tests build release image check-conf test lint fuzz demo compose-demo bypass soak bench bench-peers

help:
	@echo 'make demo         the main job on this machine: a play-acted Cloudflare, the gateway, an origin'
	@echo 'make demo ONCE=1  the same, ending after the five requests'
	@echo 'make compose-demo the same in containers, scraped by Prometheus; KEEP=1 stays up, PROFILE=full: docker/README.md'
	@echo 'make test         every check and every test'
	@echo 'make release      the program for production, by profile-guided optimisation: dist/pullgate'
	@echo 'make image        the image of that program, pullgate:VERSION: docker/README.md'
	@echo 'make check-conf   throw-away certificates for conf/, and pullgate check for each file'
	@echo 'make fuzz         certificate chains, ClientHellos, heads, range lists, fuzzed for SECONDS=60'
	@echo 'make bypass       the known origin-pull bypasses against Pullgate and nginx, as tables'
	@echo 'make soak         load, reloads, strangers, slow and idle clients, memory over MINUTES=10: figures and bars'
	@echo 'make bench        what a decision, a verdict, a look-up, a load of a configuration cost (criterion)'
	@echo 'make bench-peers  CPU per handshake, request and body, beside nginx, HAProxy and bare Pingora; PLOT=1 draws it'

setup:
	@.ci/setup

setup-tests:
	@.ci/setup tests

build: setup
	$(CARGO) build --locked --workspace

release: setup-tests
	benches/release/run

image: release
	docker/build prebuilt

check-conf: build
	conf/mint-certs
	@for file in conf/*.yaml conf/examples/*.yaml conf/kubernetes/config/*.yaml conf/systemd/*.yaml; do target/debug/pullgate check --config $$file || exit 2; done

demo: setup
	$(CARGO) run --locked --quiet --package pullgate -- demo $(if $(ONCE),--once)

compose-demo:
	docker/compose-demo $(PROFILE)

lint: setup-tests
	$(CARGO) fmt --all -- --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml -- --check
	$(CARGO) fmt --manifest-path benches/pingora/Cargo.toml -- --check
	$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	$(CARGO) clippy --locked --manifest-path benches/pingora/Cargo.toml --target-dir target -- --deny warnings
	tests/lint/run

# The binary is built before the tests, which run it.
test: lint
	$(CARGO) build --locked --workspace --all-targets
	$(CARGO) test --locked --workspace --exclude pullgate-tests
	$(CARGO) test --locked --package pullgate-tests --lib --test integration
	docker/test quick
	benches/peers/run --quick
	benches/release/run quick
	fuzz/run 60

fuzz: setup-tests
	fuzz/run $(SECONDS)

bypass: setup-tests
	tests/bypass/run

soak: setup-tests
	tests/soak/run --minutes $(MINUTES) $(PARTS)

bench: setup
	$(CARGO) bench --locked --package pullgate-benches

bench-peers: setup-tests
	benches/peers/run
