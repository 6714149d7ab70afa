# Every target sets up what it needs. On a bare Debian with Rust, git and make nothing else is asked for.
.DEFAULT_GOAL := help
.PHONY: help setup up demo test test-oidc contracts contracts-released torture fuzz lint fmt bench bench-compare clean

help: ## this list
	@echo "Daybook: orders, stock and money as one append-only log"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## install what this machine misses (Debian packages, Kafka's jars); says what, asks nothing
	@scripts/setup run

# The release profile: the figures a person sees on the first day should be the real ones, and the debug
# build decides several times slower.
up: setup ## build Daybook and start it with a Postgres and a Kafka of its own: http://127.0.0.1:7400
	cargo build --release --locked -p daybook
	@exec target/release/daybook serve $(ARGS)

demo: setup ## start Daybook, import a real shop's history, print a few queries with their answers
	cargo build --release --locked -p daybook
	@scripts/demo

# Most tests wait more than they work, hence two for each core.
test: setup ## every test, against a private Postgres and a private Apache Kafka
	@scripts/setup test
	@RUST_TEST_THREADS=$(or $(RUST_TEST_THREADS),$(shell expr 2 '*' $$(nproc))) scripts/test-servers run cargo test --workspace --locked
	cargo check -p event-store --no-default-features --locked
	cargo test -p domain --features next --test it corpus --locked

contracts: setup ## write docs/contracts again, from the code
	@scripts/setup test
	UPDATE_CONTRACTS=1 cargo test -p domain --locked --test it contracts::
	UPDATE_CONTRACTS=1 cargo test -p sagas -p projections -p command-api --locked --lib contracts::
	@scripts/test-servers run env UPDATE_CONTRACTS=1 cargo test -p daybook --locked --test it contracts::

contracts-released: setup ## keep what docs/contracts says now as what the release promises
	@scripts/setup test
	@scripts/test-servers run env RELEASE_CONTRACTS=1 cargo test -p daybook --locked --test it contracts::
	RELEASE_CONTRACTS=1 cargo test -p domain --locked --test it contracts:: consumers::

torture: setup ## end the process and its servers at random for MINUTES=10, and hold every promise against what is left
	@TORTURE_MINUTES=$(or $(MINUTES),10) scripts/test-servers run \
	  cargo test -p daybook --locked --test it -- whatever_line --nocapture

# Of the whole workspace, so that what `make test` has built is built.
test-oidc: setup ## logins through a real Keycloak, which is fetched first (170 MB): its tokens, its keys, its absence
	@scripts/setup oidc
	@scripts/test-servers run cargo test --workspace --features daybook/oidc --locked --test it oidc::

# Sanitizers are behind a gate that only nightly passes by itself; what is fuzzed is the same code.
fuzz: setup ## feed each reader of strangers' bytes with mutations for SECONDS=60; one of them: make fuzz ARGS=bodies
	@scripts/setup fuzz
	@for target in $(or $(ARGS),$(notdir $(wildcard fuzz/corpus/*))); do \
	  echo "fuzz: $$target for $(or $(SECONDS),60) s"; \
	  mkdir -p fuzz/target/corpus/$$target; \
	  RUSTC_BOOTSTRAP=1 PATH=$(CURDIR)/.tools/bin:$$PATH cargo fuzz run $$target fuzz/target/corpus/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(or $(SECONDS),60) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 || exit 1; \
	done

lint: ## formatting, clippy without a warning, licences and banned crates, shellcheck
	@scripts/setup lint
	cargo fmt --all --check
	cargo fmt --check --manifest-path bench/Cargo.toml
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p daybook --features oidc --test it --locked -- -D warnings
	cargo check --locked --manifest-path bench/Cargo.toml
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml > /dev/null
	.tools/bin/cargo-deny --log-level warn check bans licenses sources
	shellcheck $$(find scripts -maxdepth 1 -type f) .ci/run

fmt: ## format the code
	cargo fmt --all

bench: setup ## the figures beside its peers', into docs/benchmarks.md; short: make bench QUICK=1; what there is: make bench ARGS=--list
	@scripts/setup bench
	cargo build --release --locked -p daybook
	cargo run --release --locked --manifest-path bench/Cargo.toml -- $(if $(QUICK),--quick) $(ARGS)

bench-compare: setup ## is B slower than A? make bench-compare A=main B=my-branch ARGS="append hot" ROUNDS=3; how it judges: scripts/bench-compare --help
	@$(if $(and $(A),$(B)),,echo 'make bench-compare A=<revision before> B=<revision after>; more: scripts/bench-compare --help' >&2; exit 2)
	@scripts/bench-compare $(A) $(B) --rounds $(or $(ROUNDS),3) $(if $(QUICK),--quick) $(ARGS)

clean: ## delete what was built and the test servers; .daybook, your data, stays
	@scripts/test-servers stop
	cargo clean
