# Every target works alone, from a clean clone, as root or not. Set-up is kept in .venv until a requirement changes.
# `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help

BIN := .venv/bin
SETUP := .ci/setup .ci/debian requirements/build.txt setup.cfg pyproject.toml
SUITES := $(wildcard tests/unit tests/property tests/contract tests/replay tests/process tests/monitoring tests/repo)
# The demo's case: a folder of pcaps/ with train.pcap and test.pcap. `make demo CASE=name` picks another one.
CASE ?= $(firstword $(foreach c,$(DEMO_CASES),$(if $(wildcard pcaps/$c/train.pcap),$c)))
DEMO_CASES := modbus-attack $(sort $(notdir $(patsubst %/train.pcap,%,$(wildcard pcaps/*/train.pcap))))
FUZZ_SECONDS ?= 20
# Tests run side by side, file by file; those that wait for real devices more than they reckon may be more than the cores.
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
WAITING ?= 3
SIDE_BY_SIDE := --dist loadfile -n
SHARED ?= ../shared

.PHONY: help demo test check deb bundle man install-test lab lab-record bench bench-live fuzz score evaluate train coverage dashboard lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "make %-11s %s\n", $$1, $$2}'

# One stamp per set of requirements; the sets share one .venv and agree on every version.
.venv/.stamp-%: requirements/%.txt $(SETUP)
	@.ci/setup $*
	@touch $@

demo: .venv/.stamp-words ## learn a plant from a lab capture, detect in another one, tell the story, write out/demo.html
	@test -n "$(CASE)" || { echo "demo: no case with train.pcap and test.pcap in pcaps/; next step: make demo CASE=name" >&2; exit 1; }
	@mkdir -p out
	@echo "== sekisho learn pcaps/$(CASE)/train.pcap"
	@$(BIN)/sekisho learn pcaps/$(CASE)/train.pcap --baseline out/demo.baseline --replace
	@echo "== sekisho detect pcaps/$(CASE)/test.pcap"
	@$(BIN)/sekisho detect pcaps/$(CASE)/test.pcap --baseline out/demo.baseline --format text --report out/demo.html || test $$? = 1
	@test -s out/demo.html
	@echo "The report to open in a browser: out/demo.html"

test: .venv/.stamp-test ## unit, property, contract, replay and repository tests
	@command -v promtool >/dev/null || .ci/debian prometheus || true # without it the tests that need it say so
	@command -v man >/dev/null && command -v mandoc >/dev/null || .ci/debian man-db mandoc || true
	@test -x /usr/sbin/rsyslogd || test "$$(id -u)" != 0 || .ci/debian rsyslog rsyslog-openssl rsyslog-gnutls || true
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(JOBS) $(SUITES)

check: .venv/.stamp-test ## ruff, formatting, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: .venv/.stamp-test .venv/.stamp-lab ## tests against real devices in network namespaces (root)
	@test -n "$(wildcard tests/lab/test_*.py)" || { echo "lab: there is no test in tests/lab yet" >&2; exit 1; }
	@test "$$(id -u)" = 0 || { echo "lab: network namespaces need root; next step: run make lab as root" >&2; exit 1; }
	@command -v ip >/dev/null || .ci/debian iproute2
	@command -v nft >/dev/null || .ci/debian nftables
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(WAITING) -m lab tests/lab || { echo "lab: what failed is tried once more (real time, on a machine that does other things too)"; \
		$(BIN)/python -m pytest -m lab --last-failed --last-failed-no-failures none tests/lab; }

deb: ## the Debian package, dist/sekisho_VERSION_ARCH.deb (Debian 12; packaging/README.md)
	@packaging/build dist

bundle: .venv/.stamp-run ## a signed update for closed networks, in dist/ (BUNDLE_KEY=FILE, or TEST_KEY=1; DEB=FILE, DEPENDENCIES=FOLDER)
	@test -n "$(BUNDLE_KEY)$(TEST_KEY)" || { echo "bundle: no key to sign with; next step: make bundle BUNDLE_KEY=FILE (docs/update.md)" >&2; exit 1; }
	@$(if $(BUNDLE_KEY),,$(BIN)/python packaging/bundle_update.py test-key out/test-release.key)
	@$(BIN)/python packaging/bundle_update.py make --key $(or $(BUNDLE_KEY),out/test-release.key) --name $(or $(KEY_NAME),$(if $(BUNDLE_KEY),release,test)) \
		--out dist $(or $(DEB),dist) $(DEPENDENCIES)

man: .venv/.stamp-run ## the manual pages, from the command's own help (then: man -M out/man sekisho)
	@$(BIN)/python packaging/manpages.py . out/man

install-test: deb .venv/.stamp-test .venv/.stamp-lab ## install, live with, upgrade and remove that package on a booted Debian 12 (root)
	@test "$$(id -u)" = 0 || { echo "install-test: a booted system needs root; next step: run make install-test as root" >&2; exit 1; }
	@command -v ip >/dev/null || .ci/debian iproute2
	@command -v debootstrap >/dev/null && command -v systemd-nspawn >/dev/null || .ci/debian debootstrap systemd-container
	@command -v prometheus >/dev/null || .ci/debian prometheus || true # without them the tests that need them say so
	@test -x /usr/sbin/rsyslogd || .ci/debian rsyslog rsyslog-openssl || true
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(WAITING) -m install -rP tests/install || { \
		again=$$($(BIN)/python tests/again.py tests/install) || exit 1; \
		echo "install-test: once more, one after the other (real time, on a machine that does other things too): $$again"; \
		$(BIN)/python -m pytest -m install -s $$again; }

lab-record: .venv/.stamp-test .venv/.stamp-lab ## record the captures of pcaps/ anew in the lab (root; ARGS="--case NAME")
	@command -v ip >/dev/null || .ci/debian iproute2
	@$(BIN)/python -m tests.lab record --out pcaps/ $(ARGS)

bench: .venv/.stamp-test ## offline throughput beside its peers, one core each, in one run
	@mkdir -p out
	@$(BIN)/python tests/bench/offline.py --json out/bench-offline.json

bench-live: .venv/.stamp-test ## the live sensor under load: loss, CPU, memory, floods (root)
	@mkdir -p out
	@$(BIN)/python tests/bench/live.py --json out/bench-live.json

fuzz: .venv/.stamp-test .venv/.stamp-fuzz ## fuzz what reads hostile bytes, FUZZ_SECONDS each
	@test -n "$(wildcard tests/fuzz/fuzz_*.py)" || { echo "fuzz: there is no target in tests/fuzz yet" >&2; exit 1; }
	@mkdir -p out
	@set -e; for f in $(wildcard tests/fuzz/fuzz_*.py); do echo "== $$f"; \
		$(BIN)/python $$f -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=2048 -artifact_prefix=out/; done

score: .venv/.stamp-words ## the labelled cases of ../shared, a row each
	@test -e $(SHARED)/tools/score_cases.py || { echo "score: $(SHARED)/tools/score_cases.py is not here; next step: make score SHARED=folder" >&2; exit 1; }
	@$(BIN)/python $(SHARED)/tools/score_cases.py $(ARGS)

evaluate: .venv/.stamp-test .venv/.stamp-words ## measure detection beside two baselines, write docs/evaluation.md (ARGS=--quick: a minute)
	@$(BIN)/python -m tests.evaluate --shared $(SHARED) $(ARGS)

train: .venv/.stamp-test .venv/.stamp-words .venv/.stamp-train ## the model of causes anew, with its results (a quarter of an hour)
	@$(BIN)/python -m tests.causes.train $(if $(wildcard $(SHARED)/pcaps/cases),--shared $(SHARED)) $(ARGS)

coverage: .venv/.stamp-test ## make test, with the lines and branches that no test reaches
	@$(BIN)/coverage run -m pytest -q $(SUITES) && $(BIN)/coverage report

dashboard: .venv/.stamp-test ## build the Grafana dashboard anew from its code
	@$(BIN)/python packaging/monitoring/grafana/build.py

lock: ## pin requirements/*.txt anew from *.in (needs uv)
	@requirements/lock $(ARGS)

clean: ## remove everything that was made here
	rm -rf .venv out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
